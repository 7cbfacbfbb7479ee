"""Tables in files: JSON lines, JSON arrays, CSV, Parquet and Arrow as one stream of rows.

All of it goes through `datasets`, as a stream: nothing is copied, and memory holds one row of text
or one batch of columns. Parquet and Arrow are read by its own readers. For the other forms it gets
ours, since its readers refuse a whole file for one line that was cut or one byte that is no UTF-8,
and here such a row is counted.
"""

import csv
import gzip
import io
import json
import logging
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any, BinaryIO

from nt_pkg.files.json_rows import (
    EXCERPT_BYTES,
    MAX_LINE_BYTES,
    Unreadable,
    json_array,
    json_lines,
    lines,
)

logger = logging.getLogger("nt")

FORMS = "*.jsonl, *.json, *.csv or *.tsv (also .gz and .zst), *.parquet or *.arrow"
_BATCH_ROWS = 1024
_LOOK_ROWS = 1000  # rows of JSON after which a column that none of them has does not exist
_CHUNK_BYTES = 1 << 20
_PACKED = (".gz", ".zst")
_TEXT = (".jsonl", ".ndjson", ".json", ".csv", ".tsv")
_COLUMNS = {".parquet": "parquet", ".arrow": "arrow"}  # names of readers of `datasets`
_KINDS = {".csv": "CSV", ".tsv": "CSV", ".parquet": "Parquet", ".arrow": "Arrow"}
BROKEN = (EOFError, gzip.BadGzipFile, zlib.error)
_OURS = "manifest.json"


def table_rows(
    source: Path | None,
    needed: Sequence[str],
    others: Sequence[str] | None,
    cache: Path,
    max_rows: int | None = None,
) -> Iterator[object]:
    """Yield the rows of all files in a folder, files in the order of their names.

    A row is a map from columns to values, an `Unreadable`, or another value of JSON. Rows of JSON
    may lack columns; values of CSV are texts.

    Args:
        source: the folder.
        needed: columns that the files must have.
        others: further columns to read, missing ones are ignored; None: all there are.
        cache: folder for what `datasets` keeps.
        max_rows: number of rows to read from the start; None reads all.

    Raises:
        ValueError: there is no file to read, one is damaged, or a needed column is missing; the
            message lists the columns that are there.
    """
    columns = None if others is None else [*needed, *others]
    found = (row for path in _files(source) for row in _rows(path, needed, columns, cache))
    missing, seen, num_seen = set(needed), dict[str, None](), 0
    for fields in islice(found, max_rows):
        if missing and isinstance(fields, dict):
            missing.difference_update(fields)
            seen.update(dict.fromkeys(fields))
            num_seen += 1
            if num_seen == _LOOK_ROWS:
                _refuse_missing(missing, seen, f"any of the first {num_seen} rows of {source}")
        yield fields
    if num_seen:
        _refuse_missing(missing, seen, f"any of the {num_seen} rows of {source}")


def _rows(
    path: Path, needed: Sequence[str], columns: Sequence[str] | None, cache: Path
) -> Iterator[object]:
    if _ending(path) in _COLUMNS:
        return _columns(path, needed, columns, cache)
    return _texts(path, needed, cache)


def _refuse_missing(missing: set[str], there: Iterable[str], where: str) -> None:
    if missing:
        raise ValueError(
            f"no column {', '.join(sorted(missing))} in {where}; there are {', '.join(there)}: "
            "correct the name in `params`"
        )


def _files(source: Path | None) -> list[Path]:
    inside = [] if source is None else sorted(each for each in source.rglob("*") if each.is_file())
    found = [each for each in inside if _holds_rows(each)]
    others = [each.name for each in inside if each not in set(found) and each.name != _OURS]
    if not found:
        named = f" (it has {', '.join(others[:5])})" if others else ""
        raise ValueError(f"no {FORMS} with rows in {source}{named}: put the files there")
    if others:
        logger.info("%s: these files are not read: %s", source, ", ".join(others[:5]))
    return found


def _ending(path: Path) -> str:
    """Return the form of a file, without what packs it."""
    name = path.name.lower()
    for packed in _PACKED:
        name = name.removesuffix(packed)
    return Path(name).suffix


def _holds_rows(path: Path) -> bool:
    ending = _ending(path)
    if ending in _COLUMNS:
        return not path.name.lower().endswith(_PACKED)
    if ending != ".json":
        return ending in _TEXT
    return path.name != _OURS and (_is_array(path) or is_row(first_line(path)))


def _is_array(path: Path) -> bool:
    return first_line(path).startswith(b"[")


def is_row(line: bytes) -> bool:
    """Return whether a line is a row, and not the start of a description over several lines."""
    try:
        json.loads(line)
    except ValueError:
        return not line
    return True


def first_line(path: Path) -> bytes:
    """Return the first line of a file that is not blank, b"" if there is none.

    Raises:
        ValueError: what packs the file is damaged.
    """
    try:
        with opened(path) as file:
            first = next((line.strip() for line, _ in lines(file) if line.strip()), b"")
    except BROKEN as error:
        raise damaged(path, error) from error
    return first.removeprefix(b"\xef\xbb\xbf")


def damaged(path: Path, error: object) -> ValueError:
    """Return the error of a file that cannot be read to its end."""
    kind = _KINDS.get(_ending(path), "JSON")
    return ValueError(
        f"{path} cannot be read as {kind} ({error}); it was probably truncated while it was "
        "copied: compare it with its original, and copy that again"
    )


