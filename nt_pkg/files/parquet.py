"""Parquet files that are checked against their schema on write and on read."""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count, islice, pairwise
from operator import itemgetter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nt_pkg.files.json_files import atomic_path, canonical
from nt_pkg.files.schemas import Row

# Rows checked and written at a time: 60 MB of the longest prompts.
ROW_GROUP_ROWS = 16_384
# Small groups for the file of a whole pool, so that a shard reads little more than its own rows.
POOL_GROUP_ROWS = 1024
STREAM_ROWS = 4096
_BATCH_ROWS = 1024  # 100 MB of the longest traces


_NAMES = b"nt_names"


def write_parquet(
    path: Path,
    schema: pa.Schema,
    rows: Iterable[Row],
    names: dict[str, str] | None = None,
    group_rows: int | None = None,
) -> None:
    """Write rows of exactly `schema` to a zstd Parquet file, atomically.

    Rows are written as they arrive, so a stream of any length fits into memory.

    Args:
        path: file to write.
        schema: a schema of `nt_pkg.files.schemas`.
        rows: the rows.
        names: names of the content, such as pool and teacher; `read_names` returns them.
        group_rows: rows of a row group, the smallest unit to read; by default ROW_GROUP_ROWS.

    Raises:
        ValueError: a row lacks a column, has another one, or has a null or a value of the wrong
            type.
    """
    size = group_rows or ROW_GROUP_ROWS
    stored = schema if names is None else schema.with_metadata({_NAMES: canonical(names)})
    stream = iter(rows)
    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(temporary, stored, compression="zstd") as writer,
    ):
        for first in count(0, size):
            block = list(islice(stream, size))
            if first and not block:
                break
            writer.write_table(_table(path, stored, block, first))


def _table(path: Path, schema: pa.Schema, rows: list[Row], first: int) -> pa.Table:
    """Return rows as a table; `first` is the position of the first row in the file."""
    columns = set(schema.names)
    for position, row in enumerate(rows, first):
        if set(row) != columns:
            raise ValueError(
                f"{path}: row {position} has columns {sorted(row)}, expected {sorted(columns)}"
            )
    for name in (field.name for field in schema if pa.types.is_integer(field.type)):
        if any(isinstance(row[name], float) for row in rows):  # pyarrow would truncate 1.5
            raise ValueError(f"{path}: a row does not fit the schema: {name!r} holds a fraction")
    try:
        table = pa.Table.from_pylist(rows, schema=schema)
        table.validate(full=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError) as error:
        raise ValueError(f"{path}: a row does not fit the schema: {error}") from error
    for field in schema:
        if not field.nullable and table.column(field.name).null_count:
            raise ValueError(f"{path}: column {field.name!r} must not be null")
    return table


def read_parquet(path: Path, schema: pa.Schema, columns: Sequence[str] | None = None) -> list[Row]:
    """Return the rows of one Parquet file after checking its schema, with all or some columns.

    Raises:
        ValueError: the file is truncated or has another schema; the message says what to do.
    """
    rows: list[Row] = _read_table(path, schema, columns).to_pylist()
    return rows


def _read_table(path: Path, schema: pa.Schema, columns: Sequence[str] | None = None) -> pa.Table:
    with _explained(path):
        _check_columns(path, pq.read_schema(path), schema)
        return pq.read_table(path, columns=None if columns is None else list(columns))


def stream_parquet(
    path: Path, schema: pa.Schema, first: str = "", behind: str | None = None
) -> Iterator[Row]:
    """Yield the rows with `first <= id < behind` in the order of the file, as a stream.

    Row groups without such an id are not read. If `behind` is None, there is no upper limit.

    Raises:
        ValueError: the file is truncated or has another schema; the message says what to do.
    """
    # By default pyarrow reads ahead through the whole file.
    with _explained(path), pq.ParquetFile(path, pre_buffer=False) as file:
        _check_columns(path, file.schema_arrow, schema)
        groups = _groups_with(file.metadata, first, behind)
        for batch in file.iter_batches(STREAM_ROWS, row_groups=groups):
            ids = batch.column("id")
            wanted = pc.greater_equal(ids, first)
            if behind is not None:
                wanted = pc.and_(wanted, pc.less(ids, behind))
            yield from batch.filter(wanted).to_pylist()


