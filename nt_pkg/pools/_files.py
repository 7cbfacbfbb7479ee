"""The rows of a pool's files, and the texts of their fields.

A row that cannot be read becomes a row with a defect and never stops the job: data sets of this
size contain some.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import Field

from nt_pkg.config.base import Strict
from nt_pkg.dialogue.formats import THINK_CLOSE, THINK_OPEN
from nt_pkg.files.json_rows import EXCERPT_BYTES, Unreadable
from nt_pkg.pools._base import RawRow
from nt_pkg.pools._readers import data_files, read_file

Fields = dict[str, Any]
_SYSTEM = ("system", "developer")


class FileParams(Strict):
    """Parameters of every pool that is read from files."""

    max_rows: int | None = Field(
        default=None, ge=1, description="number of rows to read from the start; null reads all"
    )


@dataclass(frozen=True)
class RowTexts:
    """The texts of a row; see `RawRow`."""

    question: str
    reference_answer: str | None = None
    second_answer: str | None = None
    replay: str | None = None
    columns: str | None = None


class DefectError(Exception):
    """A row that a pool can read but not use; the text is the reason for dropping it."""


def file_rows(
    dataset: str,
    columns: Sequence[str],
    take: Callable[[Fields], RowTexts],
    source: Path | None,
    max_rows: int | None,
) -> Iterator[RawRow]:
    """Yield the rows of all JSON and Parquet files in a folder, files in the order of names.

    Blank lines are skipped. A column of structs that is stored as a struct of lists is read as a
    list of structs. `take` may raise KeyError for a missing column, TypeError for a value
    of the wrong type, and `DefectError`.

    Args:
        dataset: hub id, for errors.
        columns: columns to read from Parquet files; missing ones are ignored.
        take: (fields of a row) -> its texts.
        source: folder of the pool's files.
        max_rows: number of rows to read from the start; None reads all.

    Raises:
        ValueError: there is no file to read, or one is truncated.
    """
    found = (each for path in data_files(dataset, source) for each in read_file(path, columns))
    return raw_rows(islice(found, max_rows), take)


def raw_rows(found: Iterable[object], take: Callable[[Fields], RowTexts]) -> Iterator[RawRow]:
    """Yield rows that were read from files, each with the texts that `take` finds in it.

    See `file_rows`.
    """
    for index, fields in enumerate(found):
        yield _raw_row(index, fields, take)


def question_of(value: object) -> str:
    """Return a question.

    Raises:
        DefectError: the value is None.
        TypeError: the value is not a text.
    """
    if value is None:
        raise DefectError("missing_question")
    if not isinstance(value, str):
        raise TypeError
    return value


def text_of(value: object) -> str | None:
    """Return a text, None if it is null or blank.

    Raises:
        TypeError: the value is not a text.
    """
    if value is not None and not isinstance(value, str):
        raise TypeError
    return value if value and value.strip() else None


def trace_of(reasoning: object, answer: object) -> str | None:
    """Return reasoning and answer in the form that the replay teacher returns, None without both.

    Raises:
        TypeError: one of them is not a text.
    """
    one, other = text_of(reasoning), text_of(answer)
    if one is None and other is None:
        return None
    return f"{THINK_OPEN}\n{one or ''}\n{THINK_CLOSE}\n\n{other or ''}"


def exchange_of(turns: object) -> tuple[str, str | None]:
    """Return question and answer of a conversation.

    A turn is `{"from": "human", "value": "..."}` or `{"role": "user", "content": "..."}`. The
    content may be a list of parts of text, and an answer may have its reasoning apart, in
    `reasoning_content` or `reasoning`. System turns are ignored: their instructions on the format
    are not part of the question.

    Raises:
        DefectError: there is no question, or more than one answer.
        KeyError: a turn lacks a key.
        TypeError: a value has the wrong type.
    """
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise TypeError
    said = [(speaker, turn) for turn in turns if (speaker := _speaker(turn)) not in _SYSTEM]
    if not said or said[0][0] not in ("human", "user"):
        raise DefectError("missing_question")
    if len(said) > 2 or any(speaker not in ("gpt", "assistant") for speaker, _ in said[1:]):
        raise DefectError("several_turns")
    return question_of(_content(said[0][1])), _answer(said[1][1]) if len(said) == 2 else None


def _speaker(turn: Fields) -> object:
    return turn["role"] if "role" in turn else turn["from"]


def _content(turn: Fields) -> object:
    """Return the text of a turn; None or another value where it has none."""
    value = turn["content"] if "content" in turn else turn["value"]
    if not isinstance(value, list):
        return value
    if not all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in value):
        raise TypeError
    return "".join(part["text"] for part in value)


def _answer(turn: Fields) -> str | None:
    reasoning = text_of(turn.get("reasoning_content") or turn.get("reasoning"))
    if reasoning is None:
        return text_of(_content(turn))
    return trace_of(reasoning, _content(turn))


def _raw_row(index: int, fields: object, take: Callable[[Fields], RowTexts]) -> RawRow:
    """Return the row, or a row with the first defect of its fields."""
    if isinstance(fields, Unreadable):
        return RawRow(index, fields.excerpt, defect=fields.defect)
    if not isinstance(fields, dict):
        return RawRow(index, json.dumps(fields), defect="wrong_type")
    try:
        found = take({name: _as_list(value) for name, value in fields.items()})
    except KeyError:
        defect = "missing_column"
    except TypeError:
        defect = "wrong_type"
    except DefectError as error:
        defect = str(error)
    else:
        return RawRow(index, **vars(found))
    return RawRow(index, json.dumps(fields, default=str)[:EXCERPT_BYTES], defect=defect)


def _as_list(value: Any) -> Any:
    """Return a struct of lists of one length as a list of structs, any other value unchanged."""
    if not isinstance(value, dict) or not value:
        return value
    if any(not isinstance(each, list) for each in value.values()):
        return value
    if len({len(each) for each in value.values()}) > 1:
        return value
    return [dict(zip(value, each, strict=True)) for each in zip(*value.values(), strict=True)]
