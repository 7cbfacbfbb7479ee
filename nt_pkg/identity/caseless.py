"""Words in which neither case nor the kind of a character matters, for names and word counts."""

import unicodedata


def caseless(text: str) -> str:
    """Return a text in NFKC, case folded, with single blanks; doing it twice changes nothing.

    Not for formulas: superscripts become digits, and p and P one letter.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    # Folding can leave characters that compose; without the second pass this is not idempotent.
    return " ".join(unicodedata.normalize("NFKC", folded).split())