def _groups_with(metadata: pq.FileMetaData, first: str, behind: str | None) -> list[int]:
    """Return the row groups that may contain an id of the range."""
    column = metadata.schema.names.index("id")

    def may_hold(group: int) -> bool:
        known = metadata.row_group(group).column(column).statistics
        if known is None or not known.has_min_max:
            return True
        return bool(known.max >= first and (behind is None or known.min < behind))

    return [group for group in range(metadata.num_row_groups) if may_hold(group)]


def _check_columns(path: Path, found: pa.Schema, schema: pa.Schema) -> None:
    if not found.equals(schema):
        raise ValueError(
            f"{path} has columns\n{found.to_string()}\nexpected\n{schema.to_string()}\n"
            "it was written by another version: delete it and run the same command again"
        )


def read_names(path: Path) -> dict[str, str]:
    """Return the names that `write_parquet` stored in a file.

    Raises:
        ValueError: the file is truncated or has no names; the message says what to do.
    """
    with _explained(path):
        metadata = pq.read_schema(path).metadata or {}
    if _NAMES not in metadata:
        raise ValueError(
            f"{path} does not say what it holds; it was written by another version: delete it and "
            "run the same command again"
        )
    names: dict[str, str] = json.loads(metadata[_NAMES])
    return names


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn pyarrow's errors about a truncated file into an error that says what to do."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise ValueError(
            f"{path} cannot be read as Parquet ({error}); a crash or a full disk may have cut it "
            "off: delete it and run the same command again"
        ) from error


def read_columns(paths: Sequence[Path], schema: pa.Schema, columns: Sequence[str]) -> pa.Table:
    """Return some columns of several shards, ordered by id; `id` must be one of them.

    Other columns are not read, and no Python object is created per row, so this works for pools of
    a million rows. Offsets have 64 bits, as labels that are vectors may have more than 2 GiB.

    Raises:
        ValueError: a file is truncated or has another schema, or an id is in two shards.
    """
    table = pa.concat_tables([_large(_read_table(path, schema, columns)) for path in paths])
    table = table.sort_by("id").combine_chunks()
    ids = table.column("id")
    twice = ids[1:].filter(pc.equal(ids[1:], ids[:-1]))
    if len(twice):
        raise ValueError(f"id {twice[0]} is in two of {len(paths)} shards, such as {paths[0]}")
    return table


def _large(table: pa.Table) -> pa.Table:
    fields = [
        field.with_type(pa.large_string()) if pa.types.is_string(field.type) else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields))


def read_rows(paths: Sequence[Path], schema: pa.Schema, ids: Collection[str]) -> list[Row]:
    """Return the rows of several shards with the given ids, ordered by id.

    Memory holds these rows and one batch, so the pool may be larger than memory.

    Raises:
        ValueError: a file is truncated or has another schema, or an id is in two shards.
    """
    wanted = pa.array(sorted(ids), pa.string())
    rows = []
    for path in paths:
        with _explained(path), pq.ParquetFile(path, pre_buffer=False) as file:
            _check_columns(path, file.schema_arrow, schema)
            for batch in file.iter_batches(_BATCH_ROWS):
                rows += batch.filter(pc.is_in(batch.column("id"), wanted)).to_pylist()
    rows.sort(key=itemgetter("id"))
    for before, after in pairwise(rows):
        if before["id"] == after["id"]:
            raise ValueError(
                f"id {after['id']} is in two of {len(paths)} shards, such as {paths[0]}"
            )
    return rows
