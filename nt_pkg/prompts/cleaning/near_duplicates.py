"""Near-duplicates: questions that share most of their word n-grams with an earlier one.

NaturalReasoning, the paper's pool, was cleaned with "word-level" MinHash and locality-sensitive
hashing at a similarity of 0.55 (arXiv 2502.13124). Here MinHash only proposes pairs. The Jaccard
similarity of every proposed pair is computed exactly.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nt_pkg.prompts.cleaning.ngrams import Hasher, Hashes, Integers, blocks

logger = logging.getLogger("nt")

# More hashes per band propose fewer useless pairs but need more bands. With 5, and n-grams of 3
# words, a million questions of mathematics give some tens of millions of pairs.
HASHES_PER_BAND = 5
MISSED_AT_THRESHOLD = 0.01  # our choice: share of pairs exactly at the threshold that are missed
_SEED = 1  # of MinHash; not an option, because it changes which pairs are found
_BLOCK_CHARS = 1 << 18  # its arrays fit into a processor's cache
_SAY_EVERY_SECONDS = 10.0
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)

Keys = NDArray[np.uint32]
Places = NDArray[np.int32]


def num_bands(threshold: float) -> int:
    """Return the number of bands that propose 99 % of the pairs exactly at the threshold.

    Two sets of similarity s agree in one band with probability s^5, so all bands miss them with
    probability (1 - s^5)^bands.
    """
    missed_by_one = 1 - threshold**HASHES_PER_BAND
    return max(1, math.ceil(math.log(MISSED_AT_THRESHOLD) / math.log(missed_by_one)))


class NearDuplicateSearch:
    """Collects questions and finds those that repeat an earlier one.

    Memory is 8 bytes for each word of the questions and 4 for each band of a question, and up to 3
    times as much while they are compared.
    """

    def __init__(self, threshold: float, ngram: int) -> None:
        """Start without questions.

        Args:
            threshold: lowest Jaccard similarity of near-duplicates, below 1.
            ngram: words per n-gram, 2 at least.
        """
        self._threshold = threshold
        self._num_bands = num_bands(threshold)
        self._hasher = Hasher(ngram)
        self._numbers: list[Integers] = []
        self._sizes: list[Integers] = []
        self._grams: list[Hashes] = []
        self._keys: list[Keys] = []

    def add(self, numbers: list[int], texts: list[str]) -> None:
        """Add questions; of two questions the one with the lower number is the earlier."""
        found = self._hasher.grams(texts)
        order = np.lexsort((found.hashes, found.rows))
        rows, grams = found.rows[order], found.hashes[order]
        first = np.ones(len(grams), bool)
        first[1:] = (rows[1:] != rows[:-1]) | (grams[1:] != grams[:-1])
        rows, grams = rows[first], grams[first]
        sizes = np.bincount(rows, minlength=len(texts))
        # Texts too short for an n-gram can only be exact duplicates, which ingestion drops itself.
        with_grams = sizes > 0
        self._numbers.append(np.array(numbers, np.int64)[with_grams])
        self._sizes.append(sizes[with_grams])
        self._grams.append(grams)
        self._keys.append(self._bands(grams, sizes[with_grams]))

    def repeats(self) -> dict[int, int]:
        """Return the kept question for each question to drop; free the memory of all questions.

        Questions are visited by number. A question is dropped if it was proposed together with a
        kept one and their similarity is at least the threshold. Of several kept questions the most
        similar is named, and the first of equally similar ones. So no question is dropped because
        of one that is dropped itself, or that it does not resemble.
        """
        numbers = np.concatenate([np.zeros(0, np.int64), *self._numbers])
        order = np.argsort(numbers)
        sizes = np.concatenate([np.zeros(0, np.int64), *self._sizes])
        grams = np.concatenate([np.zeros(0, np.uint64), *self._grams])
        keys = np.concatenate([np.zeros((0, self._num_bands), np.uint32), *self._keys])[order]
        for each in (self._numbers, self._sizes, self._grams, self._keys):
            each.clear()
        sets = _Sets(grams, (np.cumsum(sizes) - sizes)[order], sizes[order])
        found = _first_come(*_shared_buckets(keys), sets, self._threshold)
        return {int(numbers[order[row]]): int(numbers[order[kept]]) for row, kept in found.items()}

    def _bands(self, grams: Hashes, sizes: Integers) -> Keys:
        """Return one key per question and band; equal MinHashes have equal keys."""
        from rensa import RMinHash  # type: ignore[import-untyped]

        if not len(sizes):
            return np.zeros((0, self._num_bands), np.uint32)
        ends = np.concatenate(([0], np.cumsum(sizes))).astype(np.uint64)
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(
            grams, ends, self._num_bands * HASHES_PER_BAND, _SEED
        )
        digests = np.array(matrix.to_rows(), np.uint64)
        digests = digests.reshape(len(sizes), self._num_bands, HASHES_PER_BAND)
        keys = np.zeros(digests.shape[:2], np.uint64)
        for at in range(HASHES_PER_BAND):
            keys = (keys ^ digests[:, :, at]) * _MULTIPLIER
        return (keys >> np.uint64(32)).astype(np.uint32)


class _Sets:
    """Sets of n-grams, each sorted."""

    def __init__(self, grams: Hashes, starts: Integers, sizes: Integers) -> None:
        self._grams, self._starts, self._sizes = grams, starts.tolist(), sizes.tolist()

    def similarities(self, one: int, others: list[int]) -> NDArray[np.float64]:
        """Return the Jaccard similarities between a set and others (shape: others)."""
        own = self._of(one)
        sizes = np.array([self._sizes[other] for other in others])
        grams = np.concatenate([self._of(other) for other in others])
        at = np.searchsorted(own, grams)
        at[at == len(own)] = 0
        shared = np.add.reduceat((own[at] == grams).astype(np.int64), np.cumsum(sizes) - sizes)
        found: NDArray[np.float64] = shared / (len(own) + sizes - shared)
        return found

    def _of(self, number: int) -> Hashes:
        return self._grams[self._starts[number] : self._starts[number] + self._sizes[number]]


def _shared_buckets(keys: Keys) -> tuple[Places, Places]:
    """Return (rows, buckets), ordered by row: the buckets of each row that hold several rows."""
    rows, buckets = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]
    num_buckets = 0
    for band in range(keys.shape[1]):
        order = np.argsort(keys[:, band])
        in_order = keys[order, band]
        begins = np.ones(len(order) + 1, bool)
        begins[1:-1] = in_order[1:] != in_order[:-1]
        shared = ~(begins[:-1] & begins[1:])
        bucket = np.cumsum(begins[:-1][shared], dtype=np.int32) + num_buckets
        num_buckets = int(bucket[-1]) if len(bucket) else num_buckets
        rows.append(order[shared].astype(np.int32))
        buckets.append(bucket)
    all_rows = np.concatenate(rows)
    by_row = np.argsort(all_rows, kind="stable")
    return all_rows[by_row], np.concatenate(buckets)[by_row]


def _first_come(rows: Places, buckets: Places, sets: _Sets, threshold: float) -> dict[int, int]:
    """Return the dropped rows, each with the kept row that it repeats.

    Dropped rows do not enter their buckets, so copies of one question cost no more than different
    questions.
    """
    kept_in: dict[int, list[int]] = {}
    found: dict[int, int] = {}
    starts = np.flatnonzero(np.diff(rows, prepend=-1)).tolist()
    said = time.monotonic()
    for start, end in pairwise([*starts, len(rows)]):
        if time.monotonic() - said > _SAY_EVERY_SECONDS:
            said = time.monotonic()
            share = 100 * start / len(rows)
            logger.info("near-duplicates: %d found, %.0f %% compared", len(found), share)
        row, own = int(rows[start]), buckets[start:end].tolist()
        if proposed := sorted({kept for bucket in own for kept in kept_in.get(bucket, ())}):
            similarities = sets.similarities(row, proposed)
            best = int(np.argmax(similarities))
            if similarities[best] >= threshold:
                found[row] = proposed[best]
                continue
        for bucket in own:
            kept_in.setdefault(bucket, []).append(row)
    return found


def finder(
    spec: Mapping[str, float],
) -> Callable[[Iterable[tuple[int, str]]], dict[int, int]]:
    """Return the function that finds a pool's near-duplicates, for `ingest`.

    Args:
        spec: `near_duplicates` of the pool's spec: threshold and ngram.
    """

    def find(rows: Iterable[tuple[int, str]]) -> dict[int, int]:
        found = NearDuplicateSearch(spec["threshold"], int(spec["ngram"]))
        for block in blocks(_said(rows), lambda row: len(row[1]) + 1, _BLOCK_CHARS):
            found.add([number for number, _ in block], [text for _, text in block])
        repeats = found.repeats()
        logger.info("near-duplicates: %d rows repeat another one", len(repeats))
        return repeats

    return find


def _said(rows: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Yield all rows and log their number from time to time."""
    said = time.monotonic()
    for number, row in enumerate(rows):
        if time.monotonic() - said > _SAY_EVERY_SECONDS:
            said = time.monotonic()
            logger.info("near-duplicates: %d rows read", number)
        yield row
