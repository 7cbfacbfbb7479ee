"""Word n-grams of many texts at once, as 64-bit hashes in numpy.

Words are separated by white space in the lower-cased text. Each text is written as a line "word
word word". An n-gram is then a piece of this line, from the start of its first word to the end of
its last, and its hash is a difference of two prefix sums.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Hashes = NDArray[np.uint64]
T = TypeVar("T")

# Odd, so that it has an inverse modulo 2^64: the fractional part of the golden ratio.
_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 2**64)
_BLANK, _NEWLINE = 32, 10
_BITS_PER_GRAM = 16  # in each bitmap; about one in 16 other n-grams passes it
_THREE = np.uint64(3)


@dataclass(frozen=True)
class Grams:
    """All n-grams of a block of texts, as arrays of equal length in the order of texts and words.

    Attributes:
        text: the block in UTF-8, one text per line.
        rows: number of the text.
        starts: first byte in `text`.
        ends: end of the n-gram in `text`, exclusive.
        hashes: hashes of these bytes; equal bytes have equal hashes.
        sizes: words of each text (shape: texts); 1 for a text without words.
    """

    text: bytes
    rows: Integers
    starts: Integers
    ends: Integers
    hashes: Hashes
    sizes: Integers

    def gram(self, position: int) -> bytes:
        """Return the words of an n-gram."""
        return self.text[self.starts[position] : self.ends[position]]


def words_of(text: str) -> str:
    """Return the lower-cased words of a text, separated by single blanks."""
    text = text.lower().strip()
    # The blank is the only printable white space, so most texts need no splitting.
    if text.isprintable() and "  " not in text:
        return text
    return " ".join(text.split())


class Hasher:
    """Finds the n-grams of blocks of texts."""

    def __init__(self, n: int, hash_bits: int = 64) -> None:
        """Prepare for n-grams of `n` words (at least 2), with hashes of `hash_bits` bits."""
        assert n >= 2 and 1 <= hash_bits <= 64, (n, hash_bits)
        self._n = n
        self._shift = np.uint64(64 - hash_bits)
        self._powers = self._inverses = np.ones(1, np.uint64)

    def grams(self, texts: Sequence[str]) -> Grams:
        """Return the n-grams of some texts; this takes about 60 times their bytes of memory."""
        text = "\n".join(map(words_of, texts)).encode("utf-8", "surrogatepass")
        data = np.frombuffer(text, np.uint8)
        gaps = np.flatnonzero((data == _BLANK) | (data == _NEWLINE))
        starts = np.concatenate(([0], gaps + 1))
        ends = np.concatenate((gaps, [len(data)]))
        rows = np.concatenate(([0], np.cumsum(data[gaps] == _NEWLINE)))
        last = self._n - 1  # from the first word of an n-gram to its last
        firsts = np.flatnonzero(rows[: max(0, len(rows) - last)] == rows[last:])
        starts, ends = starts[firsts], ends[firsts + last]
        return Grams(
            text=text,
            rows=rows[firsts],
            starts=starts,
            ends=ends,
            hashes=self.hashes(self.sums(data), starts, ends),
            sizes=np.bincount(rows, minlength=len(texts)),
        )

    def sums(self, data: NDArray[np.uint8]) -> Hashes:
        """Return the sums of data[k] * base^k before each byte and at the end."""
        if len(data) > len(self._powers):
            self._powers = _powers(_BASE, 2 * len(data))
            self._inverses = _powers(_INVERSE, 2 * len(data))
        sums = np.zeros(len(data) + 1, np.uint64)
        np.multiply(self._powers[: len(data)], data, out=sums[1:])
        np.cumsum(sums, out=sums)
        return sums

    def hashes(self, sums: Hashes, starts: Integers, ends: Integers) -> Hashes:
        """Return the top bits of sum(data[k] * base^(k - start)) modulo 2^64 over each piece."""
        found: Hashes = ((sums[ends] - sums[starts]) * self._inverses[starts]) >> self._shift
        return found


class Sieve:
    """Filters out nearly all hashes that are not in a set, with two bitmaps."""

    def __init__(self, hashes: Hashes, hash_bits: int) -> None:
        """Prepare for a set of hashes that have `hash_bits` bits."""
        bits = min(hash_bits, max(3, (_BITS_PER_GRAM * len(hashes)).bit_length()))
        self._mask = np.uint64(2**bits - 1)
        self._shifts = [np.uint64(max(0, hash_bits - part * bits)) for part in (1, 2)]
        self._maps = [np.zeros(max(1, 2**bits // 8), np.uint8) for _ in self._shifts]
        for each, shift in zip(self._maps, self._shifts, strict=True):
            slots = (hashes >> shift) & self._mask
            np.bitwise_or.at(each, slots >> _THREE, _bit(slots))

    def maybe(self, hashes: Hashes) -> Integers:
        """Return the positions of the hashes that may be in the set."""
        found = np.arange(len(hashes))
        for each, shift in zip(self._maps, self._shifts, strict=True):
            slots = (hashes[found] >> shift) & self._mask
            found = found[(each[slots >> _THREE] & _bit(slots)) != 0]
        return found


def blocks(items: Iterable[T], size: Callable[[T], int], limit: int) -> Iterator[list[T]]:
    """Yield the items in lists; each list ends with the item that makes its size reach `limit`."""
    block: list[T] = []
    total = 0
    for item in items:
        block.append(item)
        total += size(item)
        if total >= limit:
            yield block
            block, total = [], 0
    if block:
        yield block


def _powers(base: int, number: int) -> Any:
    factors = np.full(number, base, np.uint64)
    factors[0] = 1
    return np.cumprod(factors)


def _bit(slots: Hashes) -> Any:
    return np.left_shift(np.uint8(1), slots.astype(np.uint8) & np.uint8(7))
