"""Questions from any table: JSON lines, JSON, CSV, Parquet or Arrow, with named columns."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from nt_pkg.config.base import Strict
from nt_pkg.files.tables import table_rows
from nt_pkg.identity.question_id import question_id
from nt_pkg.jobs.work_dir import cache_dir

Fields = Mapping[str, Any]


class TableParams(Strict):
    """Columns of a table of questions."""

    question: str = Field(default="question", description="column of the question")
    answer: str = Field(default="answer", description="column of the right answer")
    id: str | None = Field(
        default=None, description="column of an id; null takes a digest of the question"
    )
    category: str | None = Field(
        default=None, description="column of a subject, to score each apart"
    )
    num_questions: int | None = Field(
        default=None, ge=1, description="number of questions, in digest order; null takes all"
    )


def question_rows(
    params: TableParams, more: Sequence[str], source: Path | None
) -> Iterator[tuple[Fields, dict[str, Any], str]]:
    """Yield (row, id, question and category of its item, its place) of every row.

    Args:
        params: names of columns.
        more: further columns that the table must have.
        source: folder of the files.

    Raises:
        ValueError: there is no file, a row cannot be read, or it lacks a text. No error contains
            text of a row.
    """
    columns = [params.question, params.answer, params.id, params.category]
    needed = [*(name for name in columns if name is not None), *more]
    rows = list(table_rows(source, needed, (), cache_dir("datasets")))  # a wrong column comes first
    for number, row in enumerate(rows, start=1):
        place = f"{source}, row {number}"
        if not isinstance(row, dict):
            raise ValueError(f"{place} cannot be read: correct it or remove it from the data")
        question = text_of(row, params.question, place)
        names: dict[str, Any] = {
            "id": text_of(row, params.id, place) if params.id else question_id(question),
            "question": question,
            "category": text_of(row, params.category, place) if params.category else "",
        }
        yield row, names, place


def text_of(row: Fields, column: str, place: str) -> str:
    """Return a text of a row without blanks around it, or a number as a text.

    Raises:
        ValueError: it is missing, empty or something else.
    """
    value = row.get(column)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{place}: {column} is missing, empty or not text: correct the row")
    return value.strip()


def checked_choice(check: Callable[[str], int], text: str, num: int, place: str) -> int:
    """Return the position of the right option.

    Args:
        check: text of the answer's column -> position; raises ValueError.
        text: that text.
        num: number of options.
        place: of the row, for errors.

    Raises:
        ValueError: the answer is none of the options.
    """
    try:
        position = check(text)
    except ValueError:
        position = -1
    if not 0 <= position < num:
        raise ValueError(
            f"{place}: the answer is none of its {num} options: correct the row, or `answer_is`"
        )
    return position
