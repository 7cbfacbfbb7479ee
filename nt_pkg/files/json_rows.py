"""Read JSON lines and JSON arrays as a stream of rows.

Memory holds at most one row of `MAX_LINE_BYTES`. A line that cannot be read costs one row.
"""

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

MAX_LINE_BYTES = 16 << 20  # more than any real row, and little enough for memory
EXCERPT_BYTES = 800
_CHUNK_BYTES = 1 << 20
_GAP = re.compile(r"[\s,]*")


@dataclass(frozen=True)
class Unreadable:
    """A row that cannot be read: its defect and the beginning of its text."""

    defect: str
    excerpt: str = ""


def json_lines(file: BinaryIO) -> Iterator[object]:
    """Yield the value of every line, or an `Unreadable`; blank lines are skipped."""
    for line, is_whole in lines(file):
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


def lines(file: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    """Yield (line, whether it is complete) and never hold more than `MAX_LINE_BYTES`."""
    while line := file.readline(MAX_LINE_BYTES):
        is_whole = line.endswith(b"\n") or len(line) < MAX_LINE_BYTES
        yield line, is_whole
        while not is_whole:
            rest = file.readline(MAX_LINE_BYTES)
            is_whole = rest.endswith(b"\n") or len(rest) < MAX_LINE_BYTES


def json_array(file: BinaryIO) -> Iterator[object]:
    """Yield the elements of a JSON array, one after the other; the file has to begin with one.

    Raises:
        ValueError: the array does not end, or something in it is no JSON.
    """
    decoder = json.JSONDecoder()
    chunks = _decoded(file)
    text = ""
    while "[" not in text:
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
            raise ValueError(problem)
        text, at = text[at:] + more, 0


def _decoded(file: BinaryIO) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    while data := file.read(_CHUNK_BYTES):
        yield decoder.decode(data)
