"""MMLU-Pro: 12,032 questions of 14 subjects with three to ten options, in their own order.

Data: TIGER-Lab/MMLU-Pro, split test (data/test-*.parquet; MIT). Paper: section 4, one answer per
question; its prompt is not known. The authors' prompt is five-shot without a chat template. Ours is
for chat models, has no examples, and asks for the same last words. Example row, made up:

    {"question_id": 70, "question": "Which is even?", "options": ["3", "4", "5"], "answer": "B",
     "answer_index": 1, "cot_content": "", "category": "math", "src": "stemez-Math"}
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nt_pkg.benchmarks._base import BenchmarkKind, Item, take_items
from nt_pkg.benchmarks._choice import (
    ChoiceParams,
    columns_of,
    grade_choices,
    letters_of,
    option_lines,
    options_of,
    source_rows,
)
from nt_pkg.benchmarks._official import grade_mmlu_pro, grade_mmlu_pro_without_guess

HUB = "TIGER-Lab/MMLU-Pro"
_COLUMNS = ("question", "answer", "category", "src")


class Params(ChoiceParams):
    """Parameters of MMLU-Pro."""


def load(params: Params, source: Path | None) -> list[Item]:
    """Return the questions of the test split; `category` is the subject.

    Raises:
        ValueError: there is no file, or a row is invalid.
    """
    items = [_item(row, place) for row, place in source_rows(source, HUB, (".parquet", ".jsonl"))]
    return take_items(items, params.num_questions)


def _item(row: Mapping[str, Any], place: str) -> Item:
    number = row.get("question_id")
    if not isinstance(number, int):
        raise ValueError(f"{place}: question_id missing or not an integer; fetch the file again")
    question, letter, category, src = columns_of(row, _COLUMNS, place, HUB)
    # In one row answer_index contradicts the letter; the authors' scripts compare the letter.
    return Item(
        id=str(number),
        question=question,
        gold=letter,
        options=options_of(row, letter, place),
        category=category,
        levels=(("origin", src.split("-")[0]),),
    )


def prompt(item: Item) -> str:
    """Return the question with options "A. ..." and the request for "The answer is (X)"."""
    return (
        f"Question:\n{item.question}\nOptions:\n{option_lines(item.options, '.')}\n\n"
        f"This is a multiple choice question about {item.category}. Finish your response with "
        f'"The answer is (X)", where X is one of {letters_of(item.options)}.'
    )


BENCHMARK = BenchmarkKind(
    params=Params,
    load=load,
    prompt=prompt,
    grade=grade_choices,
    alternatives={
        "mmlu_pro": grade_mmlu_pro,
        "mmlu_pro_without_guess": grade_mmlu_pro_without_guess,
    },
)
