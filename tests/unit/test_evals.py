"""Scoring answers."""

import math
from typing import Any

import numpy as np
import pytest

from nt_pkg.benchmarks._base import Grade, Item
from nt_pkg.dialogue.split_reasoning import Thought
from nt_pkg.evaluation import score as evals


def sample(question: str, repeat: int = 0, **changes: Any) -> dict[str, Any]:
    """Return a row of the samples artifact as far as scoring reads it."""
    row = {"question_id": question, "repeat": repeat, "completion_tokens": 8}
    return {**row, "finish_reason": "stop", "status": "ok", **changes}


def scored(
    outcomes: dict[str, list[bool]], categories: dict[str, str] | None = None
) -> dict[str, Any]:
    """Return the score of questions with the given verdicts."""
    items = [Item(name, "?", "x", category=(categories or {}).get(name, "")) for name in outcomes]
    pairs = [(n, r, ok) for n, oks in outcomes.items() for r, ok in enumerate(oks)]
    return evals.score(
        items,
        [sample(name, repeat) for name, repeat, _ in pairs],
        [Grade(ok, "x") for _, _, ok in pairs],
        [Thought(None, "x", False) for _ in pairs],
        len(next(iter(outcomes.values()))),
    )


def test_standard_error_of_one_answer_each_is_the_binomial_one() -> None:
    """Two of four right: sqrt(p (1 - p) / (n - 1))."""
    found = scored({"a": [True], "b": [True], "c": [False], "d": [False]})

    assert found["accuracy"] == 0.5
    assert found["standard_error"] == pytest.approx(math.sqrt(0.25 / 3))


def test_repeats_of_one_question_are_not_independent() -> None:
    """Eight equal answers to each of two questions say no more than one answer each."""
    once = scored({"a": [True], "b": [False]})
    often = scored({"a": [True] * 8, "b": [False] * 8})

    assert often["standard_error"] == once["standard_error"] == pytest.approx(0.5)
    assert scored({"a": [True, False], "b": [False, True]})["standard_error"] == 0
    assert scored({"a": [True]})["standard_error"] is None


def test_categories_hold_numbers_of_questions() -> None:
    """A category's accuracy is the mean over its questions."""
    verdicts = {"a": [True, True], "b": [True, False], "c": [False, False]}
    found = scored(verdicts, {"a": "k=2", "b": "k=2", "c": "k=3"})

    assert found["by_category"] == {
        "k=2": {"num": 2, "accuracy": 0.75, "standard_error": pytest.approx(0.25)},
        "k=3": {"num": 1, "accuracy": 0.0, "standard_error": None},
    }
    assert found["accuracy"] == 0.5
    assert found["macro"]["category"]["accuracy"] == 0.375


def test_levels_have_scores_of_their_own() -> None:
    """The field "Theory" of two disciplines is two fields."""
    items = [
        Item(str(n), "?", "x", category=d, levels=(("field", f"{d}/Theory"),))
        for n, d in enumerate(("Music", "Music", "Law"))
    ]
    samples = [sample(item.id) for item in items]
    grades = [Grade(True, "x"), Grade(False, "y"), Grade(True, "x")]
    found = evals.score(items, samples, grades, [Thought(None, "x", False)] * 3, 1)

    assert {k: v["accuracy"] for k, v in found["by_level"]["field"].items()} == {
        "Law/Theory": 1.0,
        "Music/Theory": 0.5,
    }
    assert found["macro"]["field"]["num_groups"] == 2
    assert found["macro"]["field"]["accuracy"] == 0.75


def test_errors_in_closed_form_are_those_of_resampling_questions() -> None:
    """Two groups of 40 and 60 questions, four answers each, 4,000 draws."""
    draw = np.random.default_rng(0)
    groups = [draw.binomial(4, draw.beta(2, 2, size), size) / 4 for size in (40, 60)]
    micro, macro = [], []
    for _ in range(4000):
        drawn = [draw.choice(group, len(group)) for group in groups]
        macro.append(np.mean([each.mean() for each in drawn]))
        micro.append(draw.choice(np.concatenate(groups), 100).mean())

    assert evals.standard_error(np.concatenate(groups).tolist()) == pytest.approx(
        np.std(micro), rel=0.05
    )
    found = evals.macro([group.tolist() for group in groups])
    assert found["standard_error"] == pytest.approx(np.std(macro), rel=0.05)


def test_rates_and_tokens() -> None:
    """A failed sample is wrong and counted; its tokens are not."""
    items = [Item(name, "?", "x") for name in "abcd"]
    samples = [
        sample("a", completion_tokens=0),
        sample("b", completion_tokens=5),
        sample("c", completion_tokens=100, finish_reason="length"),
        sample("d", completion_tokens=7777, finish_reason="error", status="failed"),
    ]
    grades = [Grade(True, "x"), Grade(False, "y"), Grade(False, None), Grade(True, "x")]
    splits = [
        Thought("r", "x", True),
        Thought("", "y", True),
        Thought("r", "", False),
        Thought(None, "x", False),
    ]
    found = evals.score(items, samples, grades, splits, 1)

    assert found == {
        "num_questions": 4,
        "repeats": 1,
        "accuracy": 0.25,
        "standard_error": pytest.approx(0.25),
        "by_category": {"": {"num": 4, "accuracy": 0.25, "standard_error": pytest.approx(0.25)}},
        "by_level": {},
        "macro": {},
        "mean_tokens": 35.0,
        "mean_tokens_complete": 2.5,
        "median_tokens": 5,
        "token_histogram": {
            "edges": [0, 1, 2, 4, 8, 16, 32, 64, 128],
            "counts": [1, 0, 0, 1, 0, 0, 0, 1],
        },
        "truncation_rate": 0.25,
        "no_answer_rate": 0.25,
        "thinking_rate": 0.25,
        "failed": 1,
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda rows: rows[:-2],
            r"2 samples are missing .*: b#0, b#1; the samples belong to other",
        ),
        (lambda rows: [*rows, rows[0]], r"1 samples are not asked for .*: a#0;"),
        (lambda rows: [*rows, sample("z")], r"not asked for .*: z#0;"),
    ],
)
def test_incomplete_samples_are_refused(change: Any, message: str) -> None:
    """The denominator is the benchmark, never what happens to be there."""
    rows = change([sample(name, repeat) for name in "ab" for repeat in range(2)])
    items = [Item(name, "?", "x") for name in "ab"]
    with pytest.raises(ValueError, match=message):
        evals.score(
            items, rows, [Grade(True, "x")] * len(rows), [Thought(None, "x", False)] * len(rows), 2
        )
