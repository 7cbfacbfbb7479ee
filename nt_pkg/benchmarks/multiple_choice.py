"""Questions with two to ten options, from any table: an exam, a test of your own.

The options keep the order of the row. Example rows, the second with `options: [a, b, c]` and
`answer_is: text`:

    {"question": "Which is even?", "options": ["3", "4", "5"], "answer": "B"}
    {"question": "Which is even?", "a": "3", "b": "4", "c": "5", "answer": "4"}
"""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import Field

from nt_pkg.benchmarks._base import BenchmarkKind, Item, take_items
from nt_pkg.benchmarks._choice import OPTION_LETTERS, grade_choices, letters_of, option_lines
from nt_pkg.benchmarks._table import Fields, TableParams, checked_choice, question_rows, text_of


class Params(TableParams):
    """Parameters of a table of multiple choice."""

    options: str | tuple[str, ...] = Field(
        default="options", description="column of the list of options, or the columns of each"
    )
    answer_is: Literal["letter", "index", "text"] = Field(
        default="letter",
        description="what the answer's column holds: a letter, a position from 0, or the option",
    )


def load(params: Params, source: Path | None) -> list[Item]:
    """Return the questions of all files.

    Raises:
        ValueError: there is no file, or a row is invalid. No error contains text of a row.
    """
    more = [params.options] if isinstance(params.options, str) else params.options
    items = []
    for row, names, place in question_rows(params, more, source):
        options = _options(params, row, place)
        check: dict[str, Callable[[str], int]] = {
            "letter": lambda text: tuple(OPTION_LETTERS).index(text.upper()),
            "index": int,
            "text": options.index,
        }
        answer = text_of(row, params.answer, place)
        gold = checked_choice(check[params.answer_is], answer, len(options), place)
        items.append(Item(gold=OPTION_LETTERS[gold], options=tuple(options), **names))
    return take_items(items, params.num_questions)


def _options(params: Params, row: Fields, place: str) -> list[str]:
    if isinstance(params.options, str):
        found = row.get(params.options)
        texts = {str(n): each for n, each in enumerate(found)} if isinstance(found, list) else {}
        names = list(texts)
    else:
        texts, names = dict(row), list(params.options)
    if not 2 <= len(names) <= len(OPTION_LETTERS):
        raise ValueError(f"{place}: {len(names)} options, not 2 to 10: correct the row")
    return [text_of(texts, name, f"{place}, option") for name in names]


def prompt(item: Item) -> str:
    """Return the question with options "A) ..." and the request for a last line "Answer: X"."""
    return (
        f"{item.question}\n\n{option_lines(item.options, ')')}\n\n"
        "One option is correct. Finish your response with a line of the form 'Answer: X', where X "
        f"is one of {letters_of(item.options)}."
    )


BENCHMARK = BenchmarkKind(params=Params, load=load, prompt=prompt, grade=grade_choices)
