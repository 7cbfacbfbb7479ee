"""Read JSON lines, JSON arrays and Parquet as a stream of rows.

Memory holds at most one row of JSON, or one batch of `BATCH_ROWS`.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from nt_pkg.files.json_rows import json_array, json_lines
from nt_pkg.files.tables import BROKEN, damaged, first_line, is_row, opened, row_of

logger = logging.getLogger("nt")

BATCH_ROWS = 1024
_MANIFEST = "manifest.json"  # ours
_MAY_HOLD_ROWS = (
    ".json", ".ndjson", ".csv", ".tsv", ".arrow", ".feather", ".avro", ".orc", ".pkl",
    ".gz", ".zst", ".xz", ".bz2", ".zip", ".tar", ".tgz",
)  # fmt: skip
_Columns = Sequence[str] | None  # None: all


def data_files(dataset: str, source: Path | None) -> list[Path]:
    """Return the files of a folder that hold rows, in the order of their names.

    The others that look like data are named in the log.

    Raises:
        ValueError: there is none; the message names the data set, and files that cannot be read.
    """
    inside = [] if source is None else sorted(each for each in source.rglob("*") if each.is_file())
    found = [each for each in inside if _reader(each)]
    others = [each.name for each in inside if _looks_like_rows(each) and each not in set(found)]
    named = ", ".join(others[:5])
    if not found:
        raise ValueError(
            f"no *.jsonl, *.json or *.parquet with rows in {source}; put the files of {dataset} "
            f"there{f' (these cannot be read: {named})' if named else ''}"
        )
    if named:
        logger.warning("%s: these files are not read: %s", source, named)
    return found


def read_file(path: Path, columns: Sequence[str] | None = None) -> Iterator[object]:
    """Yield the rows of a file; `columns` are those read from Parquet, missing ones are ignored.

    Raises:
        ValueError: the file is truncated, or of another kind.
    """
    reader = _reader(path)
    if reader is None:
        raise ValueError("it is no *.jsonl, *.jsonl.gz, *.json or *.parquet with rows")
    try:
        yield from reader(path, columns)
    except BROKEN as error:
        raise damaged(path, error) from error


def _reader(path: Path) -> Callable[[Path, _Columns], Iterator[object]] | None:
    name = path.name.lower()
    if name.endswith(".parquet"):
        return _parquet
    if name.endswith((".jsonl", ".jsonl.gz")):
        return _jsonl
    if not name.endswith((".json", ".json.gz")) or name == _MANIFEST:
        return None
    first = first_line(path)
    if first.startswith(b"["):
        return _array
    # Otherwise one object over several lines, such as a description of the data set.
    return _jsonl if first and is_row(first) else None


def _looks_like_rows(path: Path) -> bool:
    return path.name.lower().endswith(_MAY_HOLD_ROWS) and path.name.lower() != _MANIFEST


def _jsonl(path: Path, _: _Columns) -> Iterator[object]:
    with opened(path) as file:
        yield from json_lines(file)


def _array(path: Path, _: _Columns) -> Iterator[object]:
    """Yield the elements of a JSON array, one after the other.

    Raises:
        ValueError: the array does not end, or something in it is no JSON.
    """
    with opened(path) as file:
        try:
            yield from json_array(file)
        except ValueError as error:
            raise damaged(path, error) from error


def _parquet(path: Path, columns: _Columns) -> Iterator[object]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # By default pyarrow reads ahead through the whole file.
        with pq.ParquetFile(path, pre_buffer=False) as file:
            names = file.schema_arrow.names
            present = names if columns is None else [name for name in columns if name in names]
            for batch in file.iter_batches(BATCH_ROWS, columns=present):
                try:
                    yield from batch.to_pylist()
                except UnicodeDecodeError:
                    yield from (row_of(batch, index) for index in range(batch.num_rows))
    except (pa.ArrowException, OSError) as error:
        raise damaged(path, error) from error
