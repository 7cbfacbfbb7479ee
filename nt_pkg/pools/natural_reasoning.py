"""NaturalReasoning, and any local file in its column shape.

Data: facebook/natural_reasoning (CC-BY-NC-4.0), 1,145,824 rows, paper section 2. Reads `*.jsonl`
and `*.parquet` of the asset directory as a stream. Example row:

    {"question": "What is ...?", "reference_answer": "4.2 m",
     "responses": [{"response_model": "Llama3.3-70B-Instruct", "response": "Step 1 ..."}]}

A row that cannot be read is a row with a defect, never a crash: sets of this size hold some.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import BaseModel, ConfigDict, Field

from nt_pkg.pools._base import Pool, RawRow

MAX_LINE_BYTES = 16 << 20  # more than any honest row, little enough to hold
BATCH_ROWS = 1024
_EXCERPT_BYTES = 800
_PLACE = r"^(reference_answer|responses\[\d+\]\.response)$"


class Params(BaseModel):
    """Options of a NaturalReasoning pool."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_rows: int | None = Field(
        default=None, ge=1, description="rows to read from the start; null reads all"
    )
    second_answer: str | None = Field(
        default="responses[0].response",
        pattern=_PLACE,
        description="where the second model's answer stands (paper: Llama-3.3-70B-Instruct's)",
    )
    teacher_trace: str | None = Field(
        default=None,
        pattern=_PLACE,
        description="where the text stands that the replay teacher gives back",
    )


def rows(params: Params, source: Path | None) -> Iterator[RawRow]:
    """Yield the rows of all files in the order of their names; blank lines are no rows.

    Raises:
        ValueError: the directory has no file to read, or a Parquet file is cut off.
    """
    files = sorted(each for each in source.iterdir() if each.suffix in _READERS) if source else []
    if not files:
        raise ValueError(
            f"natural_reasoning: no *.jsonl and no *.parquet in {source}; put the files of "
            "facebook/natural_reasoning there"
        )
    found = (each for path in files for each in _READERS[path.suffix](path))
    for index, fields in enumerate(found):
        if index == params.max_rows:
            return
        yield _raw_row(index, fields, params)


@dataclass(frozen=True)
class _Unreadable:
    """A row of which only a defect and some text are known."""

    defect: str
    excerpt: str = ""


def _jsonl(path: Path) -> Iterator[object]:
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


def _parquet(path: Path) -> Iterator[object]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = ("question", "reference_answer", "responses")
    try:
        with pq.ParquetFile(path) as file:
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


def _raw_row(index: int, fields: object, params: Params) -> RawRow:
    """Return the row, or a row with the first defect found in its fields."""
    if isinstance(fields, _Unreadable):
        return RawRow(index, fields.excerpt, defect=fields.defect)
    if not isinstance(fields, dict):
        return RawRow(index, json.dumps(fields), defect="wrong_type")
    question = fields.get("question")
    if question is None:
        return RawRow(index, _excerpt(fields), defect="missing_question")
    try:
        if not isinstance(question, str):
            raise TypeError
        reference = _text_at(fields, "reference_answer")
        second, replay = (
            _text_at(fields, params.second_answer),
            _text_at(fields, params.teacher_trace),
        )
    except KeyError:
        return RawRow(index, _excerpt(fields), defect="missing_column")
    except TypeError:
        return RawRow(index, _excerpt(fields), defect="wrong_type")
    return RawRow(index, question, reference, second, replay)


def _excerpt(fields: dict[str, Any]) -> str:
    return json.dumps(fields, default=str)[:_EXCERPT_BYTES]


def _text_at(fields: dict[str, Any], place: str | None) -> str | None:
    """Return the text at "column" or "column[i].key"; None if it is empty or not in the list.

    Raises:
        KeyError: there is no such column or key.
        TypeError: the value has another type.
    """
    if place is None:
        return None
    column, *rest = re.split(r"\[|\]\.", place)
    value = fields[column]
    if rest and value is not None:
        position, key = int(rest[0]), rest[1]
        if not isinstance(value, list):
            raise TypeError
        value = value[position][key] if position < len(value) else None
    if value is not None and not isinstance(value, str):
        raise TypeError
    return value if value and value.strip() else None


POOL = Pool(params=Params, rows=rows, needs_source=True)
