"""Which examples a subset gives, in which order, and how they are counted."""

from typing import Any

import pytest

from nt_pkg.config.students import Format, Training
from nt_pkg.packing.steps import Steps
from nt_pkg.sft import data
from nt_pkg.sft.data import lengths_of
from nt_pkg.sft.preview import preview
from tests.unit.sft.templates import MICRO, tokenizer_of

pytestmark = pytest.mark.filterwarnings("ignore")


def rows(num: int) -> dict[str, list[dict[str, Any]]]:
    """Return a subset, its prompts and its traces; trace n has n words."""
    return {
        "subset": [{"id": f"r{n}", "rank": n, "score": 1.0} for n in reversed(range(num))],
        "prompts": [{"id": f"r{n}", "question": "Where?"} for n in range(num)],
        "traces": [
            {"id": f"r{n}", "reasoning": " ".join(["May"] * n), "answer": "So"} for n in range(num)
        ],
    }


def build(form: Format, num: int = 10, **limits: int) -> tuple[list[Any], dict[str, Any]]:
    given = rows(num)
    disagree = {f"r{n}": n % 2 == 0 for n in range(num)}
    return data.build_examples(MICRO, form, Training(**limits), 0, **given, disagree=disagree)


SYSTEM2 = Format(kind="system2", think_words=40)


def test_examples_are_counted_and_ordered() -> None:
    found, counts = build(SYSTEM2)

    assert [row["id"] for row in found] == sorted(f"r{n}" for n in range(10))
    responses = [len(row["input_ids"]) - row["num_prompt_tokens"] for row in found]
    # <think>, n words, </think>, the answer, the end.
    assert sorted(responses) == [n + 4 for n in range(10)]
    assert counts["num_examples"] == counts["num_system2"] == 10
    assert counts["num_response_tokens"] == sum(responses)
    assert counts["num_tokens"] == sum(len(row["input_ids"]) for row in found)
    assert counts["longest_tokens"] == max(len(row["input_ids"]) for row in found)
    assert counts["dropped"] == {}
    assert counts["preview"]["loss"].replace(" ", "").endswith("</think>So<|end|>")


def test_long_responses_are_left_out_whole_and_counted() -> None:
    found, counts = build(SYSTEM2, max_response_tokens=9)

    assert {row["id"] for row in found} == {f"r{n}" for n in range(6)}
    assert counts["dropped"] == {"response over 9 tokens": 4}
    assert all(row["input_ids"][-1] == 3 for row in found)  # none is cut


def test_long_examples_are_left_out_and_counted() -> None:
    whole = max(len(row["input_ids"]) for row in build(SYSTEM2)[0])

    found, counts = build(SYSTEM2, max_example_tokens=whole - 3)

    assert len(found) == 7
    assert counts["dropped"] == {f"example over {whole - 3} tokens": 3}


def test_nothing_left_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"all 10 examples were left out.*raise the limits"):
        build(SYSTEM2, max_response_tokens=3)


def test_difficulty_mix_of_examples() -> None:
    found, counts = build(Format(kind="difficulty_mix"))

    assert {r["id"] for r in found if r["target"] == "system2"} == {
        f"r{n}" for n in range(0, 10, 2)
    }
    assert counts["num_system2"] == 5
    system1 = [row for row in found if row["target"] == "system1"]
    assert {len(row["input_ids"]) - row["num_prompt_tokens"] for row in system1} == {2}


def test_preview_marks_what_bears_loss() -> None:
    found, _ = build(Format(kind="difficulty_mix", think_words=40))
    first = Steps(*lengths_of(found), Training(tokens_per_step=64), 0)[0]

    text = preview(tokenizer_of("micro"), found, first, 0)

    marked = [line for line in text.splitlines() if "[[" in line and line.startswith("<s>")]
    assert len(marked) == 10 + len(first.examples)  # five of each kind, and the step
    for line in marked:
        prompt, _, rest = line.partition("[[")
        assert "Where?" in prompt
        assert prompt.endswith("<|assistant|>")
        assert rest.endswith("So <|end|>]]")
        assert ("<think>" in rest) == ("Think" in prompt)
    assert f"first step: {len(first.examples)} documents, {first.num_tokens} tokens" in text
