r"""MATH-500: competition problems with free-form answers, graded by Math-Verify.

Data: HuggingFaceH4/MATH-500, split test, 500 rows (MIT); any `*.jsonl` of the asset folder.
Paper: section 4, 16 samples per question. Its prompt and its grader are not known, so our prompt
asks for a boxed answer and we grade the box. Example row:

    {"problem": "How many positive whole-number divisors does 196 have?", "solution": "...",
     "answer": "9", "subject": "Number Theory", "level": 3,
     "unique_id": "test/number_theory/572.json"}
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import Field

from nt_pkg.benchmarks._base import BenchmarkKind, Grade, Item, take_items
from nt_pkg.benchmarks._math_grading import grade_pairs
from nt_pkg.benchmarks._stated import extract_answer
from nt_pkg.config.base import Strict

_COLUMNS = ("problem", "answer", "subject", "unique_id")


class Params(Strict):
    """Parameters of MATH-500."""

    num_questions: int | None = Field(
        default=None, ge=1, description="number of questions, in digest order; null takes all 500"
    )


def load(params: Params, source: Path | None) -> list[Item]:
    """Return the problems; `category` is the subject, and `level` the difficulty.

    Raises:
        ValueError: the folder has no JSON Lines file, or a row is invalid or has no gold answer.
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
    """Return a grade per answer; without a box or an answer phrase there is no answer: wrong.

    Raises:
        ValueError: a gold answer is empty; the answers must not count as wrong.
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
            f"{', '.join(_COLUMNS)}: keep only its file in this folder"
        )
    return Item(
        id=texts["unique_id"],
        question=texts["problem"].strip(),
        gold=texts["answer"].strip(),
        category=texts["subject"],
        levels=(("level", str(fields["level"])),) if "level" in fields else (),
    )


BENCHMARK = BenchmarkKind(params=Params, load=load, prompt=prompt, grade=grade)
