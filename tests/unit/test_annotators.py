"""Labels, case by case."""

import json
import math
from typing import Any

import numpy as np
import pytest

from nt_pkg.annotations.label_traces import annotate
from nt_pkg.annotators._base import Example, TraceAnnotator
from nt_pkg.annotators.agreement import ANNOTATOR as AGREEMENT
from nt_pkg.annotators.agreement import answers_agree, decide
from nt_pkg.annotators.hashed_words import ANNOTATOR as HASHED_WORDS
from nt_pkg.annotators.hashed_words import hashed_words
from nt_pkg.annotators.keywords import ANNOTATOR as KEYWORDS
from nt_pkg.annotators.length import ANNOTATOR as LENGTH
from nt_pkg.annotators.length import count_steps
from nt_pkg.annotators.reference_words import ANNOTATOR as REFERENCE_WORDS
from nt_pkg.plugins.registry import names, plugin


def example(**changes: Any) -> Example:
    values = {"id": "x", "question": "q", "reference_answer": None, "second_answer": None}
    return Example(**{**values, "reasoning": "r", "answer": "a", "num_tokens": 7, **changes})


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [
        ("Paris", " paris. ", True),
        ("Paris", "London", False),
        ("1,234", "1234", True),
        ("$5", "5", True),
        ("0.50", "1/2", True),
        ("50%", "50", True),
        ("-3", "3", False),
        ("7", "7.0", True),
        ("7", "7 apples", False),
        ("", "0", False),
        ("1/0", "1/0", True),
        ("1/0", "2/0", False),
        ("\uff17", "7", True),
        ("caf\u00e9", "cafe\u0301", True),
        ("B", "b)", False),
    ],
)
def test_answers_agree(one: str, other: str, agree: bool) -> None:
    assert answers_agree(one, other) is agree
    assert answers_agree(other, one) is agree


def test_rules_before_a_judge() -> None:
    """What they cannot tell is left open, whichever of the answers is the teacher's."""
    expected = [
        ("So it is \\boxed{4}.", "The final answer is: $\\boxed{4}$. I hope it is right.", True),
        ("So it is \\boxed{4}.", "4", True),
        ("So it is \\boxed{4}.", "The answer is 5.", False),
        ("\\boxed{\\text{Paris}}", "\\boxed{\\text{Rome}}", None),
        ("\\boxed{\\frac{1}{2}}", "the answer is 0.5", True),
        ("\\boxed{\\frac{1}{2}}", "\\boxed{\\frac{1}{3}}", False),
        ("$2\\sqrt{2}$", "$\\sqrt{8}$", True),
        ("$(1, 2)$", "$(2, 1)$", False),
        ("$x^2-1$", "$(x-1)(x+1)$", True),
        ("5\\text{ cm}", "5\\text{ m}", None),  # units must not be thrown away
        ("7", "7 apples", None),
        ("$\\frac{1}{$", "$\\frac{1}{2}$", None),
        ("9^{9^{9^{9}}}", "9^{9^{9^{8}}}", None),
        ("It rains because water falls.", "Water falls, so it rains.", None),
        ("Paris", "London", None),
        ("B", "C", None),
    ]
    pairs = {(one, other): verdict for one, other, verdict in expected}
    turned = {(other, one): verdict for one, other, verdict in expected}

    assert decide([*pairs, *turned], cpu_limit_s=1) == {**pairs, **turned}


def test_undecided_answers_disagree_or_have_no_label() -> None:
    rows = [example(answer="a bird", second_answer=other) for other in ("a bird", "an animal")]

    found = {
        choice: AGREEMENT.annotate(AGREEMENT.params(undecided=choice), rows)
        for choice in ("disagree", "fail")
    }

    assert [label.value for label in found["disagree"]] == [True, False]
    assert [label.value for label in found["fail"]] == [True, None]
    assert found["fail"][1].error == "no rule can compare the answers"


@pytest.mark.parametrize("other", [None, "", "  "])
def test_agreement_with_nothing_fails(other: str | None) -> None:
    params = AGREEMENT.params()

    [label] = AGREEMENT.annotate(params, [example(second_answer=other)])

    assert label.error == "the row has no second_answer"


def test_agreement_against_the_reference() -> None:
    params = AGREEMENT.params(against="reference_answer")

    [label] = AGREEMENT.annotate(params, [example(answer="7", reference_answer="7.")])

    assert (label.value, label.error) == (True, None)


