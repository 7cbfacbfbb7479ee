"""Every odd way to write a reasoning has one rule."""

from collections.abc import Callable

import pytest

from nt_pkg.dialogue.split_reasoning import Thought, split_reasoning
from tests.unit.growth import assert_linear

FENCED = "```xml\n<think>x</think>\n```"
S1 = "<|im_start|>"


@pytest.mark.parametrize(
    ("text", "prefix", "expected"),
    [
        ("<think> a b </think> c", "", ("a b", "c", True)),
        (" a b </think> c", "<think>", ("a b", "c", True)),
        ("<think> a b </think> c", "<think>", ("a b", "c", True)),
        ("a b </think> c", "", ("a b", "c", True)),
        ("<think></think>c", "", ("", "c", True)),
        ("c", "", (None, "c", False)),
        ("", "", (None, "", False)),
        ("a, the answer is B", "<think>", ("a, the answer is B", "", False)),
        ("<think> a", "", ("a", "", False)),
        ("c <think> a", "", ("c  a", "", False)),
        ("<think>a</think>", "", ("a", "", True)),
        # nested and several
        ("<think>a<think>b</think>c</think>d", "", ("abc", "d", True)),
        ("<think>a<think>b</think>c", "", ("ab", "c", True)),
        ("<think>a</think>b<think>c</think>d", "", ("abc", "d", True)),
        ("<think>a</think>b</think>c", "", ("ab", "c", True)),
        ("<think>a</think>b<think>c", "", ("abc", "", False)),
        # other tags
        ("<|begin_of_thought|>a<|end_of_thought|>c", "", ("a", "c", True)),
        (f"{S1}think\na\n{S1}think\nb\n{S1}answer\nc", "", ("a\n\nb", "c", True)),
        (f"{S1}think\na", "", ("a", "", False)),
    ],
)
def test_reasoning_and_answer(text: str, prefix: str, expected: tuple[str, str, bool]) -> None:
    """Reasoning that never ends leaves no answer."""
    assert split_reasoning(text, prefix) == Thought(*expected)


@pytest.mark.parametrize(
    ("solution", "answer", "is_cut"),
    [
        ("\n\n<|begin_of_solution|> c <|end_of_solution|>\n", "c", False),
        ("so <|begin_of_solution|>c<|end_of_solution|> bye", "c", False),
        ("<|begin_of_solution|>b<|end_of_solution|><|begin_of_solution|>c", "c", True),
        ("<|begin_of_solution|>c", "c", True),
        ("c<|end_of_solution|>", "c", False),
    ],
)
def test_solution_markers(solution: str, answer: str, is_cut: bool) -> None:
    found = split_reasoning(f"<|begin_of_thought|>a<|end_of_thought|>{solution}")

    assert found == Thought("a", answer, True, is_cut)


@pytest.mark.parametrize(
    ("text", "reasoning", "answer"),
    [
        ("<think>a</think>the `</think>` tag", "a", "the `</think>` tag"),
        ('<think>say "<think>"</think>c', 'say "<think>"', "c"),
        (f"<think>a</think>\n{FENCED}\nc", "a", f"{FENCED}\nc"),
        (f"<think>a\n{FENCED}\n</think>\nc", f"a\n{FENCED}", "c"),
        # the longer fence shows the shorter one
        (f"<think>a</think>\n````\n{FENCED}\n````", "a", f"````\n{FENCED}\n````"),
    ],
)
def test_quoted_tags_are_text(text: str, reasoning: str, answer: str) -> None:
    found = split_reasoning(text)

    assert found == Thought(reasoning, answer, True, has_quoted_tag=True)


@pytest.mark.parametrize(
    "answer",
    [
        "c",
        "```python\nc\n```",
        "```\nc\n```",
        "So\n```\nc\n```\nand\n```\nd\n```\n5",
        "```\nc\n```\n```python\nd\n```",
        "~~~\nc\n~~~",
        "````\nc\n````",
        "use `c` and\n```\nc\n```",
    ],
)
def test_code_block_that_the_reasoning_never_closes_hides_no_tag(answer: str) -> None:
    assert split_reasoning(f"a\n```\nb\n</think>\n{answer}") == Thought("a\n```\nb", answer, True)


@pytest.mark.parametrize(
    "quotation",
    [
        "`</think>`",
        '"</think>"',
        "'</think>'",
        "\u201c</think>\u201d",
        'x = "</think>"',
        'print("a"); print("</think>")',
        "the code:\n```\n</think>\n```\n",
        "this:\n```html\n</think>\n```\n",
        "this:\n~~~\n</think>\n~~~\n",
        "this:\n```\n<think>a</think>\n```\n",
    ],
)
@pytest.mark.parametrize("rest", [" and then I say", "\nand"])
def test_reasoning_that_only_speaks_of_its_end_goes_on(quotation: str, rest: str) -> None:
    """The middle of a thought must not become an answer."""
    found = split_reasoning(f"<think>I end with {quotation}{rest}")

    assert (found.answer, found.is_closed) == ("", False)


@pytest.mark.parametrize(
    ("reasoning", "answer"),
    [
        ('So "5"', '"5" it is'),
        ("So '5'", "'5' it is"),
        ("so `x`", "`x`"),
        ('It is "5 m."', '"5 m" is right.'),
        ('"a" and "b"', '"b"'),
        ("first\n'b'", "'b'"),
        ('say "yes"', '"yes", she said'),
        ("\u201c5\u201d", "\u201c5\u201d it is"),
        ("`a` `b`", "`b`"),
        ("x" * 600 + ' "5"', '"5"'),
    ],
)
@pytest.mark.parametrize("opening", ["", "<think>"])
def test_tag_between_two_quotations_is_a_tag(opening: str, reasoning: str, answer: str) -> None:
    found = split_reasoning(f"{opening}{reasoning}</think>{answer}")

    assert found == Thought(reasoning, answer, True)


@pytest.mark.parametrize(
    "hostile",
    [
        lambda n: "<think>" * n,
        lambda n: "</think>" * n,
        lambda n: "<think></think>" * n,
        lambda n: "```\n" * n + "</think>",
        lambda n: "```x\n</think>" * n,
        lambda n: "`" * n + "</think>",
        lambda n: "~" * n + "`</think>",
        lambda n: " " * n + "<",
        lambda n: "<|begin_of_solution|><|end_of_solution|>" * n,
        lambda n: "<|im_start|>" * n,
    ],
)
def test_work_on_a_hostile_text_grows_with_its_length(hostile: Callable[[int], str]) -> None:
    assert_linear(split_reasoning, hostile)
