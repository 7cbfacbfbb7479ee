"""Ingestion: raw rows become prompts, or are dropped with a reason."""

from collections import Counter
from collections.abc import Iterable

from nt_pkg.pools._base import RawRow
from nt_pkg.records import Row
from nt_pkg.text import normalise_question, question_id

MAX_QUESTION_CHARS = 20_000
EXCERPT_CHARS = 200
_TAGS = ("<think>", "</think>")


def ingest(
    rows: Iterable[RawRow], max_question_chars: int = MAX_QUESTION_CHARS
) -> tuple[list[Row], list[Row], dict[str, int]]:
    """Return (prompts ordered by id, dropped rows ordered by source row, counts).

    The order of `rows` does not matter: of rows with the same normalised question the one with the
    lowest source row stays. Counts hold `read`, `kept` and one number per reason for dropping:
    the reader's own (unreadable, not_utf8, missing_column, missing_question, wrong_type, too_long)
    and empty, too_long, reasoning_tags, not_utf8, duplicate.

    Args:
        rows: raw rows, each source row once.
        max_question_chars: questions longer than this are dropped; none is cut.
    """
    kept: dict[str, RawRow] = {}
    dropped: list[Row] = []
    num_read = 0
    for row in rows:
        num_read += 1
        reason = row.defect or _defect(row, max_question_chars)
        if reason:
            dropped.append(_dropped(row, reason))
            continue
        row_id = question_id(row.question)
        first, *rest = sorted(
            filter(None, [row, kept.get(row_id)]), key=lambda each: each.source_row
        )
        kept[row_id] = first
        dropped.extend(_dropped(each, "duplicate") for each in rest)
    dropped.sort(key=lambda each: int(each["source_row"]))
    reasons = Counter(str(each["reason"]) for each in dropped)
    counts = {"read": num_read, "kept": len(kept), **dict(sorted(reasons.items()))}
    return [_prompt(row_id, kept[row_id]) for row_id in sorted(kept)], dropped, counts


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


def _dropped(row: RawRow, reason: str) -> Row:
    excerpt = row.question[:EXCERPT_CHARS].encode(errors="replace").decode()
    return {"source_row": row.source_row, "reason": reason, "excerpt": excerpt}