def keyword_label(text: str, labels: dict[str, list[str]], **params: Any) -> Any:
    checked = KEYWORDS.params(where="question", labels=labels, **params)
    [label] = KEYWORDS.annotate(checked, [example(question=text)])
    assert label.error is None
    return label.value


@pytest.mark.parametrize(
    ("text", "params", "expected"),
    [
        ("in May and June, a red day", {}, "months"),
        ("Red, red in May", {}, "colours"),
        ("Red, red in May", {"ignore_case": False}, "colours"),
        ("RED in May, red", {"ignore_case": False}, "colours"),
        ("red in May", {}, "colours"),
        ("nothing", {}, "other"),
        ("redder Maybe predated", {}, "other"),
        ("May-red", {"multiple": True}, ["colours", "months"]),
        ("nothing", {"multiple": True}, []),
        ("may", {"multiple": True}, ["months"]),
        ("may", {"multiple": True, "ignore_case": False}, []),
        ("light blue and blue light", {}, "colours"),
    ],
)
def test_keywords(text: str, params: dict[str, Any], expected: Any) -> None:
    """Whole words; of equally frequent labels the first by name."""
    labels = {"months": ["May", "June"], "colours": ["red", "light blue"]}

    assert keyword_label(text, labels, **params) == expected


@pytest.mark.parametrize("text", ["it costs $5", "$ 5", "5$ each", "a$b"])
def test_keyword_that_is_a_sign_may_touch_letters_and_digits(text: str) -> None:
    assert keyword_label(text, {"money": ["$"]}) == "money"


@pytest.mark.parametrize(("text", "label"), [("5 km away", "far"), ("c++ code", "code")])
def test_keyword_with_a_sign_keeps_the_other_edge(text: str, label: str) -> None:
    labels = {"far": ["km"], "code": ["c++"]}

    assert keyword_label(text, labels) == label
    assert keyword_label("dac++ kmx", labels) == "other"


def test_keywords_in_the_reasoning() -> None:
    checked = KEYWORDS.params(where="reasoning", labels={"a": ["x"]})
    [label] = KEYWORDS.annotate(checked, [example(question="x", reasoning="y")])

    assert label.value == "other"


@pytest.mark.parametrize("labels", [{}, {"a": []}, {"a": ["x", " "]}])
def test_keywords_needs_words(labels: dict[str, list[str]]) -> None:
    with pytest.raises(ValueError, match="labels needs at least one label"):
        KEYWORDS.params(where="question", labels=labels)


@pytest.mark.parametrize(
    ("reasoning", "steps"),
    [
        ("Take a. Sum b. So c.", 3),
        ("one\ntwo\n\n- three", 3),
        ("3.14 is pi. v1.2 too", 2),
        ("Wait... no! Really? Yes", 4),
        ("", 0),
        ("... \n ---", 0),
        ("1. Take a.\n2) Take b: 7.\n (3) Sum.\n* Check", 4),
        ('He said (a.) Then "b?" So c.', 3),
        ("\u6240\u4ee5\u662f\u4e09\u3002\u5bf9\u5427\uff1f", 2),
        ("x = 1\n7. ", 2),
    ],
)
def test_count_steps(reasoning: str, steps: int) -> None:
    assert count_steps(reasoning) == steps


def test_length_counts_the_tokens_of_the_engine() -> None:
    [label] = LENGTH.annotate(LENGTH.params(), [example(reasoning="a. b.", num_tokens=812)])

    assert label.value == {"num_tokens": 812, "num_steps": 2}


PARAMS: dict[str, dict[str, Any]] = {
    "keywords": {"where": "question", "labels": {"a": ["x"]}},
    "column": {"column": "x"},
}


BY_RULES = [n for n in names("annotators") if isinstance(plugin("annotators", n), TraceAnnotator)]


@pytest.mark.parametrize("name", BY_RULES)
def test_contract_of_every_annotator(name: str) -> None:
    """One label each, in order, that no other example influences, and that JSON can hold."""
    found = plugin("annotators", name)
    params = found.params(**PARAMS.get(name, {}))
    examples = [
        example(id=c, question=c, second_answer=c, answer="a", columns=json.dumps({"x": c}))
        for c in "axb"
    ]

    labels = found.annotate(params, examples)

    assert len(labels) == 3
    assert [found.annotate(params, [each])[0] for each in examples] == labels
    assert found.annotate(params, examples[::-1]) == labels[::-1]
    assert found.annotate(params, []) == []
    json.dumps([label.value for label in labels])


