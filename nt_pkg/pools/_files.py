"""Read the files of a pool as a stream: JSON lines and Parquet.

A row that cannot be read becomes a row with a defect and never stops the job: data sets of this
size contain some. Memory holds at most one line of `MAX_LINE_BYTES` or one batch of `BATCH_ROWS`.
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

MAX_LINE_BYTES = 16 << 20  # more than any real row, and little enough for memory
BATCH_ROWS = 1024
_EXCERPT_BYTES = 800

Fields = dict[str, Any]


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


class DefectError(Exception):
    """A row that a pool can read but not use; the text is the reason for dropping it."""


def file_rows(
    dataset: str,
    columns: Sequence[str],
    take: Callable[[Fields], RowTexts],
    source: Path | None,
    max_rows: int | None,
) -> Iterator[RawRow]:
    """Yield the rows of all `*.jsonl` and `*.parquet` in a folder, files in the order of names.

    Blank lines are skipped. `take` may raise KeyError for a missing column, TypeError for a value
    of the wrong type, and `DefectError`.

    Args:
        dataset: hub id, for errors.
        columns: columns to read from Parquet files; missing ones are ignored.
        take: (fields of a row) -> its texts.
        source: folder of the pool's files.
        max_rows: number of rows to read from the start; None reads all.

    Raises:
        ValueError: there is no file to read, or a Parquet file is truncated.
    """
    found = (
        each for path in _files(dataset, source) for each in _READERS[path.suffix](path, columns)
    )
    for index, fields in enumerate(islice(found, max_rows)):
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
    """Return question and answer of a conversation `[{"from": "human", "value": "..."}, ...]`.

    System turns are ignored: their instructions on the format are not part of the question.

    Raises:
        DefectError: there is no question, or more than one answer.
        KeyError: a turn lacks a key.
        TypeError: a value has the wrong type.
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
    """A row that cannot be read: its defect and the beginning of its text."""

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
            except (ValueError, RecursionError):  # truncated, or nested too deeply
                yield _Unreadable("unreadable", excerpt)


def _lines(file: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    """Yield (line, whether it is complete) and never hold more than `MAX_LINE_BYTES`."""
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
        # By default pyarrow reads ahead through the whole file.
        with pq.ParquetFile(path, pre_buffer=False) as file:
            present = [name for name in columns if name in file.schema_arrow.names]
            for batch in file.iter_batches(BATCH_ROWS, columns=present):
                try:
                    yield from batch.to_pylist()
                except UnicodeDecodeError:
                    yield from (_parquet_row(batch, index) for index in range(batch.num_rows))
    except (pa.ArrowException, OSError) as error:
        raise ValueError(
            f"{path} cannot be read as Parquet ({error}); it was probably truncated while it was "
            "copied: delete it and fetch it again"
        ) from error


def _parquet_row(batch: Any, index: int) -> object:
    try:
        return batch.slice(index, 1).to_pylist()[0]
    except UnicodeDecodeError:
        return _Unreadable("not_utf8")


_READERS = {".jsonl": _jsonl, ".parquet": _parquet}


def _raw_row(index: int, fields: object, take: Callable[[Fields], RowTexts]) -> RawRow:
    """Return the row, or a row with the first defect of its fields."""
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
