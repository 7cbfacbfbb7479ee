"""Read JSON lines, JSON arrays and Parquet as a stream of rows.

Memory holds at most one row of `MAX_LINE_BYTES`, or one batch of `BATCH_ROWS`.
"""

import codecs
import gzip
import json
import logging
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

logger = logging.getLogger("nt")

MAX_LINE_BYTES = 16 << 20  # more than any real row, and little enough for memory
BATCH_ROWS = 1024
EXCERPT_BYTES = 800
_CHUNK_BYTES = 1 << 20
_BROKEN_GZIP = (EOFError, gzip.BadGzipFile, zlib.error)
_MANIFEST = "manifest.json"  # ours
_MAY_HOLD_ROWS = (
    ".json", ".ndjson", ".csv", ".tsv", ".arrow", ".feather", ".avro", ".orc", ".pkl",
    ".gz", ".zst", ".xz", ".bz2", ".zip", ".tar", ".tgz",
)  # fmt: skip
_GAP = re.compile(r"[\s,]*")


@dataclass(frozen=True)
class Unreadable:
    """A row that cannot be read: its defect and the beginning of its text."""

    defect: str
    excerpt: str = ""


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


def read_file(path: Path, columns: Sequence[str]) -> Iterator[object]:
    """Yield the rows of a file; `columns` are those read from Parquet, missing ones are ignored.

    Raises:
        ValueError: the file is truncated.
    """
    reader = _reader(path)
    assert reader is not None, path
    try:
        yield from reader(path, columns)
    except _BROKEN_GZIP as error:
        raise _damaged(path, error) from error


def _reader(path: Path) -> Callable[[Path, Sequence[str]], Iterator[object]] | None:
    name = path.name.lower()
    if name.endswith(".parquet"):
        return _parquet
    if name.endswith((".jsonl", ".jsonl.gz")):
        return _jsonl
    if not name.endswith((".json", ".json.gz")) or name == _MANIFEST:
        return None
    first = _first_line(path)
    if first.startswith(b"["):
        return _array
    try:
        json.loads(first)
    except ValueError:
        return None  # one object over several lines, such as a description of the data set
    return _jsonl


def _looks_like_rows(path: Path) -> bool:
    return path.name.lower().endswith(_MAY_HOLD_ROWS) and path.name.lower() != _MANIFEST


def _first_line(path: Path) -> bytes:
    with _opened(path) as file:
        try:
            first = next((line.strip() for line, _ in _lines(file) if line.strip()), b"")
        except _BROKEN_GZIP as error:
            raise _damaged(path, error) from error
    return first.removeprefix(b"\xef\xbb\xbf")


def _opened(path: Path) -> BinaryIO:
    is_packed = path.name.lower().endswith(".gz")
    return gzip.open(path, "rb") if is_packed else path.open("rb")  # type: ignore[return-value]


def _damaged(path: Path, error: object) -> ValueError:
    kind = "Parquet" if path.name.lower().endswith(".parquet") else "JSON"
    return ValueError(
        f"{path} cannot be read as {kind} ({error}); it was probably truncated while it was "
        "copied: delete it and fetch it again"
    )


def _jsonl(path: Path, _: Sequence[str]) -> Iterator[object]:
    with _opened(path) as file:
        for line, is_whole in _lines(file):
            if not line.strip():
                continue
            excerpt = line[:EXCERPT_BYTES].decode(errors="replace")
            if not is_whole:
                yield Unreadable("too_long", excerpt)
                continue
            try:
                yield json.loads(line.decode("utf-8-sig"))
            except UnicodeDecodeError:
                yield Unreadable("not_utf8", excerpt)
            except (ValueError, RecursionError):  # truncated, or nested too deeply
                yield Unreadable("unreadable", excerpt)


def _lines(file: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    """Yield (line, whether it is complete) and never hold more than `MAX_LINE_BYTES`."""
    while line := file.readline(MAX_LINE_BYTES):
        is_whole = line.endswith(b"\n") or len(line) < MAX_LINE_BYTES
        yield line, is_whole
        while not is_whole:
            rest = file.readline(MAX_LINE_BYTES)
            is_whole = rest.endswith(b"\n") or len(rest) < MAX_LINE_BYTES


def _array(path: Path, _: Sequence[str]) -> Iterator[object]:
    """Yield the elements of a JSON array, one after the other.

    Raises:
        ValueError: the array does not end, or something in it is no JSON.
    """
    decoder = json.JSONDecoder()
    with _opened(path) as file:
        chunks = _decoded(path, file)
        text = ""
        while "[" not in text:  # `_reader` has seen it
            text += next(chunks)
        at = text.index("[") + 1
        while True:
            gap = _GAP.match(text, at)
            at = gap.end() if gap else at
            if text.startswith("]", at):
                return
            try:
                value, end = decoder.raw_decode(text, at)
                problem = "it does not end"
            except (ValueError, RecursionError) as error:
                end, problem = len(text), str(error)
            if end < len(text):  # a number at the end of what was read may go on
                yield value
                at = end
                continue
            more = next(chunks, None)
            if more is None or len(text) - at > MAX_LINE_BYTES:
                raise _damaged(path, problem)
            text, at = text[at:] + more, 0


def _decoded(path: Path, file: BinaryIO) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while data := file.read(_CHUNK_BYTES):
            yield decoder.decode(data)
    except UnicodeDecodeError as error:
        raise _damaged(path, error) from error


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
        raise _damaged(path, error) from error


def _parquet_row(batch: Any, index: int) -> object:
    try:
        return batch.slice(index, 1).to_pylist()[0]
    except UnicodeDecodeError:
        return Unreadable("not_utf8")
