"""SuperGPQA: 26,529 graduate questions of 285 subfields with four to ten options, in their order.

Data: m-a-p/SuperGPQA, file SuperGPQA-all.jsonl (ODC-BY). Paper: section 4, one answer per question;
its prompt is not known. Example row, made up:

    {"uuid": "0a", "question": "Which is even?", "options": ["3", "4", "5", "7"], "answer": "4",
     "answer_letter": "B", "discipline": "Science", "field": "Mathematics", "subfield": "Numbers",
     "difficulty": "easy", "is_calculation": false}
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
from nt_pkg.benchmarks._official import grade_supergpqa

HUB = "m-a-p/SuperGPQA"
_COLUMNS = (
    "uuid",
    "question",
    "answer_letter",
    "discipline",
    "field",
    "subfield",
    "difficulty",
)


class Params(ChoiceParams):
    """Parameters of SuperGPQA."""


def load(params: Params, source: Path | None) -> list[Item]:
    """Return the questions; `category` is the discipline.

    Raises:
        ValueError: there is no file, or a row is invalid.
    """
    items = [_item(row, place) for row, place in source_rows(source, HUB, (".jsonl", ".parquet"))]
    return take_items(items, params.num_questions)


def _item(row: Mapping[str, Any], place: str) -> Item:
    row_id, question, letter, discipline, field, subfield, difficulty = columns_of(
        row, _COLUMNS, place, HUB
    )
    return Item(
        id=row_id,
        question=question,
        gold=letter,
        options=options_of(row, letter, place),
        category=discipline,
        # Several disciplines have a field of the same name, so a group's name includes its parents.
        levels=(
            ("field", f"{discipline}/{field}"),
            ("subfield", f"{discipline}/{field}/{subfield}"),
            ("difficulty", difficulty),
        ),
    )


def prompt(item: Item) -> str:
    """Return the question with options "A) ..." and the request for a last line "Answer: X"."""
    return (
        f"{item.question}\n{option_lines(item.options, ')')}\n\n"
        "There is only one correct option. The last line of your response should read 'Answer: X', "
        f"where X is one of {letters_of(item.options)}."
    )


BENCHMARK = BenchmarkKind(
    params=Params,
    load=load,
    prompt=prompt,
    grade=grade_choices,
    alternatives={"supergpqa": grade_supergpqa},
)
