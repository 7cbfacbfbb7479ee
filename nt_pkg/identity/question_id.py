"""Question identity: two prompts with the same normalised text are the same prompt."""

import hashlib
import unicodedata

_ID_DIGITS = 32
_QUESTION_DIGITS = 24


def normalise_question(question: str) -> str:
    """Return the text by which questions are compared: NFKC, case folded, single blanks."""
    folded = unicodedata.normalize("NFKC", question).casefold()
    # Folding can leave characters that compose again; without this pass it would not be idempotent.
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def question_id(question: str) -> str:
    """Return the first 32 hex digits of the sha256 of the normalised question.

    Raises:
        UnicodeEncodeError: the text holds half of a surrogate pair, so it has no UTF-8 form.
    """
    return normalised_id(normalise_question(question))


def normalised_id(text: str, copy: int = 0) -> str:
    """Return the same of a text that is normalised already.

    `copy` says which of several answers to the question a row is. Their ids count on from that of
    the first, in the last 8 digits; so they differ, stand side by side and fall into one shard.
    """
    digits = hashlib.sha256(text.encode()).hexdigest()[:_ID_DIGITS]
    if not copy:
        return digits
    head, tail = digits[:_QUESTION_DIGITS], digits[_QUESTION_DIGITS:]
    return f"{head}{(int(tail, 16) + copy) % 16 ** len(tail):0{len(tail)}x}"


def question_digits(row_id: str) -> str:
    """Return the digits that the ids of all answers to one question share."""
    return row_id[:_QUESTION_DIGITS]


def shard_ids(shard: int, num_shards: int) -> tuple[str, str | None]:
    """Return the first id of a shard, and the first one behind it, None at the end.

    Shards are ranges of ids, all equally wide: ids are digests, so each gets about as many rows,
    and the rows of a shard stand side by side in a file that is ordered by id.
    """
    starts = [-(-edge * 16**_ID_DIGITS // num_shards) for edge in (shard, shard + 1)]
    first, behind = (f"{start:0{_ID_DIGITS}x}" for start in starts)
    return first, behind if shard + 1 < num_shards else None
