"""Find texts that are nearly the same as a known one, letter by letter: open-thoughts' fuzzy rule.

Two texts of lengths m and n are alike if their `rapidfuzz.fuzz.ratio` is at least the threshold.
The ratio is 100 (1 - d / (m + n)), where d is the smallest number of insertions and deletions that
turn one text into the other. Comparing all pairs of a large pool takes hours. So pairs are proposed
first, and every pair that is alike is among them:

At most k = (1 - threshold / 100) (m + n) edits are allowed. Cut the known text into pieces that do
not overlap. An edit changes at most one piece, so of any k + 1 pieces at least one is unchanged in
the other text. If this piece begins at i in one text and at j in the other, there are at least
|i - j| edits before it and |(m - i) - (n - j)| after it, together at most k. And every edit changes
the count of one kind of letter by one, so the counts of all letters differ by at most k in total.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nt_pkg.prompts.cleaning.ngrams import Hashes, Integers, Sieve

LOWEST_THRESHOLD = 95.0  # below it, pieces would be too short to be rare
# Letters per piece. Long pieces are rare, but a text must have k + 1 of them: a text of 50 letters
# has room for 8 letters each.
_PIECES = (8, 4)
_PAIRS_AT_A_TIME = 1 << 18
_MOST_LETTERS = 1 << 32
_LETTER_KINDS = 64
_ROUNDING = 1e-6
# Spreads pieces over all 64 bits for the sieve; it is odd, so different pieces stay different.
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)

Letters = NDArray[np.uint8]


@dataclass(frozen=True)
class _Text:
    """A block of texts, concatenated."""

    letters: Letters  # code points modulo 256: equal texts stay equal, others may become equal
    starts: Integers
    sizes: Integers

    @classmethod
    def of(cls, texts: Sequence[str]) -> "_Text":
        sizes = np.array([len(text) for text in texts], np.int64)
        points = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32)
        return cls(points.astype(np.uint8), np.cumsum(sizes) - sizes, sizes)

    def places(self, size: int, wanted: NDArray[np.bool_]) -> tuple[Integers, Integers]:
        """Return (text, place) of all pieces of the texts marked in `wanted` (shape: texts)."""
        numbers = np.where(wanted, np.maximum(self.sizes - size + 1, 0), 0)
        rows = np.repeat(np.arange(len(numbers)), numbers)
        begins = np.cumsum(numbers) - numbers
        return rows, np.arange(len(rows)) + (self.starts - begins)[rows]

    def pieces(self, size: int) -> Hashes:
        """Return the `size` letters from every place as one number, with zeros after the end."""
        found = np.zeros(len(self.letters) + size, np.uint64)
        found[: len(self.letters)] = self.letters
        width = 1
        while width < size:
            found[:-width] |= found[width:] << np.uint64(8 * width)
            width *= 2
        return found[: len(self.letters)]

    def counts(self) -> NDArray[np.int32]:
        """Return how often each kind of letter occurs (shape: texts, kinds)."""
        rows = np.repeat(np.arange(len(self.sizes)), self.sizes)
        kinds = rows * _LETTER_KINDS + self.letters % _LETTER_KINDS
        found = np.bincount(kinds, minlength=len(self.sizes) * _LETTER_KINDS)
        return found.reshape(-1, _LETTER_KINDS).astype(np.int32)


class _Limits:
    """The edits and sizes that a threshold allows."""

    def __init__(self, threshold: float) -> None:
        self._edits = 1 - threshold / 100
        self._growth = (1 + self._edits) / (1 - self._edits)

    def most_edits(self, sizes: Integers) -> Integers:
        """Return the largest number of edits between like texts, given the sum of their sizes."""
        found: Integers = np.floor(self._edits * sizes + _ROUNDING).astype(np.int64)
        return found

    def longest(self, sizes: Integers | int) -> Integers:
        """Return the size of the longest texts that may be like a text of this size.

        At best the longer text has all letters of the shorter one, so n - m <= edits (m + n).
        """
        return np.floor(self._growth * np.asarray(sizes) + _ROUNDING).astype(np.int64)

    def shortest(self, sizes: Integers) -> Integers:
        """Return the size of the shortest texts that may be like a text of this size."""
        return np.ceil(sizes / self._growth - _ROUNDING).astype(np.int64)

    def pieces_needed(self, sizes: Integers) -> Integers:
        """Return how many pieces of a text are needed so that any text like it has one of them."""
        return self.most_edits(sizes + self.longest(sizes)) + 1


class FuzzyTexts:
    """An index of known texts that finds texts nearly the same."""

    def __init__(self, texts: Sequence[str], threshold: float = LOWEST_THRESHOLD) -> None:
        """Index the known texts; empty ones match nothing."""
        assert LOWEST_THRESHOLD <= threshold <= 100, threshold
        self._texts, self._threshold = list(texts), threshold
        self._limits = _Limits(threshold)
        text = _Text.of(self._texts)
        assert text.sizes.max(initial=0) < _MOST_LETTERS / 2
        self._sizes, self._counts = text.sizes, text.counts()
        needed = self._limits.pieces_needed(text.sizes)
        self._levels: list[_Level] = []
        free = text.sizes > 0
        for size in _PIECES:
            here = free & (needed * size <= text.sizes)
            self._levels.append(_Level(text, np.flatnonzero(here), needed, size))
            free &= ~here
        assert (needed[free] == 1).all()
        self._too_short = np.flatnonzero(free).tolist()  # only equal texts are like these

    def matches(self, texts: Sequence[str]) -> list[tuple[int, int, float]]:
        """Return (text, known text, ratio) of all pairs that are alike, sorted."""
        from rapidfuzz import fuzz, process

        text = _Text.of(texts)
        counts = text.counts()
        proposed: set[tuple[int, int]] = set()
        for rows, known in self._proposed(text):
            apart = np.abs(counts[rows] - self._counts[known]).sum(axis=1)
            near = apart <= self._limits.most_edits(text.sizes[rows] + self._sizes[known])
            proposed.update(zip(rows[near].tolist(), known[near].tolist(), strict=True))
        pairs = sorted(proposed)
        ratios = process.cpdist(
            [texts[row] for row, _ in pairs],
            [self._texts[known] for _, known in pairs],
            scorer=fuzz.ratio,
            dtype=np.float64,
        )
        return [
            (row, known, ratio)
            for (row, known), ratio in zip(pairs, ratios.tolist(), strict=True)
            if ratio >= self._threshold
        ]

    def _proposed(self, text: _Text) -> Iterator[tuple[Integers, Integers]]:
        """Yield proposed pairs of texts and known texts."""
        for level in self._levels:
            yield from level.proposed(text, self._limits)
        for known in self._too_short:
            rows = np.flatnonzero(text.sizes == self._sizes[known])
            yield rows, np.full(len(rows), known)


class _Level:
    """Pieces of one size of some known texts, sorted by piece and by size of the text.

    If a text has more pieces than needed, those that are rarest in all texts are used.
    """

    def __init__(self, text: _Text, known: Integers, needed: Integers, size: int) -> None:
        self._size = size
        self._shortest = int(text.sizes[known].min(initial=_MOST_LETTERS))
        self._longest = int(text.sizes[known].max(initial=0))
        pieces = text.pieces(size) * _MULTIPLIER
        rows, places = text.places(size, np.isin(np.arange(len(text.sizes)), known))
        _, same, counts = np.unique(pieces[places], return_inverse=True, return_counts=True)
        common = np.zeros(len(pieces), np.int64)
        common[places] = counts[same]
        chosen = [
            begin + _rarest(common[begin : begin + length], many, size)
            for begin, length, many in zip(
                text.starts[known].tolist(),
                text.sizes[known].tolist(),
                needed[known].tolist(),
                strict=True,
            )
        ]
        places = np.concatenate([np.zeros(0, np.int64), *chosen])
        rows = np.repeat(known, [len(each) for each in chosen])
        order = np.lexsort((text.sizes[rows], pieces[places]))
        rows, places = rows[order], places[order]
        self._pieces, numbers = np.unique(pieces[places], return_inverse=True)
        self._known, self._sizes = rows, text.sizes[rows]
        self._offsets = places - text.starts[rows]
        self._keys = numbers * _MOST_LETTERS + self._sizes
        self._sieve = Sieve(self._pieces, 64)

    def proposed(self, text: _Text, limits: "_Limits") -> Iterator[tuple[Integers, Integers]]:
        """Yield pairs of texts and known texts; a pair may be repeated."""
        alike = (text.sizes <= limits.longest(self._longest)) & (
            limits.longest(text.sizes) >= self._shortest
        )
        if not len(self._pieces) or not alike.any():
            return
        pieces = text.pieces(self._size) * _MULTIPLIER
        rows, places = text.places(self._size, alike)
        maybe = self._sieve.maybe(pieces[places])
        # Sorted, because searches for neighbouring values touch the same memory.
        maybe = maybe[np.argsort(pieces[places[maybe]])]
        rows, places = rows[maybe], places[maybe]
        numbers = np.searchsorted(self._pieces, pieces[places])
        numbers[numbers == len(self._pieces)] = 0
        hits = self._pieces[numbers] == pieces[places]
        rows, places, numbers = rows[hits], places[hits], numbers[hits]
        sizes = text.sizes[rows]
        first = np.searchsorted(self._keys, numbers * _MOST_LETTERS + limits.shortest(sizes))
        last = np.searchsorted(
            self._keys, numbers * _MOST_LETTERS + limits.longest(sizes), side="right"
        )
        offsets = places - text.starts[rows]
        for hit, entry in _spread(first, last):
            before = offsets[hit] - self._offsets[entry]
            more = sizes[hit] - self._sizes[entry]
            edits = limits.most_edits(sizes[hit] + self._sizes[entry])
            near = np.abs(before) + np.abs(more - before) <= edits
            yield rows[hit[near]], self._known[entry[near]]


def _rarest(common: Integers, many: int, size: int) -> Integers:
    """Return where `many` rare pieces begin that do not overlap.

    They come from one division of the text into consecutive pieces.

    Args:
        common: how common the piece at each place of the text is.
        many: number of pieces; the text has room for that many.
        size: letters of a piece.
    """
    best, lowest = np.zeros(0, np.int64), -1
    for begin in range(len(common) - many * size + 1)[:size]:
        places = np.arange(begin, len(common) - size + 1, size)
        if len(places) > many:
            places = places[np.argpartition(common[places], many - 1)[:many]]
        if lowest < 0 or int(common[places].sum()) < lowest:
            best, lowest = places, int(common[places].sum())
    return best


def _spread(first: Integers, last: Integers) -> Iterator[tuple[Integers, Integers]]:
    """Yield (position, entry) for every entry from first to last of every position."""
    numbers = last - first
    ends = np.cumsum(numbers)
    begin = 0
    while begin < len(numbers):
        done = int(ends[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, done + _PAIRS_AT_A_TIME)))
        own = numbers[begin:end]
        hit = np.repeat(np.arange(begin, end), own)
        shift = np.repeat(first[begin:end] - (ends[begin:end] - own - done), own)
        yield hit, np.arange(len(hit)) + shift
        begin = end