def rows(*traces: tuple[str, str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return prompts and traces with the given ids and statuses."""
    prompts = [
        {"id": i, "question": "q", "reference_answer": "7", "second_answer": None, "columns": None}
        for i, _ in traces
    ]
    return prompts, [
        {"id": i, "status": s, "reasoning": "r", "answer": "7", "completion_tokens": 2,
         "error": None if s == "ok" else "why"}
        for i, s in traces
    ]  # fmt: skip


def test_every_trace_gets_a_row() -> None:
    prompts, traces = rows(("b", "ok"), ("a", "failed"), ("c", "incomplete"))

    found = annotate("length", {}, prompts, traces)

    assert [(row["id"], row["status"], row["error"]) for row in found] == [
        ("a", "skipped", "why"),
        ("b", "ok", None),
        ("c", "skipped", "why"),
    ]
    assert found[1]["value"] == '{"num_steps": 1, "num_tokens": 2}'


def test_label_that_could_not_be_given_is_a_failed_row() -> None:
    [found] = annotate("agreement", {}, *rows(("a", "ok")))

    assert (found["status"], found["value"]) == ("failed", None)
    assert found["error"] == "the row has no second_answer"


def test_rows_of_another_shard_are_refused() -> None:
    prompts, _ = rows(("a", "ok"))
    _, traces = rows(("b", "ok"))

    with pytest.raises(ValueError, match="do not hold the same ids"):
        annotate("length", {}, prompts, traces)


def test_words_of_the_reference_answer() -> None:
    given = [example(reference_answer=text) for text in ("7", " the  red one\n", " ", None)]

    labels = REFERENCE_WORDS.annotate(REFERENCE_WORDS.params(), given)

    assert [label.value for label in labels] == [1, 3, None, None]
    assert labels[2].error == labels[3].error == "the row has no reference_answer"


def cosines(vectors: Any) -> Any:
    """Return the cosine of every two rows."""
    scaled = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled @ scaled.T


def test_hashed_words_are_fixed_forever() -> None:
    """A literal label: another one would silently label every pool anew."""
    params = HASHED_WORDS.params(dimensions=12)

    [label] = HASHED_WORDS.start(params, None)(["The cat saw the dog, the cat."])

    assert label.value == "Ly9/sAAAAACd0aIA"


def test_hashed_words_are_near_where_words_are_shared() -> None:
    """Cosines are those of the counts of words and pairs, but for the noise of hashing."""
    questions = [
        "how many apples does the farmer sell",
        "How many  APPLES does the farmer sell?",
        "how many apples does the baker eat",
        "prove that every bounded sequence converges somewhere",
    ]

    # 7 words and 6 pairs; the third shares 5 words and 4 pairs.
    expected = np.array([[1, 1, 9 / 13, 0], [1, 1, 9 / 13, 0], [9 / 13] * 2 + [1, 0], [0, 0, 0, 1]])
    mean = np.mean([cosines(hashed_words(questions, 384, seed)) for seed in range(50)], axis=0)
    np.testing.assert_allclose(mean, expected, atol=0.05)


def test_hashed_words_see_order_counts_and_scripts() -> None:
    def near(one: str, other: str) -> float:
        return float(cosines(hashed_words([one, other], 1024, 0))[0, 1])

    assert near("dog bites man", "man bites dog") == pytest.approx(3 / 5)
    often, twice = 1 + math.log(3), 1 + math.log(2)  # "a", "a a"; "b" and "a b" occur once in both
    expected = (often + 2) / math.sqrt(3 * (often**2 + twice**2 + 2))
    assert near("a b", "a a a b") == pytest.approx(expected, abs=0.01)
    # Chinese has no blanks between words: 2 characters and a pair of 3 and 2.
    assert near("\u8bc1\u660e\u5b83", "\u8bc1\u660e") == pytest.approx(3 / math.sqrt(5 * 3))
    assert hashed_words(["a b"], 384, 0).tolist() != hashed_words(["a b"], 384, 1).tolist()


def test_hashed_words_of_nothing_fail() -> None:
    [label] = HASHED_WORDS.start(HASHED_WORDS.params(), None)([" ?! "])

    assert (label.value, label.error) == (None, "the question has no words")
