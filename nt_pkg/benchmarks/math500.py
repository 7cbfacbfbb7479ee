r"""MATH-500: competition problems with free-form answers, graded by Math-Verify.

Data: HuggingFaceH4/MATH-500, split test, 500 rows (MIT); any `*.jsonl` of the asset directory.
Paper: section 4, 16 samples per question; its prompt and its grader are not known, so this asks
for a box and grades the box. Example row:

    {"problem": "How many positive whole-number divisors does 196 have?", "solution": "...",
     "answer": "9", "subject": "Number Theory", "level": 3,
     "unique_id": "test/number_theory/572.json"}
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import Field

from nt_pkg.benchmarks._base import BenchmarkKind, Grade, Item, take_items
from nt_pkg.benchmarks._math_grading import extract_answer, grade_pairs
from nt_pkg.config.base import Strict

_COLUMNS = ("problem", "answer", "subject", "unique_id")


class Params(Strict):
    """Options of MATH-500."""

    num_questions: int | None = Field(
        default=None, ge=1, description="questions to take in digest order; null takes all 500"
    )


def load(params: Params, source: Path | None) -> list[Item]:
    """Return the problems; `category` is the subject.

    Raises:
        ValueError: the directory has no JSON Lines file, or a row is broken or has no gold answer.
    """
    files = sorted(source.glob("*.jsonl")) if source else []
    if not files:
        raise ValueError(
            f"math500: no *.jsonl in {source}; put test.jsonl of HuggingFaceH4/MATH-500 there"
        )
    items = [_item(row, place) for path in files for row, place in _rows(path)]
    return take_items(items, params.num_questions)


def prompt(item: Item) -> str:
    """Return the problem with the request for a boxed answer."""
    return f"{item.question}\n\nPut your final answer in \\boxed{{}}."


def grade(answers: Sequence[tuple[Item, str]]) -> list[Grade]:
    """Return a verdict per answer; no box and no answer phrase means no answer, which is wrong.

    Raises:
        ValueError: a gold answer is empty or cannot be parsed; it must not pass for a wrong answer.
    """
    extracted = [extract_answer(text) for _, text in answers]
    pairs = [
        (item.gold, found)
        for (item, _), found in zip(answers, extracted, strict=True)
        if found is not None
    ]
    verdicts = grade_pairs(pairs)
    return [
        Grade(is_correct=found is not None and verdicts[item.gold, found], extracted=found)
        for (item, _), found in zip(answers, extracted, strict=True)
    ]


def _rows(path: Path) -> Iterator[tuple[object, str]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            place = f"{path}, line {number}"
            if not line.strip():
                continue
            try:
                yield json.loads(line), place
            except json.JSONDecodeError as error:
                raise ValueError(f"{place}: not JSON ({error}); fetch the file again") from error


def _item(row: object, place: str) -> Item:
    fields = row if isinstance(row, dict) else {}
    texts = {name: value for name, value in fields.items() if isinstance(value, str)}
    bad = [name for name in _COLUMNS if not texts.get(name, "").strip()]
    if bad:
        raise ValueError(
            f"{place}: {', '.join(bad)} missing, empty or not text; a row of MATH-500 has "
            f"{', '.join(_COLUMNS)}: keep only its file in this directory"
        )
    return Item(
        id=texts["unique_id"],
        question=texts["problem"].strip(),
        gold=texts["answer"].strip(),
        category=texts["subject"],
    )


BENCHMARK = BenchmarkKind(params=Params, load=load, prompt=prompt, grade=grade)
