"""Ingestion: raw rows become prompts, or are dropped with a reason.

A pool may be larger than memory. So rows are first stored in temporary files by the first digits of
their ids. Then each file is sorted separately: rows with the same id are in the same file.
"""

import logging
import marshal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from struct import Struct
from tempfile import TemporaryFile
from typing import IO, Any

from nt_pkg.files.schemas import Row
from nt_pkg.identity.question_id import normalise_question, normalised_id
from nt_pkg.pools._base import RawRow

logger = logging.getLogger("nt")

MAX_QUESTION_CHARS = 20_000
EXCERPT_CHARS = 200
_TAGS = ("<think>", "</think>")
# In the paper's pool (1.1 million rows of 3.5 kB) each part has 60 MB.
_NUM_PARTS = 64
_BLOCK_ROWS = 8  # rows stored at a time: 28 kB of the largest pool
_SIZE = Struct("<Q")
_SECONDS_BETWEEN_LINES = 10.0

_Stored = tuple[str, int, tuple[Any, ...]]  # id, source row, fields of the row
_Group = tuple[str, RawRow, list[RawRow]]  # id, its first row in the source, the other rows


def ingest(
    rows: Iterable[RawRow],
    write: Callable[[Iterator[Row]], None],
    folder: Path | None = None,
    max_question_chars: int = MAX_QUESTION_CHARS,
) -> tuple[list[Row], dict[str, int]]:
    """Pass the prompts, ordered by id, to `write`; return (dropped rows by source row, counts).

    The order of `rows` does not matter: of rows with the same normalised question and the same
    `copy`, the one with the lowest source row stays. The counts are `read`, `kept` and one number
    per reason for dropping: those of the reader (unreadable, not_utf8, missing_column,
    missing_question, wrong_type, too_long) and empty, too_long, reasoning_tags, not_utf8,
    duplicate. A duplicate names the row that stays.

    Memory holds about 1/64 of the rows, and the beginnings of the dropped ones.

    Args:
        rows: raw rows, each source row once.
        write: called once with all prompts.
        folder: folder for the temporary files, with room for all rows; by default the system's
            folder for temporary files. Nothing stays there, even after a kill.
        max_question_chars: longer questions are dropped; none is cut.
    """
    dropped: list[Row] = []
    with ExitStack() as stack:
        parts = [
            stack.enter_context(TemporaryFile(dir=folder, buffering=0)) for _ in range(_NUM_PARTS)
        ]
        num_read = _put_aside(rows, parts, dropped, max_question_chars)
        write(_unique(parts, dropped))
    dropped.sort(key=lambda each: int(each["source_row"]))
    reasons = Counter(str(each["reason"]) for each in dropped)
    kept = num_read - len(dropped)
    return dropped, {"read": num_read, "kept": kept, **dict(sorted(reasons.items()))}


def refuse_empty(counts: Mapping[str, int], dropped: Sequence[Row]) -> None:
    """Return if a prompt was kept.

    Raises:
        ValueError: none was; the message has the reasons and the first row.
    """
    if counts["kept"]:
        return
    if not counts["read"]:
        raise ValueError("the pool's files hold no rows: check its `source` and `params`")
    reasons = Counter(str(each["reason"]) for each in dropped)
    first = dropped[0]
    said = ", ".join(f"{number} {reason}" for reason, number in reasons.most_common())
    raise ValueError(
        f"all {counts['read']} rows of the pool were dropped ({said}), the first, row "
        f"{first['source_row']}, as {first['reason']}: {first['excerpt']!r}; check the pool's kind "
        "and `params`"
    )


def _put_aside(
    rows: Iterable[RawRow], parts: Sequence[IO[bytes]], dropped: list[Row], max_question_chars: int
) -> int:
    """Store usable rows in their parts, add the others to `dropped`; return how many were read."""
    num_read = 0
    waiting: list[list[_Stored]] = [[] for _ in parts]
    begun = last = time.monotonic()
    for row in rows:
        num_read += 1
        text = "" if row.defect else normalise_question(row.question[: max_question_chars + 1])
        reason = row.defect or _defect(row, text, max_question_chars)
        if reason:
            dropped.append(_dropped(row, reason))
        else:
            row_id = normalised_id(text, row.copy)
            number = int(row_id[:2], 16) * len(parts) // 256
            waiting[number].append((row_id, row.source_row, tuple(row)))
            if len(waiting[number]) == _BLOCK_ROWS:
                _store(parts[number], waiting[number])
        now = time.monotonic()
        if now - last > _SECONDS_BETWEEN_LINES:
            last = now
            logger.info("read %d rows, %.0f/s", num_read, num_read / (now - begun))
    for part, block in zip(parts, waiting, strict=True):
        _store(part, block)
    return num_read


def _store(part: IO[bytes], block: list[_Stored]) -> None:
    data = marshal.dumps(block)
    part.write(_SIZE.pack(len(data)) + data)
    block.clear()


def _unique(parts: Sequence[IO[bytes]], dropped: list[Row]) -> Iterator[Row]:
    """Yield one prompt per id, ordered by id; add rows that repeat it to `dropped`."""
    for part in parts:
        for row_id, first, rest in _groups(part):
            dropped.extend(_dropped(row, "duplicate", row_id) for row in rest)
            yield _prompt(row_id, first)


def _groups(part: IO[bytes]) -> Iterator[_Group]:
    in_order = sorted(_stored(part), key=itemgetter(0, 1))
    for row_id, same in groupby(in_order, key=itemgetter(0)):
        first, *rest = (RawRow(*values) for _, _, values in same)
        yield row_id, first, rest


def _stored(part: IO[bytes]) -> Iterator[_Stored]:
    part.seek(0)
    data = memoryview(part.read())
    start = 0
    while start < len(data):
        (size,) = _SIZE.unpack_from(data, start)
        start += _SIZE.size + size
        yield from marshal.loads(data[start - size : start])


def _defect(row: RawRow, text: str, max_question_chars: int) -> str:
    """Return why a readable row cannot be a prompt, "" if it can; `text` is its normalised text."""
    if len(row.question) > max_question_chars:
        return "too_long"
    if not _is_utf8(row.question, row.reference_answer, row.second_answer, row.replay):
        return "not_utf8"
    if not text:
        return "empty"
    # These tags mark the reasoning in every trace and target, so a question must not contain them.
    return "reasoning_tags" if any(tag in text for tag in _TAGS) else ""


def _is_utf8(*texts: str | None) -> bool:
    r"""Return whether all texts can be stored; JSON's "\ud800" gives a text that cannot."""
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
        "columns": row.columns,
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
