r"""The letters and digits of many texts at once, and pieces of them, as 64-bit hashes in numpy.

A text is read as a line of its letters and digits, with nothing between them: `$x + 1$`, `\(x+1\)`
and "x 1" are "x1". So neither punctuation nor blanks nor the spelling of LaTeX makes a difference.
Where words begin is kept beside the line, and a piece of a fixed number of letters is looked at
from the beginning of every word.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nt_pkg.prompts.cleaning.ngrams import Grams, Hasher, Hashes, Integers

_LOOKS = re.compile(
    r"\\(?:left|right|middle|bigg?[lrm]?|displaystyle|textstyle|limits|q?quad|[,;:!> ]"
    r"|(?:text|math)(?:bf|it|rm|sf|tt|normal)?|mbox|boldsymbol|bm|operatorname|ensuremath)"
    r"(?![a-z])\*?"
)
_SAME = (
    ("\\dfrac", "\\frac"), ("\\tfrac", "\\frac"), ("\\cfrac", "\\frac"),
    ("\\leqslant", "\\le"), ("\\leq", "\\le"), ("\\geqslant", "\\ge"), ("\\geq", "\\ge"),
    ("\\neq", "\\ne"), ("\\degree", "\\circ"),
)  # fmt: skip
_SIGNS = {
    "\u2212": "-",
    "\u00d7": "times", "\u00b7": "cdot", "\u22c5": "cdot", "\u00f7": "div", "\u2264": "le",
    "\u2265": "ge", "\u2260": "ne", "\u221e": "infty", "\u221a": "sqrt", "\u00b0": "circ",
    "\u00b1": "pm", "\u2208": "in", "\u222a": "cup", "\u2229": "cap", "\u2192": "to",
    "\u2211": "sum", "\u222b": "int", "\u2220": "angle", "\u25b3": "triangle", "\u03f5": "epsilon",
}  # fmt: skip
_FILLERS = "\u115f\u1160\u3164\uffa0"  # letters for Unicode, and nothing to see
_END = 0  # of a text in a block
_FIRST_IDEOGRAPH, _LAST_IDEOGRAPH = 0xE3, 0xED  # first bytes of scripts without blanks


_NO_SIGN = re.compile(r"[^a-z0-9+\-*/^<>=!%\x80-\U0010ffff]")
_FOREIGN = re.compile(r"[^\x00-\x7f]+")


class _Plain(dict[int, str]):
    """What stands for a character outside ASCII; found when it is asked for the first time."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        if char in _SIGNS:
            found = f" {_SIGNS[char]} "
        elif char in _FILLERS or unicodedata.category(char) in ("Cf", "Cc", "Cs", "Mn", "Me"):
            found = ""
        elif "GREEK" in (name := unicodedata.name(char, "")) and "LETTER" in name:
            found = f" {name.split(' WITH')[0].rpartition(' ')[2].lower()} "
        else:
            parts = unicodedata.normalize("NFKD", char).casefold()
            found = "".join(self._part(part) for part in parts)
        self[code] = found
        return found

    def _part(self, char: str) -> str:
        if unicodedata.category(char) == "Mn":
            return ""
        return char if char.isalnum() else " "


_PLAIN = _Plain()


def plain(text: str) -> str:
    """Return a text with other characters for the same sign unified; ASCII may keep its case.

    All characters outside ASCII that are left are letters or digits, without accents.
    """
    if not text.isascii():
        text = _FOREIGN.sub(lambda found: found[0].translate(_PLAIN), text)
    if "\\" in text:
        text = _LOOKS.sub(" ", text.lower())
        for other, name in _SAME:
            text = text.replace(other, name)
    return text


def with_signs(text: str) -> str:
    """Return the letters, digits and signs of calculation of a text: `2 - 3` is not `2 + 3`."""
    return _NO_SIGN.sub("", plain(text).lower())


@dataclass(frozen=True)
class Lines:
    """The letters and digits of a block of texts, one text after the other.

    Attributes:
        text: all of them in UTF-8, with nothing between texts or words.
        sums: their sums, for hashes of pieces.
        bounds: first byte of each text, and the end of the last one (shape: texts + 1).
        words: first bytes of words, in order.
        rows: number of the text of each word.
    """

    text: bytes
    sums: Hashes
    bounds: Integers
    words: Integers
    rows: Integers

    def of(self, row: int) -> bytes:
        """Return the letters and digits of one text."""
        return self.text[self.bounds[row] : self.bounds[row + 1]]

    def begins(self, place: int) -> bool:
        """Return whether a word begins at a place."""
        at = int(np.searchsorted(self.words, place))
        return at < len(self.words) and int(self.words[at]) == place


def lines_of(texts: Sequence[str], hasher: Hasher) -> Lines:
    """Return the letters and digits of some texts; this takes about 60 times their bytes."""
    joined = "\0".join(map(plain, texts))
    if joined.count("\0") >= max(1, len(texts)):
        joined = "\0".join(plain(text.replace("\0", " ")) for text in texts)
    data = joined.encode("utf-8", "replace")
    text = data.translate(_LOWER, _DROPPED)
    line = np.frombuffer(text, np.uint8)
    is_kept = np.frombuffer(data.translate(_KEPT), np.bool_)
    edges = np.flatnonzero(np.diff(is_kept, prepend=False, append=False))
    begins = edges[::2]  # in `data`; words end at the other edges
    words = np.concatenate(([0], np.cumsum(edges[1::2] - begins)))
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == _END)
    bounds = np.concatenate(([0], words[np.searchsorted(begins, ends)], words[-1:]))
    bounds = bounds[: len(texts) + 1]
    words = words[:-1]
    if not joined.isascii():  # scripts without blanks: a word at every character
        signs = np.flatnonzero((line >= _FIRST_IDEOGRAPH) & (line <= _LAST_IDEOGRAPH))
        words = np.union1d(words, signs)
    rows = np.searchsorted(bounds[1:], words, side="right")
    return Lines(text, hasher.sums(line), bounds, words, rows)


def pieces(lines: Lines, size: int, hasher: Hasher) -> Grams:
    """Return the pieces of `size` bytes from the beginnings of words, within their texts."""
    fits = lines.words + size <= lines.bounds[lines.rows + 1]
    starts, rows = lines.words[fits], lines.rows[fits]
    ends = starts + size
    return Grams(
        text=lines.text,
        rows=rows,
        starts=starts,
        ends=ends,
        hashes=hasher.hashes(lines.sums, starts, ends),
        sizes=np.diff(lines.bounds),
    )


_DROPPED = bytes(code for code in range(128) if not chr(code).isalnum())
_KEPT = bytes(code not in _DROPPED for code in range(256))
_LOWER = bytes(range(256)).lower()
