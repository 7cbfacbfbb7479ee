"""NaturalReasoning, and any local file with the same columns.

Data: facebook/natural_reasoning (CC-BY-NC-4.0), 1,145,824 rows, paper section 2. Reads the JSON
and Parquet files of the asset folder as a stream. Example row:

    {"question": "What is ...?", "reference_answer": "4.2 m",
     "responses": [{"response_model": "Llama3.3-70B-Instruct", "response": "Step 1 ..."}]}
"""

import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from nt_pkg.pools._base import PoolKind, RawRow
from nt_pkg.pools._files import Fields, FileParams, RowTexts, file_rows, question_of, text_of

_Place = tuple[str, int, str]  # column, position in its list, key in it; key "": the column itself
_PLACE = r"^(reference_answer|responses\[\d+\]\.response)$"


class Params(FileParams):
    """Parameters of a NaturalReasoning pool."""

    second_answer: str | None = Field(
        default="responses[0].response",
        pattern=_PLACE,
        description="place of the second model's answer (paper: that of Llama-3.3-70B-Instruct)",
    )
    teacher_trace: str | None = Field(
        default=None,
        pattern=_PLACE,
        description="place of the text that the replay teacher returns",
    )
    box_after: str | None = Field(
        default=None,
        min_length=1,
        description="words in that text before its final answer, which is put into a box, as "
        "benchmarks of mathematics ask for one; null changes nothing",
    )


def rows(params: Params, source: Path | None) -> Iterator[RawRow]:
    """Yield the rows of all files, in the order of their names; blank lines are skipped.

    Raises:
        ValueError: the folder has no file to read, or a Parquet file is truncated.
    """
    second, trace = _place(params.second_answer), _place(params.teacher_trace)

    def take(fields: Fields) -> RowTexts:
        return RowTexts(
            question_of(fields.get("question")),
            _text_at(fields, ("reference_answer", 0, "")),
            _text_at(fields, second),
            _boxed(_text_at(fields, trace), params.box_after),
        )

    columns = ("question", "reference_answer", "responses")
    return file_rows("facebook/natural_reasoning", columns, take, source, params.max_rows)


def _place(text: str | None) -> _Place | None:
    """Parse "column" or "column[i].key"."""
    if text is None:
        return None
    column, *rest = re.split(r"\[|\]\.", text)
    return (column, int(rest[0]), rest[1]) if rest else (column, 0, "")


def _text_at(fields: Fields, place: _Place | None) -> str | None:
    """Return the text at a place; None if it is empty or the list is too short.

    Raises:
        KeyError: the column or the key is missing.
        TypeError: the value has the wrong type.
    """
    if place is None:
        return None
    column, position, key = place
    value = fields[column]
    if key and value is not None:
        if not isinstance(value, list):
            raise TypeError
        value = value[position][key] if position < len(value) else None
    return text_of(value)


def _boxed(text: str | None, marker: str | None) -> str | None:
    """Return a text with a box around what follows the last marker, unless there is one already."""
    if text is None or marker is None:
        return text
    before, found, answer = text.rpartition(marker)
    if not found or not answer.strip() or "\\boxed" in answer:
        return text
    return f"{before}{marker} \\boxed{{{answer.strip()}}}"


POOL = PoolKind(params=Params, rows=rows, needs_source=True)
