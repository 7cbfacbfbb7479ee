"""Coverage: rows that leave no question far from a picked one (k-centre greedy; ours).

Each pick is the row that is farthest from all picks before it (Gonzalez 1985, "Clustering to
minimize the maximum intercluster distance"); Sener and Savarese (2018) choose training rows so.
The largest distance of any row to its nearest pick is at most twice the smallest that any choice of
as many rows has. Distances are Euclidean between vectors of length 1: the root of 2 - 2 cos.

The first pick is drawn by the seed, and the smaller id goes first of rows that are equally far.
Outliers go first by nature: questions unlike all others, odd ones included.

A row's distance can only fall as picks are added, so a distance of some picks ago is a bound. Only
rows whose bound exceeds the farthest distance that is known are compared with the picks they have
missed; the picks are those of a pass over all rows for each. Vectors are whole numbers, so that
products are exact and the order of the rows and the machine make no difference.
"""

from typing import TYPE_CHECKING

from nt_pkg.config.base import NoParams
from nt_pkg.files.vectors import decode
from nt_pkg.jobs.progress import Progress
from nt_pkg.selectors._base import Candidates, Picks, Selector

if TYPE_CHECKING:  # a start of Snakemake imports the selectors of its study
    import numpy as np
    from numpy.typing import NDArray

_BLOCK_ROWS = 4096  # compared at a time: 6 MB of float32 at 384 dimensions
_BLOCK_PICKS = 1024
_FIRST_ROWS = 512  # looked at first for a pick, then twice as many
_FARTHEST = 2.0  # the distance of opposite vectors: the score of the first pick


def select_coverage(params: NoParams, candidates: Candidates, size: int, seed: int) -> Picks:
    """Return rows, each the farthest from the earlier ones; the score is that distance."""
    import numpy as np

    vectors = decode("embedding", candidates.labels["embedding"])
    first = int(np.argmin(candidates.order(seed)))
    positions, cosines = farthest_first(vectors, first, min(size, len(candidates)))
    # Six digits of a float32 count: equal vectors are at 0.
    scores = np.sqrt(np.maximum(2 - 2 * cosines.round(6), 0))
    scores[0] = _FARTHEST
    return Picks(positions, scores)


def farthest_first(
    vectors: "NDArray[np.int8]", first: int, size: int
) -> "tuple[NDArray[np.int64], NDArray[np.float64]]":
    """Return picks and the cosine of each with its nearest earlier one (-1 of the first).

    Args:
        vectors: shape (n, d); none is all zeros.
        first: position of the first pick.
        size: number of picks, 1 to n.
    """
    import numpy as np

    search = _Search(vectors)
    picks, cosines = np.empty(size, np.int64), np.empty(size)
    picks[0], cosines[0] = first, -1.0
    progress = Progress("picks", size)
    for count in range(size):
        if count:
            picks[count] = search.farthest(picks[:count])
            cosines[count] = search.nearest[picks[count]]
        search.nearest[picks[count]] = np.inf
        progress.add(1)
    return picks, cosines


class _Search:
    """The cosine of every row with its nearest pick, as far as it has been compared."""

    def __init__(self, vectors: "NDArray[np.int8]") -> None:
        import numpy as np

        self._vectors = vectors
        squares = np.einsum("nd,nd->n", vectors, vectors, dtype=np.int32).astype(np.float32)
        self._scales = 1 / np.sqrt(squares)
        self.nearest = np.full(len(vectors), -np.inf, np.float32)  # inf: picked
        self._num_seen = np.zeros(len(vectors), np.int64)  # picks that a row was compared with

    def farthest(self, picks: "NDArray[np.int64]") -> int:
        """Return the row whose nearest pick is farthest, the first of equals."""
        import numpy as np

        num_rows = _FIRST_ROWS
        while True:
            row = int(np.argmin(self.nearest))
            if self._num_seen[row] == len(picks):
                return row
            if num_rows < len(self.nearest):
                rows = np.argpartition(self.nearest, num_rows)[:num_rows]
            else:
                rows = np.arange(len(self.nearest))
            rows = rows[(self._num_seen[rows] < len(picks)) & (self.nearest[rows] < np.inf)]
            missed = len(picks) - self._num_seen[rows]
            order = np.argsort(missed, kind="stable")
            # Rows that have missed about as many picks together, up to twice as many.
            bounds = np.searchsorted(missed[order], 2 ** np.arange(1, len(picks).bit_length()))
            for group in np.split(rows[order], bounds):
                for start in range(0, len(group), _BLOCK_ROWS):
                    self._compare(group[start : start + _BLOCK_ROWS], picks)
            num_rows *= 2  # so that all rows are reached soon where they are equally far

    def _compare(self, rows: "NDArray[np.int64]", picks: "NDArray[np.int64]") -> None:
        """Compare rows with the picks that one of them has missed."""
        import numpy as np

        vectors = self._vectors[rows].astype(np.float32)
        cosines = np.full(len(rows), -np.inf, np.float32)
        for start in range(int(self._num_seen[rows].min()), len(picks), _BLOCK_PICKS):
            others = picks[start : start + _BLOCK_PICKS]
            products = vectors @ self._vectors[others].astype(np.float32).T  # exact
            products *= self._scales[others]
            np.maximum(cosines, products.max(axis=1), out=cosines)
        cosines *= self._scales[rows]
        self.nearest[rows] = np.maximum(self.nearest[rows], cosines)
        self._num_seen[rows] = len(picks)


SELECTOR = Selector(params=NoParams, requires=("embedding",), select=select_coverage)
