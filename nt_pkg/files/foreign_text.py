"""Text from servers, files and errors of libraries, made harmless before anyone reads it.

Secrets are taken out of it. Characters that a terminal obeys become visible, so that no text can
move the cursor, hide a line or retitle the window.
"""

import base64
import html
import json
import os
import re
import sys
from functools import cache
from pathlib import Path
from typing import TextIO
from urllib.parse import quote

_SHORTEST = 8  # characters of a secret; a shorter one, such as EMPTY, is a word like others
# Of the hub's library, which sends them.
_OF_LIBRARIES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_HIDDEN = "***"
_END_BYTES = 4096
_FORMULAS = tuple("=+-@\uff1d\uff0b\uff0d\uff20")  # the full-width ones too, says OWASP
# Controls without tab and newline, marks that reorder text, and halves of surrogate pairs.
_CONTROLS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_secrets: set[str] = set()


def keep_secret(secret: str) -> None:
    """Let `without_secrets` take a secret out of every text from now on."""
    _secrets.add(secret)


def without_secrets(text: str) -> str:
    """Return a text with `***` in place of every known secret of 8 characters or more.

    Also where it is spelled as servers and libraries write values: escaped as in JSON, Python,
    HTML or an address, or encoded in base64 or hexadecimal, alone or behind other words.
    """
    known = _secrets.union(os.environ.get(name, "").strip() for name in _OF_LIBRARIES)
    forms = {form for secret in known if len(secret) >= _SHORTEST for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, _HIDDEN)
    return text


@cache
def _forms(secret: str) -> frozenset[str]:
    found = {secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], html.escape(secret)}
    found |= {each.replace("/", "\\/") for each in found}
    found |= {each for safe in ("", "/") for each in _both_cases(quote(secret, safe=safe))}
    data = secret.encode(errors="surrogateescape")
    found |= set(_both_cases(data.hex()))
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):  # bytes before it, which decide how it is cut into letters
            letters = encode(bytes(before) + data).decode().rstrip("=")
            # The first and the last letter may also hold bits of what stands around it.
            first, last = -(-before * 4 // 3), len(letters) - bool((before + len(data)) % 3)
            found.add(letters[first:last])
    return frozenset(each for each in found if len(each) >= _SHORTEST)


def _both_cases(escaped: str) -> tuple[str, str]:
    """Return a text whose hexadecimal digits are small letters, and capital ones."""
    is_hex = re.compile(r"%[0-9A-Fa-f]{2}|^[0-9a-f]+$")
    return is_hex.sub(lambda m: m[0].lower(), escaped), is_hex.sub(lambda m: m[0].upper(), escaped)


def printable(text: str) -> str:
    """Return a text for people: without secrets, and with its control characters made visible."""
    return _CONTROLS.sub(_visible, without_secrets(text))


def one_line(text: str, most: int = 300) -> str:
    """Return the beginning of a text for people as one line of at most `most` characters."""
    return printable(" ".join(text.split()))[:most]


def say(text: str, file: TextIO | None = None) -> None:
    """Print a text that may hold words of others, and a newline."""
    stream = file or sys.stdout
    stream.write(f"{writable(printable(text), stream)}\n")
    stream.flush()


def writable(text: str, stream: TextIO) -> str:
    """Return a text with the characters that a stream cannot write made visible."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def cell(value: object) -> object:
    """Return a value for a cell of CSV: a spreadsheet takes text that begins like a formula as one.

    Such a text gets an apostrophe before it, as OWASP recommends. Numbers stay.
    """
    if isinstance(value, str) and value.lstrip().startswith(_FORMULAS):
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


def read_end(path: Path) -> str:
    """Return the last few thousand letters of a text, which may begin in the middle of a line.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _END_BYTES))
        return file.read().decode(errors="replace")
