"""A vector of the words of a question, by hashing: a text as `nt_pkg.files.vectors` writes it.

Words and pairs of neighbours are counted; each adds 1 + log(count), with a random sign, to one of
`dimensions` numbers. Both come from a seeded hash (Weinberger et al. 2009, "Feature hashing for
large scale multitask learning"), so nothing is fitted, no model is needed, and cosines are those of
the counts but for noise of about one over the root of `dimensions`.

It is lexical, not semantic: two questions are near where they share words. "car" and "vehicle" are
as far apart as any two words, and frequent words count as much as rare ones, since a label depends
on no other row.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from nt_pkg.annotators._base import Label, QuestionAnnotator
from nt_pkg.config.base import Strict
from nt_pkg.files.vectors import MAX_DIMENSIONS, encode
from nt_pkg.identity.caseless import caseless
from nt_pkg.identity.seeds import digest_ints

if TYPE_CHECKING:  # a start of Snakemake imports the annotators of its study
    import numpy as np
    from numpy.typing import NDArray

# Letters and digits of scripts with blanks; elsewhere, such as in Chinese, each character.
_WORD = re.compile(r"[^\W_\u3040-\u30ff\u3400-\u9fff]+|[\u3040-\u30ff\u3400-\u9fff]")
_BLOCK_ROWS = 8192  # 25 MB of float64 at 384 dimensions
_UNITS = 256  # weights are multiples of 1/256, so that their sums are exact on every machine
_PAIR, _MIX = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9  # odd: SplitMix64's constants


class HashedWordsParams(Strict):
    """Size and seed of the hash."""

    dimensions: int = Field(384, ge=8, le=MAX_DIMENSIONS, description="Numbers of a vector (ours).")
    seed: int = Field(0, ge=0, description="Seed of the hash.")


def start_hashed_words(
    params: HashedWordsParams, model: Path | None
) -> Callable[[Sequence[str]], list[Label]]:
    """Return what gives questions their vectors; one without a letter or digit fails."""

    def label(questions: Sequence[str]) -> list[Label]:
        labels: list[Label] = []
        for start in range(0, len(questions), _BLOCK_ROWS):
            block = questions[start : start + _BLOCK_ROWS]
            for text in encode(hashed_words(block, params.dimensions, params.seed)):
                labels.append(Label(text) if text else Label(None, "the question has no words"))
        return labels

    return label


def hashed_words(questions: Sequence[str], dimensions: int, seed: int) -> "NDArray[np.float64]":
    """Return the vectors of some questions, not normalised, shape (n, dimensions)."""
    import numpy as np

    rows, hashes = _features(questions, seed)
    # The number of a row, and 40 bits of a hash: two features of a row are one in 10 ** 8 rows.
    keys, counts = np.unique(
        (rows << np.uint64(40)) | (hashes >> np.uint64(24)), return_counts=True
    )
    weights = np.rint(_UNITS * (1 + np.log(counts)))
    signs = 1.0 - 2.0 * (keys & np.uint64(1)).astype(float)
    places = (keys >> np.uint64(1)) % np.uint64(2**39) % np.uint64(dimensions)
    slots = (keys >> np.uint64(40)) * np.uint64(dimensions) + places
    num_slots = len(questions) * dimensions
    found = np.bincount(slots.astype(np.int64), weights=weights * signs, minlength=num_slots)
    return np.asarray(found, np.float64).reshape(len(questions), dimensions)


def _features(
    questions: Sequence[str], seed: int
) -> "tuple[NDArray[np.uint64], NDArray[np.uint64]]":
    """Return row and hash of every word, and of every pair of neighbours, of some questions."""
    import numpy as np

    words = [_WORD.findall(caseless(question)) for question in questions]
    numbers: dict[str, int] = {}
    flat = np.array([numbers.setdefault(w, len(numbers)) for row in words for w in row], np.int64)
    hashes = _mixed(digest_ints(numbers, "hashed_words", seed)[flat])
    rows = np.repeat(np.arange(len(words), dtype=np.uint64), [len(row) for row in words])
    is_pair = rows[1:] == rows[:-1]
    pairs = _mixed(hashes[:-1] * np.uint64(_PAIR) + hashes[1:])[is_pair]
    return np.concatenate((rows, rows[1:][is_pair])), np.concatenate((hashes, pairs))


def _mixed(hashes: "NDArray[np.uint64]") -> "NDArray[np.uint64]":
    """Return hashes of which every bit depends on every bit of those given."""
    import numpy as np

    hashes = (hashes ^ (hashes >> np.uint64(31))) * np.uint64(_MIX)
    return hashes ^ (hashes >> np.uint64(29))


ANNOTATOR = QuestionAnnotator(params=HashedWordsParams, start=start_hashed_words)