def _texts(path: Path, needed: Sequence[str], cache: Path) -> Iterator[object]:
    datasets = _datasets(cache)
    read = _csv if _ending(path) in (".csv", ".tsv") else _json
    stream = datasets.IterableDataset.from_generator(
        _wrapped, gen_kwargs={"read": read, "path": path, "needed": tuple(needed)}
    )
    for each in stream:
        yield each["row"]


def _wrapped(
    read: Callable[[Path, Sequence[str]], Iterator[object]], path: Path, needed: Sequence[str]
) -> Iterator[dict[str, object]]:
    try:
        for row in read(path, needed):
            yield {"row": row}
    except BROKEN as error:
        raise damaged(path, error) from error


def _json(path: Path, needed: Sequence[str]) -> Iterator[object]:
    if _ending(path) != ".json" or not _is_array(path):
        with opened(path) as file:
            yield from json_lines(file)
        return
    with opened(path) as file:
        try:
            yield from json_array(file)
        except ValueError as error:
            raise damaged(path, error) from error


def _csv(path: Path, needed: Sequence[str]) -> Iterator[object]:
    """Yield the rows of CSV with a header; one of another length than the header is unreadable.

    Raises:
        ValueError: a needed column is missing, or a quotation never ends.
    """
    csv.field_size_limit(MAX_LINE_BYTES)
    mark = "\t" if _ending(path) == ".tsv" else ","
    with opened(path) as binary:
        # Bytes that are no UTF-8 become halves of surrogate pairs, which no text can hold.
        file = io.TextIOWrapper(binary, "utf-8-sig", errors="surrogateescape", newline="")
        reader = csv.reader(file, delimiter=mark, strict=True)
        header = next(reader, [])
        _refuse_missing(set(needed) - set(header), header, str(path))
        while True:
            begin = reader.line_num + 1
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                if "unexpected end" in str(error):
                    raise damaged(path, f"the row at line {begin} does not end") from error
                yield Unreadable("unreadable", f"line {begin}: {error}")
                continue
            if not values:
                continue
            excerpt = mark.join(values)[:EXCERPT_BYTES].encode(errors="replace").decode()
            if len(values) != len(header):
                yield Unreadable("unreadable", excerpt)
            elif any(map(_is_broken, values)):
                yield Unreadable("not_utf8", excerpt)
            else:
                yield dict(zip(header, values, strict=True))


def _is_broken(text: str) -> bool:
    return not text.isascii() and any("\udc80" <= char <= "\udcff" for char in text)


def _columns(
    path: Path, needed: Sequence[str], columns: Sequence[str] | None, cache: Path
) -> Iterator[object]:
    import pyarrow as pa

    datasets = _datasets(cache)
    try:
        stream = datasets.load_dataset(
            _COLUMNS[_ending(path)], data_files=str(path), split="train", streaming=True
        )
        there = list(stream.column_names or ())
        _refuse_missing(set(needed) - set(there), there, str(path))
        if columns is not None:
            stream = stream.select_columns([name for name in there if name in columns])
        for batch in stream.with_format("arrow").iter(_BATCH_ROWS):
            try:
                yield from batch.to_pylist()
            except UnicodeDecodeError:
                yield from (row_of(batch, index) for index in range(batch.num_rows))
    except (pa.ArrowException, OSError, datasets.exceptions.DatasetsError) as error:
        raise damaged(path, error) from error


def row_of(batch: Any, index: int) -> object:
    """Return a row of an Arrow batch, `Unreadable` if one of its texts is no UTF-8."""
    try:
        return batch.slice(index, 1).to_pylist()[0]
    except UnicodeDecodeError:
        return Unreadable("not_utf8")


def _datasets(cache: Path) -> Any:
    """Return the package `datasets`; what it keeps goes into `cache`."""
    import datasets

    datasets.config.HF_DATASETS_CACHE = cache
    return datasets


def opened(path: Path) -> BinaryIO:
    """Open a file to read, unpacked if it ends in .gz or .zst."""
    name = path.name.lower()
    if name.endswith(".gz"):
        return gzip.open(path, "rb")  # type: ignore[return-value]
    if name.endswith(".zst"):
        return io.BufferedReader(_Zst(path.open("rb")), _CHUNK_BYTES)
    return path.open("rb")


class _Zst(io.RawIOBase):
    """A file packed by zstd, unpacked; unlike the package's reader it notices a truncated file."""

    def __init__(self, file: IO[bytes]) -> None:
        import zstandard

        self._file = file
        self._start: Callable[[], Any] = zstandard.ZstdDecompressor().decompressobj
        self._unpack = self._start()
        self._left = memoryview(b"")
        self._is_begun = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            packed = self._unpack.unused_data if self._unpack.eof else b""
            packed = packed or self._file.read(_CHUNK_BYTES)
            if not packed:
                if self._is_begun and not self._unpack.eof:
                    raise EOFError("the file ends inside of its packed data")
                return 0
            if self._unpack.eof:  # files that were joined
                self._unpack = self._start()
            self._is_begun = True
            self._left = memoryview(self._unpack.decompress(packed))
        taken = self._left[: len(buffer)]
        buffer[: len(taken)] = taken
        self._left = self._left[len(taken) :]
        return len(taken)

    def close(self) -> None:
        self._file.close()
        super().close()
