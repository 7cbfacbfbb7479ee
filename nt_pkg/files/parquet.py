"""Parquet files that are checked against their schema on write and on read."""

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nt_pkg.files.content import check
from nt_pkg.files.json_files import NOT_OURS, atomic_path, canonical
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
            writer.write_table(checked_table(path, stored, block, first))


def checked_table(path: Path, schema: pa.Schema, rows: list[Row], first: int) -> pa.Table:
    """Return rows of exactly `schema` as a table, for a file `path`.

    Args:
        path: named in errors.
        schema: a schema of `nt_pkg.files.schemas`.
        rows: the rows.
        first: position of the first of them in the file.

    Raises:
        ValueError: a row lacks a column, has another one, or has a null or a value of the wrong
            type.
    """
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
    rows: list[Row] = read_table(path, schema, columns).to_pylist()
    return rows


def read_table(path: Path, schema: pa.Schema, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the same as a table, in the order of the file."""
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
    for batch in _batches(path, schema, first, behind, schema.names, STREAM_ROWS):
        ids = batch.column("id")
        wanted = pc.greater_equal(ids, first)
        if behind is not None:
            wanted = pc.and_(wanted, pc.less(ids, behind))
        yield from batch.filter(wanted).to_pylist()


def stream_columns(
    path: Path, schema: pa.Schema, columns: Sequence[str], num_rows: int
) -> Iterator[pa.RecordBatch]:
    """Yield some columns of a file with ids, at most so many rows at a time, in their order.

    Raises:
        ValueError: the file is truncated or has another schema; the message says what to do.
    """
    return _batches(path, schema, "", None, columns, num_rows)


def _batches(
    path: Path,
    schema: pa.Schema,
    first: str,
    behind: str | None,
    columns: Sequence[str],
    num_rows: int,
) -> Iterator[pa.RecordBatch]:
    """Yield the batches of the row groups that may have an id of the range."""
    # By default pyarrow reads ahead through the whole file.
    with _explained(path), pq.ParquetFile(path, pre_buffer=False) as file:
        _check_columns(path, file.schema_arrow, schema)
        groups = _groups_with(file.metadata, first, behind)
        yield from file.iter_batches(num_rows, row_groups=groups, columns=list(columns))


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
    if found.names == schema.names and all(map(_fits, found, schema)):
        return
    lines = [
        f"  {name}: {_say(found, name)}, expected {_say(schema, name)}"
        for name in dict.fromkeys([*schema.names, *found.names])
        if name not in found.names
        or name not in schema.names
        or not _fits(found.field(name), schema.field(name))
    ]
    raise ValueError(
        f"{path} was not written by this version of this project; these columns differ:\n"
        + ("\n".join(lines) or f"  their order: {found.names}, expected {schema.names}")
        + f"\n{NOT_OURS}"
    )


def _fits(found: pa.Field, wanted: pa.Field) -> bool:
    """Return whether a column can be read as another; one without nulls also where they may be."""
    return bool(found.equals(wanted) or found.with_nullable(True).equals(wanted))


def _say(schema: pa.Schema, name: str) -> str:
    if name not in schema.names:
        return "absent"
    field = schema.field(name)
    return f"{field.type}{'' if field.nullable else ', not null'}"


def read_names(path: Path) -> dict[str, str]:
    """Return the names that `write_parquet` stored in a file.

    Raises:
        ValueError: the file is truncated or has no names; the message says what to do.
    """
    with _explained(path):
        metadata = pq.read_schema(path).metadata or {}
    if _NAMES not in metadata:
        raise ValueError(
            f"{path} was not written by this version of this project: it does not say what it "
            f"holds. {NOT_OURS}"
        )
    names: dict[str, str] = json.loads(metadata[_NAMES])
    return names


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Check a file that is about to be read, and say of pyarrow's errors what to do."""
    check(path)
    try:
        yield
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise ValueError(
            f"{path} cannot be read as Parquet ({error}): something cut it off or it was not "
            f"written by this project. {NOT_OURS}"
        ) from error


def read_columns(paths: Sequence[Path], schema: pa.Schema, columns: Sequence[str]) -> pa.Table:
    """Return some columns of several shards, ordered by id; `id` must be one of them.

    Other columns are not read, and no Python object is created per row, so this works for pools of
    a million rows. Offsets have 64 bits, as labels that are vectors may have more than 2 GiB.

    Raises:
        ValueError: a file is truncated or has another schema, or an id is in two shards.
    """
    table = pa.concat_tables([_large(read_table(path, schema, columns)) for path in paths])
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


def rows_of(
    paths: Sequence[Path], schema: pa.Schema, ids: pa.Array, columns: Sequence[str]
) -> Iterator[Row | None]:
    """Yield the row of each id, in the order of `ids`, with some columns; None if there is no row.

    Memory holds one batch of rows. So every file has to be ordered by id, and no file may have ids
    between those of another, as is true of the shards of a pool; their order and number do not
    matter. Row groups without such an id are not read.

    Args:
        paths: the shards.
        schema: their schema.
        ids: ascending, none twice.
        columns: the columns of a row; `id` must be one of them.

    Raises:
        ValueError: a file is truncated or has another schema, an id is in two shards, or the rows
            are not in the order of their ids.
    """
    found = _ordered_rows(paths, schema, ids, columns)
    row = next(found, None)
    for wanted in ids:
        if row is not None and row["id"] == wanted.as_py():
            yield row
            row = next(found, None)
        else:
            yield None


def _ordered_rows(
    paths: Sequence[Path], schema: pa.Schema, ids: pa.Array, columns: Sequence[str]
) -> Iterator[Row]:
    if not len(ids):
        return
    last = ""
    first, behind = ids[0].as_py(), f"{ids[-1].as_py()}\0"
    for _, path in sorted((_first_id(path, schema), path) for path in paths):
        for batch in _batches(path, schema, first, behind, columns, _BATCH_ROWS):
            inside = _between(batch.column("id"), ids)
            for row in batch.filter(pc.is_in(batch.column("id"), inside)).to_pylist():
                if row["id"] == last:
                    raise ValueError(f"id {last} is in two of {len(paths)} shards, such as {path}")
                if row["id"] < last:
                    raise ValueError(
                        f"{path} was not written by this version of this project: id {row['id']} "
                        f"is behind {last}, and rows are ordered by id. {NOT_OURS}"
                    )
                last = row["id"]
                yield row


def _first_id(path: Path, schema: pa.Schema) -> str:
    """Return the lowest id of a file, "" if it has no rows."""
    batches = _batches(path, schema, "", None, ["id"], 1)
    return next((str(batch.column("id")[0]) for batch in batches), "")


def _between(some: pa.Array, ids: pa.Array) -> pa.Array:
    """Return those of the ascending `ids` that lie between the lowest and the highest of `some`."""
    ends = pc.min_max(some)
    begin = bisect_left(ids, ends["min"].as_py(), key=pa.StringScalar.as_py)
    end = bisect_right(ids, ends["max"].as_py(), begin, key=pa.StringScalar.as_py)
    return ids[begin:end]
