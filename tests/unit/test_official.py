"""Extractors of others: what their scripts returned on 240 texts, and growth on hostile ones.

The expected letters in the golden file are those of the scripts themselves, at the commits that
`_official.py` names; half of the texts are made by hand, the rest drawn from what they look for.
"""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from nt_pkg.benchmarks import _official as official
from nt_pkg.benchmarks._base import Item
from tests.unit.growth import assert_linear

GOLDEN = Path(__file__).parents[1] / "golden" / "benchmarks" / "official_extractors.json"
CASES = json.loads(GOLDEN.read_text())
OPTIONS = ["12 m", "$x$", "foo", "foo bar", "(a)"]


def test_letters_are_those_of_the_scripts() -> None:
    """All three on every text."""
    found = [
        {
            "text": case["text"],
            "simple_evals": official.simple_evals(case["text"]),
            "mmlu_pro": official.mmlu_pro(case["text"]),
            "supergpqa": official.supergpqa(case["text"], OPTIONS),
        }
        for case in CASES
    ]

    assert found == CASES
    assert len(CASES) > 200


@pytest.mark.parametrize(
    "hostile",
    [
        lambda n: "answer: " * n,
        lambda n: "Answer:" + " " * n + "x",
        lambda n: "the answerx" + " " * n,
        lambda n: "the " * n,
        lambda n: "the " + "w" * n,
        lambda n: "the answer is " + "(" * n + "x",
        lambda n: "Answer: " + "\\boxed{" * n,
        lambda n: "\\boxed{" * n,
        lambda n: "$(" * n,
        lambda n: "Answer" + "*" * n,
        lambda n: "Answer" * n,
        lambda n: "A" * n,
        lambda n: "é A" * n + "é",
        lambda n: "C" + "}" * n + "x",
        lambda n: "the answer is C" + "}" * n + "x",
        lambda n: ("the answer is C" + "}" * 100 + "x\n") * (n // 100),
        lambda n: "\n" * n + "x",
        lambda n: "Answer $" + "{" * n,
    ],
    ids=lambda hostile: hostile(100)[:14],
)
def test_work_on_what_makes_the_scripts_backtrack_is_linear(hostile: Callable[[int], str]) -> None:
    assert_linear(official.simple_evals, hostile)
    assert_linear(official.mmlu_pro, hostile)
    assert_linear(lambda text: official.supergpqa(text, OPTIONS), hostile)


def test_guess_of_mmlu_pro_is_the_scripts() -> None:
    """Subjects in order, questions by number, every subject twice; found letters draw nothing."""
    options = ("w", "x", "y", "z")
    items = [
        Item(str(n), "?", "ABCD"[n % 4], options, "law" if n % 2 else "art") for n in range(9, 49)
    ]
    answers = [(item, "The answer is (A)." if item.id == "20" else "no idea") for item in items]
    stream, expected = random.Random(12345), {}
    for subject in ("art", "law"):
        for _ in range(2):
            for item in items:
                if item.category == subject and item.id != "20":
                    expected[item.id] = "ABCD"[stream.randint(0, 3)] == item.gold
    expected["20"] = True
    grades = official.grade_mmlu_pro(answers[::-1])[::-1]

    assert {i.id: g.is_correct for i, g in zip(items, grades, strict=True)} == expected
    assert [grade.extracted for grade in grades].count(None) == 39
    assert sum(g.is_correct for g in official.grade_mmlu_pro_without_guess(answers)) == 1
