"""Ingestion: raw rows become prompts, or are dropped with a reason.

A pool may be larger than memory. Rows are put aside in files by the first digits of their ids, and
each file is put in order by itself: rows with the same id are in the same one.
"""

import logging
import pickle
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from io import BytesIO
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from nt_pkg.pools._base import RawRow
from nt_pkg.records import Row
from nt_pkg.text import normalise_question, question_id

logger = logging.getLogger("nt")

MAX_QUESTION_CHARS = 20_000
EXCERPT_CHARS = 200
_TAGS = ("<think>", "</think>")
# The largest public pool (1.1 million rows of 3.5 kB) comes to 60 MB a part.
_NUM_PARTS = 64
_PART_BUFFER_BYTES = 1 << 17
_SECONDS_BETWEEN_LINES = 10.0

# From (source row, question) of rows without repetitions to the rows to drop, each with the source
# row that it repeats.
FindRepeats = Callable[[Iterable[tuple[int, str]]], Mapping[int, int]]


def ingest(
    rows: Iterable[RawRow],
    write: Callable[[Iterator[Row]], None],
    folder: Path | None = None,
    max_question_chars: int = MAX_QUESTION_CHARS,
    find_repeats: FindRepeats | None = None,
) -> tuple[list[Row], dict[str, int]]:
    """Give `write` the prompts ordered by id; return (dropped rows by source row, counts).

    The order of `rows` does not matter: of rows with the same normalised question the one with the
    lowest source row stays. Counts hold `read`, `kept` and one number per reason for dropping:
    the reader's own (unreadable, not_utf8, missing_column, missing_question, wrong_type, too_long)
    and empty, too_long, reasoning_tags, not_utf8, duplicate, near_duplicate. A dropped row of the
    last two names the row that stays.

    In memory are at most some 1/64 of the rows, and the beginnings of the dropped ones; and what
    `find_repeats` keeps.

    Args:
        rows: raw rows, each source row once.
        write: takes all prompts, once.
        folder: where to put the rows aside, with room for all of them; by default the system's
            folder for temporary files. Nothing stays there, even after a kill.
        max_question_chars: questions longer than this are dropped; none is cut.
        find_repeats: finds near-duplicates; by default nobody looks for them.
    """
    dropped: list[Row] = []
    with ExitStack() as stack:
        parts = [
            stack.enter_context(TemporaryFile(dir=folder, buffering=_PART_BUFFER_BYTES))
            for _ in range(_NUM_PARTS)
        ]
        num_read = _put_aside(rows, parts, dropped, max_question_chars)
        repeats = find_repeats(_questions(parts)) if find_repeats else {}
        write(_unique(parts, dropped, repeats))
    dropped.sort(key=lambda each: int(each["source_row"]))
    reasons = Counter(str(each["reason"]) for each in dropped)
    kept = num_read - len(dropped)
    return dropped, {"read": num_read, "kept": kept, **dict(sorted(reasons.items()))}


def _put_aside(
    rows: Iterable[RawRow], parts: list[IO[bytes]], dropped: list[Row], max_question_chars: int
) -> int:
    """Write good rows to their parts, add the others to `dropped`; return how many were read."""
    num_read = 0
    begun = last = time.monotonic()
    for row in rows:
        num_read += 1
        reason = row.defect or _defect(row, max_question_chars)
        if reason:
            dropped.append(_dropped(row, reason))
        else:
            row_id = question_id(row.question)
            part = parts[int(row_id[:2], 16) * len(parts) // 256]
            pickle.dump((row_id, row.source_row, row), part, pickle.HIGHEST_PROTOCOL)
        now = time.monotonic()
        if now - last > _SECONDS_BETWEEN_LINES:
            last = now
            logger.info("read %d rows, %.0f/s", num_read, num_read / (now - begun))
    return num_read


def _questions(parts: list[IO[bytes]]) -> Iterator[tuple[int, str]]:
    """Yield source row and question of the rows that are no duplicates."""
    for part in parts:
        for _, first, _ in _groups(part):
            yield first.source_row, first.question


def _unique(
    parts: list[IO[bytes]], dropped: list[Row], repeats: Mapping[int, int]
) -> Iterator[Row]:
    """Yield one prompt per id in the order of ids; add its repetitions to `dropped`."""
    repeated = set(repeats.values())
    ids: dict[int, str] = {}
    near: list[tuple[Row, int]] = []
    for part in parts:
        for row_id, first, rest in _groups(part):
            dropped.extend(_dropped(row, "duplicate", row_id) for row in rest)
            if first.source_row in repeated:
                ids[first.source_row] = row_id
            if first.source_row in repeats:
                near.append((_dropped(first, "near_duplicate"), repeats[first.source_row]))
            else:
                yield _prompt(row_id, first)
    dropped.extend({**row, "repeats": ids[kept]} for row, kept in near)


def _groups(part: IO[bytes]) -> Iterator[tuple[str, RawRow, list[RawRow]]]:
    """Yield each id with its first row in the source, and the others."""
    in_order = sorted(_stored(part), key=itemgetter(0, 1))
    for row_id, same in groupby(in_order, key=itemgetter(0)):
        first, *rest = (row for _, _, row in same)
        yield row_id, first, rest


def _stored(part: IO[bytes]) -> Iterator[tuple[str, int, RawRow]]:
    part.seek(0)
    # Of a file, pickle copies the whole buffer for every row that it loads.
    data = BytesIO(part.read())
    size = data.getbuffer().nbytes
    while data.tell() < size:
        yield pickle.load(data)


def _defect(row: RawRow, max_question_chars: int) -> str:
    """Return why a readable row cannot be a prompt, "" if it can."""
    if len(row.question) > max_question_chars:
        return "too_long"
    if not _is_utf8(row.question, row.reference_answer, row.second_answer, row.replay):
        return "not_utf8"
    text = normalise_question(row.question)
    if not text:
        return "empty"
    # The tags delimit the reasoning in every trace and target; a question must not forge them.
    return "reasoning_tags" if any(tag in text for tag in _TAGS) else ""


def _is_utf8(*texts: str | None) -> bool:
    r"""Return whether all texts can be stored; JSON's "\ud800" makes text that cannot."""
    try:
        for text in texts:
            (text or "").encode()
    except UnicodeEncodeError:
        return False
    return True


def _prompt(row_id: str, row: RawRow) -> Row:
    return {
        "id": row_id,
        "question": row.question.strip(),
        "reference_answer": row.reference_answer,
        "second_answer": row.second_answer,
        "replay": row.replay,
        "source_row": row.source_row,
    }


def _dropped(row: RawRow, reason: str, repeats: str | None = None) -> Row:
    excerpt = row.question[:EXCERPT_CHARS].encode(errors="replace").decode()
    return {
        "source_row": row.source_row,
        "reason": reason,
        "excerpt": excerpt,
        "repeats": repeats,
    }
