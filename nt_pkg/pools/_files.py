"""Reading the files of a pool: JSON lines and Parquet, as a stream, with defects as rows.

A row that cannot be read is a row with a defect, never a crash: sets of this size hold some. No
more than one line of `MAX_LINE_BYTES` or one batch of `BATCH_ROWS` rows is held at a time.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import Field

from nt_pkg.config.base import Strict
from nt_pkg.dialogue.formats import THINK_CLOSE, THINK_OPEN
from nt_pkg.pools._base import RawRow

MAX_LINE_BYTES = 16 << 20  # more than any honest row, little enough to hold
BATCH_ROWS = 1024
_EXCERPT_BYTES = 800

Fields = dict[str, Any]


class FileParams(Strict):
    """Options of every pool that is read from files."""

    max_rows: int | None = Field(
        default=None, ge=1, description="rows to read from the start; null reads all"
    )


@dataclass(frozen=True)
class RowTexts:
    """What a pool finds in the fields of a row; see `RawRow`."""

    question: str
    reference_answer: str | None = None
    second_answer: str | None = None
    replay: str | None = None


class DefectError(Exception):
    """A row that a pool can read but not use; its text is the reason for which it is dropped."""


def file_rows(
    dataset: str,
    columns: Sequence[str],
    take: Callable[[Fields], RowTexts],
    source: Path | None,
    max_rows: int | None,
) -> Iterator[RawRow]:
    """Yield the rows of all `*.jsonl` and `*.parquet` below a folder, in the order of their names.

    Blank lines are no rows. `take` raises KeyError for a column that is missing, TypeError for a
    value of another type, and `DefectError`.

    Args:
        dataset: hub id, for errors.
        columns: those to read of Parquet files, as far as they are there.
        take: (fields of a row) -> its texts.
        source: folder of the pool's files.
        max_rows: rows to read from the start; None reads all.

    Raises:
        ValueError: there is no file to read, or a Parquet file is cut off.
    """
    found = (
        each for path in _files(dataset, source) for each in _READERS[path.suffix](path, columns)
    )
    for index, fields in enumerate(islice(found, max_rows)):
        yield _raw_row(index, fields, take)


def question_of(value: object) -> str:
    """Return a question.

    Raises:
        DefectError: there is none.
        TypeError: it is no text.
    """
    if value is None:
        raise DefectError("missing_question")
    if not isinstance(value, str):
        raise TypeError
    return value


def text_of(value: object) -> str | None:
    """Return a text, None for one that is null or blank.

    Raises:
        TypeError: it is no text.
    """
    if value is not None and not isinstance(value, str):
        raise TypeError
    return value if value and value.strip() else None


def trace_of(reasoning: object, answer: object) -> str | None:
    """Return two texts as the replay teacher gives them back; None if both are missing.

    Raises:
        TypeError: one of them is no text.
    """
    one, other = text_of(reasoning), text_of(answer)
    if one is None and other is None:
        return None
    return f"{THINK_OPEN}\n{one or ''}\n{THINK_CLOSE}\n\n{other or ''}"


def exchange_of(turns: object) -> tuple[str, str | None]:
    """Return question and answer of a conversation `[{"from": "human", "value": "..."}, ...]`.

    A system turn is left out: what it says of a format is not part of the question.

    Raises:
        DefectError: there is no question, or more than one answer.
        KeyError: a turn lacks a key.
        TypeError: something is of another type.
    """
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise TypeError
    said = [(turn["from"], turn["value"]) for turn in turns if turn["from"] != "system"]
    if not said or said[0][0] not in ("human", "user"):
        raise DefectError("missing_question")
    if len(said) > 2 or any(speaker not in ("gpt", "assistant") for speaker, _ in said[1:]):
        raise DefectError("several_turns")
    return question_of(said[0][1]), text_of(said[1][1]) if len(said) == 2 else None


@dataclass(frozen=True)
class _Unreadable:
    """A row of which only a defect and some text are known."""

    defect: str
    excerpt: str = ""


def _files(dataset: str, source: Path | None) -> list[Path]:
    inside = [] if source is None else source.rglob("*")
    found = sorted(each for each in inside if each.suffix in _READERS and each.is_file())
    if not found:
        raise ValueError(
            f"no *.jsonl and no *.parquet in {source}; put the files of {dataset} there"
        )
    return found


def _jsonl(path: Path, _: Sequence[str]) -> Iterator[object]:
    with path.open("rb") as file:
        for line, is_whole in _lines(file):
            if not line.strip():
                continue
            excerpt = line[:_EXCERPT_BYTES].decode(errors="replace")
            if not is_whole:
                yield _Unreadable("too_long", excerpt)
                continue
            try:
                yield json.loads(line.decode("utf-8-sig"))
            except UnicodeDecodeError:
                yield _Unreadable("not_utf8", excerpt)
            except (ValueError, RecursionError):  # cut off, or nested beyond reason
                yield _Unreadable("unreadable", excerpt)


def _lines(file: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    """Yield (line, whether it is whole) without ever holding more than `MAX_LINE_BYTES`."""
    while line := file.readline(MAX_LINE_BYTES):
        is_whole = line.endswith(b"\n") or len(line) < MAX_LINE_BYTES
        yield line, is_whole
        while not is_whole:
            rest = file.readline(MAX_LINE_BYTES)
            is_whole = rest.endswith(b"\n") or len(rest) < MAX_LINE_BYTES


def _parquet(path: Path, columns: Sequence[str]) -> Iterator[object]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # By default pyarrow fetches the whole file ahead.
        with pq.ParquetFile(path, pre_buffer=False) as file:
            present = [name for name in columns if name in file.schema_arrow.names]
            for batch in file.iter_batches(BATCH_ROWS, columns=present):
                try:
                    yield from batch.to_pylist()
                except UnicodeDecodeError:
                    yield from (_parquet_row(batch, index) for index in range(batch.num_rows))
    except (pa.ArrowException, OSError) as error:
        raise ValueError(
            f"{path} cannot be read as Parquet ({error}); it was probably cut off while it was "
            "copied: delete it and fetch it again"
        ) from error


def _parquet_row(batch: Any, index: int) -> object:
    try:
        return batch.slice(index, 1).to_pylist()[0]
    except UnicodeDecodeError:
        return _Unreadable("not_utf8")


_READERS = {".jsonl": _jsonl, ".parquet": _parquet}


def _raw_row(index: int, fields: object, take: Callable[[Fields], RowTexts]) -> RawRow:
    """Return the row, or a row with the first defect found in its fields."""
    if isinstance(fields, _Unreadable):
        return RawRow(index, fields.excerpt, defect=fields.defect)
    if not isinstance(fields, dict):
        return RawRow(index, json.dumps(fields), defect="wrong_type")
    try:
        found = take(fields)
    except KeyError:
        defect = "missing_column"
    except TypeError:
        defect = "wrong_type"
    except DefectError as error:
        defect = str(error)
    else:
        return RawRow(
            index, found.question, found.reference_answer, found.second_answer, found.replay
        )
    return RawRow(index, json.dumps(fields, default=str)[:_EXCERPT_BYTES], defect=defect)
