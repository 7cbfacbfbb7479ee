"""The two rules of decontamination: which pieces of a text are compared, and how short questions.

A rule takes the pieces of texts. A question without a piece is short: the rule keeps it and finds
it by itself.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from nt_pkg.identity.caseless import caseless
from nt_pkg.prompts.cleaning.letters import Lines, lines_of, pieces, with_signs
from nt_pkg.prompts.cleaning.ngrams import Grams, Hasher, Sieve

# 13 words of MATH-500 have 49 letters and digits on average; docs/decontamination.md says what
# other numbers find.
LETTERS_PER_WORD = 3.5
FEWEST_LETTERS = 20  # of a short question that is looked for inside of rows
_LABEL = re.compile(
    r"\**(?:the)?(?:problem|question|exercise|task|example|prompt|q)(?:no)?\d{0,4}\**"
)
_LABEL_LETTERS = 24


class Rule(Protocol):
    """A way to compare texts.

    `size` is the length of a piece: in words, or in letters and digits.
    """

    size: int

    def read(self, texts: Sequence[str]) -> Grams:
        """Return the pieces of some texts."""

    def forms(self, question: str) -> list[str]:
        """Return the spellings under which a question is looked for."""

    def add_short(self, number: int, read: Grams, row: int) -> bool:
        """Keep a question that has no piece; return whether there is anything to look for."""

    def short(self, read: Grams) -> Iterator[tuple[int, int]]:
        """Yield text and number of the short questions that are found in texts."""


@dataclass(frozen=True)
class _Words(Grams):
    texts: Sequence[str]


class PublishedRule:
    """Words that white space separates, in lower case; a short question only as a whole."""

    def __init__(self, ngram: int, hash_bits: int = 64) -> None:
        """Compare `ngram` words, 2 at least."""
        self.size = ngram
        self._hasher = Hasher(ngram, hash_bits)
        self._known: dict[str, set[int]] = {}
        self._longest = 0

    def read(self, texts: Sequence[str]) -> Grams:
        """Return the n-grams."""
        return _Words(**vars(self._hasher.grams(texts)), texts=texts)

    def forms(self, question: str) -> list[str]:
        """Return the question as it is."""
        return [question]

    def add_short(self, number: int, read: Grams, row: int) -> bool:
        """Keep a question by its text without case."""
        assert isinstance(read, _Words)
        if text := caseless(read.texts[row]):
            self._known.setdefault(text, set()).add(number)
            self._longest = max(self._longest, len(text.split()))
        return bool(text)

    def short(self, read: Grams) -> Iterator[tuple[int, int]]:
        """Yield the texts that equal one."""
        assert isinstance(read, _Words)
        # The normalised text has at least as many words, so these are all that could be short.
        for row in np.flatnonzero(read.sizes <= self._longest).tolist():
            for number in self._known.get(caseless(read.texts[row]), ()):
                yield row, number


@dataclass(frozen=True)
class _Pieces(Grams):
    lines: Lines
    texts: Sequence[str]


class PlainRule:
    """Letters and digits, without what stands between them; a short question inside of rows too."""

    def __init__(self, ngram: int, hash_bits: int = 64) -> None:
        """Compare as many letters as `ngram` words have."""
        self.size = int(LETTERS_PER_WORD * ngram)
        self._inner = min(FEWEST_LETTERS, self.size)
        self._hasher, self._bits = Hasher(2, hash_bits), hash_bits
        self._anchors: dict[bytes, list[tuple[int, bytes, int]]] = {}
        self._hashes: dict[int, None] = {}
        self._sieve: Sieve | None = None
        self._tiny: dict[str, set[int]] = {}
        self._longest_tiny = 0

    def read(self, texts: Sequence[str]) -> Grams:
        """Return the pieces."""
        lines = lines_of(texts, self._hasher)
        return _Pieces(**vars(pieces(lines, self.size, self._hasher)), lines=lines, texts=texts)

    def forms(self, question: str) -> list[str]:
        r"""Return the question, and with commands of LaTeX as words if it has any.

        Without punctuation, `\left(` is "left".
        """
        return [question, question.replace("\\", " ")] if "\\" in question else [question]

    def add_short(self, number: int, read: Grams, row: int) -> bool:
        """Keep a question: by pieces of `FEWEST_LETTERS`, or with its signs if it is shorter."""
        assert isinstance(read, _Pieces)
        line = read.lines.of(row)
        if not line:
            return False
        if len(line) < self._inner:
            self._tiny.setdefault(with_signs(read.texts[row]), set()).add(number)
            self._longest_tiny = max(self._longest_tiny, len(line))
            return True
        begin = int(read.lines.bounds[row])
        inner = pieces(read.lines, self._inner, self._hasher)
        for at in np.flatnonzero(inner.rows == row).tolist():
            anchor = (int(inner.starts[at]) - begin, line, number)
            self._anchors.setdefault(inner.gram(at), []).append(anchor)
            self._hashes[int(inner.hashes[at])] = None
        self._sieve = None
        return True

    def short(self, read: Grams) -> Iterator[tuple[int, int]]:
        """Yield the texts that contain one between two words, or are a very short one."""
        assert isinstance(read, _Pieces)
        lines = read.lines
        if self._anchors:
            inner = pieces(lines, self._inner, self._hasher)
            for at in self._known().maybe(inner.hashes).tolist():
                for offset, line, number in self._anchors.get(inner.gram(at), ()):
                    start, row = int(inner.starts[at]) - offset, int(inner.rows[at])
                    if _is_there(lines, row, start, line):
                        yield row, number
        if self._tiny:
            longest = self._longest_tiny + _LABEL_LETTERS
            for row in np.flatnonzero(read.sizes <= longest).tolist():
                text = with_signs(read.texts[row])
                label = _LABEL.match(text)
                for each in {text, text[label.end() :] if label else text}:
                    for number in self._tiny.get(each, ()):
                        yield row, number

    def _known(self) -> Sieve:
        if self._sieve is None:
            self._sieve = Sieve(np.array(list(self._hashes), np.uint64), self._bits)
        return self._sieve


def _is_there(lines: Lines, row: int, start: int, line: bytes) -> bool:
    """Return whether a text has a line at a place, from the beginning of a word to an end."""
    end = start + len(line)
    if start < lines.bounds[row] or end > lines.bounds[row + 1]:
        return False
    if lines.text[start:end] != line or not lines.begins(start):
        return False
    return end == lines.bounds[row + 1] or lines.begins(end)


RULES: dict[str, type[PublishedRule] | type[PlainRule]] = {
    "plain": PlainRule,
    "published": PublishedRule,
}
