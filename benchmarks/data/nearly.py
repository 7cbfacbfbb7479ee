"""Rows that are nearly a question of a benchmark, for the fuzzy rule.

One row in 20 of those that the slow peer sees, and 200 others, become a question with a share of
its letters replaced: none to nine of 100, so that about half of them are alike for a ratio of 95.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.data.rows import NUM_BENCHMARKS

FUZZY_ROWS, THRESHOLD = 400, 95  # 400 rows and 40,000 questions are 16 million pairs
_NUM_OTHERS, _OTHERS_UP_TO = 200, 1_100_000


def benchmark_questions(folder: Path) -> list[str]:
    """Return the questions of all benchmarks, one benchmark after the other."""
    files = [folder / f"benchmark-{at}" / "test.jsonl" for at in range(NUM_BENCHMARKS)]
    return [json.loads(line)["problem"] for file in files for line in file.open("rb")]


def with_nearly_asked(texts: Iterable[str], questions: list[str]) -> Iterator[str]:
    """Yield the texts, some of them replaced."""
    others = np.linspace(FUZZY_ROWS, _OTHERS_UP_TO, _NUM_OTHERS, dtype=int).tolist()
    rows = {row: at for at, row in enumerate([*range(3, FUZZY_ROWS, 20), *others])}
    draw = np.random.default_rng(3)
    for row, text in enumerate(texts):
        if row not in rows:
            yield text
            continue
        letters = list(questions[7 * rows[row] % len(questions)])
        places = draw.permutation(len(letters))[: len(letters) * (rows[row] % 10) // 100]
        for place in places.tolist():
            letters[place] = chr(97 + int(draw.integers(26)))
        yield "".join(letters)
