"""Extractors of others: what their scripts returned on 240 texts, and time on hostile ones.

The expected letters in the golden file are those of the scripts themselves, at the commits that
`_official.py` names; half of the texts are made by hand, the rest drawn from what they look for.
"""

import json
import random
import time
from pathlib import Path

import pytest

from nt_pkg.benchmarks import _official as official
from nt_pkg.benchmarks._base import Item

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
        "answer: " * 12_500,
        "Answer:" + " " * 100_000 + "x",
        "the answerx" + " " * 100_000,
        "the " * 25_000,
        "the " + "w" * 100_000,
        "the answer is " + "(" * 100_000 + "x",
        "Answer: " + "\\boxed{" * 14_000,
        "\\boxed{" * 14_000,
        "$(" * 50_000,
        "Answer" + "*" * 100_000,
        "Answer" * 16_000,
        "A" * 100_000,
        "é A" * 25_000 + "é",
        "C" + "}" * 100_000 + "x",
        "the answer is C" + "}" * 100_000 + "x",
        ("the answer is C" + "}" * 100 + "x\n") * 800,
        "\n" * 100_000 + "x",
        "Answer $" + "{" * 100_000,
    ],
    ids=lambda text: text[:14],
)
def test_time_is_linear(hostile: str) -> None:
    """100 kB of what makes the scripts themselves backtrack."""
    start = time.process_time()
    official.simple_evals(hostile)
    official.mmlu_pro(hostile)
    official.supergpqa(hostile, OPTIONS)

    assert time.process_time() - start < 0.5


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
