"""Question identity: two prompts with the same normalised text are the same prompt."""

import hashlib
import unicodedata

_ID_DIGITS = 32
_QUESTION_DIGITS = 24


def normalise_question(question: str) -> str:
    """Return the text that identifies a question: NFKC, case folded, single blanks."""
    folded = unicodedata.normalize("NFKC", question).casefold()
    # Folding can leave characters that compose; without the second pass this is not idempotent.
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def question_id(question: str) -> str:
    """Return the first 32 hex digits of the sha256 of the normalised question.

    Raises:
        UnicodeEncodeError: the text contains half of a surrogate pair, which has no UTF-8 form.
    """
    return normalised_id(normalise_question(question))


def normalised_id(text: str, copy: int = 0) -> str:
    """Return the id of a question that is already normalised.

    `copy` is the number of a row's answer if there are several answers to the question. Their ids
    count up from the first one in the last 8 digits, so they differ, are sorted next to each other
    and are in one shard.
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
    """Return the first id of a shard, and the first id after it, None for the last shard.

    Shards are equally wide ranges of ids. Ids are digests, so all shards get about the same number
    of rows, and the rows of a shard are contiguous in a file that is ordered by id.
    """
    starts = [-(-edge * 16**_ID_DIGITS // num_shards) for edge in (shard, shard + 1)]
    first, behind = (f"{start:0{_ID_DIGITS}x}" for start in starts)
    return first, behind if shard + 1 < num_shards else None
