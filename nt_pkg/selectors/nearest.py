"""Nearest: the questions of the pool that are nearest to those of another one (paper, section 3.2).

The paper takes nearest neighbours of the questions of LIMO and s1K; it does not say how many of
each. Ours go in turns: each seed question takes its nearest row that no other has taken, in an
order that the seed draws, and then the next round begins. Nearest is the largest cosine, and of
equals the smaller id. The seed questions themselves are picked where the pool holds them.

Products of vectors are whole numbers and exact, so that the machine makes no difference.
"""

from typing import TYPE_CHECKING

from nt_pkg.config.base import NoParams
from nt_pkg.files.vectors import decode
from nt_pkg.jobs.progress import Progress
from nt_pkg.selectors._base import Candidates, Picks, Selector

if TYPE_CHECKING:  # a start of Snakemake imports the selectors of its study
    import numpy as np
    from numpy.typing import NDArray

_BLOCK_ROWS = 8192  # compared at a time: 33 MB of float32 with 1,000 seed questions
_SPARE = 2  # neighbours that are kept for a question, in terms of its share of the picks
_MOST_KEPT = 2**26  # of all questions: 800 MB


def select_nearest(params: NoParams, candidates: Candidates, size: int, seed: int) -> Picks:
    """Return rows near the questions of `candidates.near`; the score is the cosine."""
    import numpy as np

    assert candidates.near is not None
    vectors = decode("embedding", candidates.labels["embedding"])
    near = decode("embedding", candidates.near.labels["embedding"])
    if near.shape[1] != vectors.shape[1]:
        raise ValueError(
            f"vectors of the pool have {vectors.shape[1]} numbers, those of the questions to be "
            f"near to {near.shape[1]}: they are not of one annotator"
        )
    near = near[np.argsort(candidates.near.order(seed))]
    positions, cosines = nearest_in_turns(vectors, near, min(size, len(candidates)))
    return Picks(positions, cosines, {"num_near": len(near)})


def nearest_in_turns(
    vectors: "NDArray[np.int8]", near: "NDArray[np.int8]", size: int
) -> "tuple[NDArray[np.int64], NDArray[np.float64]]":
    """Return picks and the cosine of each with the question that took it.

    Args:
        vectors: shape (n, d); none is all zeros.
        near: in the order of their turns, shape (m, d).
        size: number of picks, 1 to n.
    """
    import numpy as np

    most = max(1, _MOST_KEPT // len(near))
    count = min(_SPARE * (1 + size // len(near)), most)
    is_taken = np.zeros(len(vectors), bool)
    positions, cosines = np.empty(size, np.int64), np.empty(size)
    num_picks = 0
    while num_picks < size:
        lists = [
            iter(zip(*each, strict=True)) for each in _neighbours(vectors, near, count, is_taken)
        ]
        while num_picks < size:
            found = next(
                (each for each in lists[num_picks % len(near)] if not is_taken[each[0]]), None
            )
            if found is None:  # others took all that were kept for this question: look for more
                count = min(2 * count, most)
                break
            positions[num_picks], cosines[num_picks] = found
            is_taken[found[0]] = True
            num_picks += 1
    return positions, cosines


def _neighbours(
    vectors: "NDArray[np.int8]",
    near: "NDArray[np.int8]",
    count: int,
    is_taken: "NDArray[np.bool_]",
) -> "list[tuple[NDArray[np.int64], NDArray[np.float32]]]":
    """Return rows and cosines of the `count` nearest of each question that are not taken, or fewer.

    The nearest goes first, and of equals the first row.
    """
    import numpy as np

    kept = [(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in near]
    floors = np.full(len(near), -np.inf, np.float32)  # what a row has to exceed
    progress = Progress("rows compared", len(vectors))
    for start in range(0, len(vectors), _BLOCK_ROWS):
        block = vectors[start : start + _BLOCK_ROWS]
        cosines = _cosines(block, near)
        cosines[:, is_taken[start : start + _BLOCK_ROWS]] = -np.inf
        who, where = np.nonzero(cosines > floors[:, None])
        bounds = np.searchsorted(who, np.arange(len(near) + 1))
        for turn in np.flatnonzero(np.diff(bounds)):
            new = where[bounds[turn] : bounds[turn + 1]]
            rows = np.concatenate((kept[turn][0], new + start))
            found = np.concatenate((kept[turn][1], cosines[turn, new]))
            order = np.argsort(-found, kind="stable")[:count]
            kept[turn] = rows[order], found[order]
            if len(order) == count:
                floors[turn] = found[order[-1]]
        progress.add(len(block))
    return kept


def _cosines(block: "NDArray[np.int8]", near: "NDArray[np.int8]") -> "NDArray[np.float32]":
    """Return the cosine of every question with every row, shape (m, b)."""
    import numpy as np

    rows, questions = block.astype(np.float32), near.astype(np.float32)
    cosines = questions @ rows.T  # exact
    cosines /= np.sqrt(np.einsum("nd,nd->n", rows, rows))
    cosines /= np.sqrt(np.einsum("nd,nd->n", questions, questions))[:, None]
    return cosines


SELECTOR = Selector(
    params=NoParams, requires=("embedding",), select=select_nearest, needs_near=True
)
