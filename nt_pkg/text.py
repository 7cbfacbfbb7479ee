"""Question identity: two prompts with the same normalised text are the same prompt."""

import hashlib
import unicodedata

_ID_DIGITS = 32


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


def normalised_id(text: str) -> str:
    """Return the same of a text that is normalised already."""
    return hashlib.sha256(text.encode()).hexdigest()[:_ID_DIGITS]


def shard_ids(shard: int, num_shards: int) -> tuple[str, str | None]:
    """Return the first id of a shard, and the first one behind it, None at the end.

    Shards are ranges of ids, all equally wide: ids are digests, so each gets about as many rows,
    and the rows of a shard stand side by side in a file that is ordered by id.
    """
    starts = [-(-edge * 16**_ID_DIGITS // num_shards) for edge in (shard, shard + 1)]
    first, behind = (f"{start:0{_ID_DIGITS}x}" for start in starts)
    return first, behind if shard + 1 < num_shards else None
