"""Text from servers, files and errors of libraries, made harmless before anyone reads it.

Secrets are taken out of it. Characters that a terminal obeys become visible, so that no text can
move the cursor, hide a line or retitle the window.
"""

import os
import re
import sys
from typing import TextIO

_SHORTEST = 8  # characters of a secret; a shorter one, such as EMPTY, is a word like others
# Of the hub's library, which sends them.
_OF_LIBRARIES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_HIDDEN = "***"
# Controls without tab and newline, marks that reorder text, and halves of surrogate pairs.
_CONTROLS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_secrets: set[str] = set()


def keep_secret(secret: str) -> None:
    """Let `without_secrets` take a secret out of every text from now on."""
    _secrets.add(secret)


def without_secrets(text: str) -> str:
    """Return a text with `***` in place of every known secret of 8 characters or more."""
    known = _secrets.union(os.environ.get(name, "").strip() for name in _OF_LIBRARIES)
    for secret in sorted(known, key=len, reverse=True):
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, _HIDDEN)
    return text


def printable(text: str) -> str:
    """Return a text for people: without secrets, and with its control characters made visible."""
    return _CONTROLS.sub(_visible, without_secrets(text))


def one_line(text: str, most: int = 300) -> str:
    """Return the beginning of a text for people as one line of at most `most` characters."""
    return printable(" ".join(text.split()))[:most]


def say(text: str, file: TextIO | None = None) -> None:
    """Print a text that may hold words of others, and a newline."""
    stream = file or sys.stdout
    stream.write(f"{printable(text)}\n")
    stream.flush()


def cell(value: object) -> object:
    """Return a value for a cell of CSV: a spreadsheet takes text that begins like a formula as one.

    Such a text gets an apostrophe before it, as OWASP recommends. Numbers stay.
    """
    if isinstance(value, str) and value.lstrip().startswith(("=", "+", "-", "@")):
        return value if _is_number(value) else f"'{value}"
    return value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _visible(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
