"""Question identity: two prompts with the same normalised text are the same prompt."""

import hashlib
import unicodedata


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
    return hashlib.sha256(normalise_question(question).encode()).hexdigest()[:32]
