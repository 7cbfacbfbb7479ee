"""GPQA-Diamond: 198 questions of graduate physics, chemistry and biology with four options.

Data: Idavidrein/gpqa, file gpqa_diamond.csv (CC-BY-4.0, gated). Its authors ask that no question
becomes public, so this benchmark is confidential. Paper: section 4, 24 answers per question; its
prompt is not known. Example row, made up, with the columns that are read:

    {"Record ID": "rec0", "Question": "Which is even?", "Correct Answer": "4",
     "Incorrect Answer 1": "3", "Incorrect Answer 2": "5", "Incorrect Answer 3": "7",
     "High-level domain": "Mathematics", "Subdomain": "Numbers"}
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nt_pkg.benchmarks._base import BenchmarkKind, Item, take_items
from nt_pkg.benchmarks._choice import (
    OPTION_LETTERS,
    ChoiceParams,
    columns_of,
    grade_choices,
    letters_of,
    option_lines,
    source_rows,
)
from nt_pkg.benchmarks._official import grade_simple_evals
from nt_pkg.identity.seeds import rng

HUB = "Idavidrein/gpqa"
_ORDER_VERSION = 1  # changing it shuffles the options of every question differently
_COLUMNS = (
    "Record ID",
    "Question",
    "High-level domain",
    "Subdomain",
    "Correct Answer",
    "Incorrect Answer 1",
    "Incorrect Answer 2",
    "Incorrect Answer 3",
)


class Params(ChoiceParams):
    """Parameters of GPQA-Diamond."""


def load(params: Params, source: Path | None) -> list[Item]:
    """Return the questions; the order of the options depends only on the question's id.

    Raises:
        ValueError: there is no file, or a row is invalid. No error contains text of a row.
    """
    items = [_item(row, place) for row, place in source_rows(source, HUB, (".csv",))]
    return take_items(items, params.num_questions)


def _item(row: Mapping[str, Any], place: str) -> Item:
    row_id, question, domain, subdomain, *answers = columns_of(row, _COLUMNS, place, HUB)
    order = list(range(len(answers)))
    rng("gpqa_diamond", _ORDER_VERSION, row_id).shuffle(order)
    return Item(
        id=row_id,
        question=question,
        gold=OPTION_LETTERS[order.index(0)],
        options=tuple(answers[at] for at in order),
        category=domain,
        levels=(("subdomain", f"{domain}/{subdomain}"),),
    )


def prompt(item: Item) -> str:
    """Return the question with options "A) ..." and the request for a last line "Answer: X"."""
    return (
        f"{item.question}\n\n{option_lines(item.options, ')')}\n\n"
        "One option is correct. Finish your response with a line of the form 'Answer: X', where X "
        f"is one of {letters_of(item.options)}."
    )


BENCHMARK = BenchmarkKind(
    params=Params,
    load=load,
    prompt=prompt,
    grade=grade_choices,
    alternatives={"simple_evals": grade_simple_evals},
    is_confidential=True,
)
