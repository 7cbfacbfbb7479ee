"""Combine: rows that rank high by several labels together, spread over names if wanted (ours).

A row's rank in a label is the share of the rows that it is not behind of: 1 for the best, and the
mean of their ranks for equals. The score of a row is the weighted mean of its ranks. With
`coverage`, every name of that label gives its best row in turn, so that quality comes from the
numbers and coverage from the names. Rows that lack one of the labels are left out and counted.
"""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from nt_pkg.config.base import Strict
from nt_pkg.selectors._base import Candidates, Picks, Selector, groups_in_turns
from nt_pkg.selectors._values import among, by_rank, label_name, names, numbers

if TYPE_CHECKING:  # a start of Snakemake imports the selectors of its study
    import numpy as np


class Weighted(Strict):
    """A label that is a number, and how much it counts."""

    label: str = Field(description="Catalogue name of the annotator.")
    field: str | None = Field(None, description="Field of its labels, if they have several.")
    prefer: Literal["highest", "lowest"] = Field("highest", description="Which rows rank first.")
    weight: float = Field(1.0, gt=0, description="Its share of the score, relative to the others.")


class Coverage(Strict):
    """A label that is text."""

    label: str = Field(description="Catalogue name of the annotator.")
    field: str | None = Field(None, description="Field of its labels, if they have several.")


class CombineParams(Strict):
    """Which labels."""

    quality: tuple[Weighted, ...] = Field(min_length=1, description="Labels that are numbers.")
    coverage: Coverage | None = Field(
        None, description="A label that is text; its names give their best rows in turn."
    )


def select_combine(params: CombineParams, candidates: Candidates, size: int, seed: int) -> Picks:
    """Return the rows with the best weighted ranks; the seed decides between equals."""
    import numpy as np

    columns = [numbers(candidates, each.label, each.field) for each in params.quality]
    what = [label_name(each.label, each.field) for each in params.quality]
    known: np.ndarray = ~np.any(np.isnan(columns), axis=0)
    codes, groups = np.zeros(len(candidates), np.int64), [""]
    if params.coverage is not None:
        codes, groups = names(candidates, params.coverage.label, params.coverage.field)
        what.append(label_name(params.coverage.label, params.coverage.field))
        known &= codes >= 0
    weights = [each.weight for each in params.quality]

    def choose(rows: Candidates) -> Picks:
        if not len(rows):
            return Picks(np.empty(0, int), np.empty(0))
        ranks = [
            _ranks(column[known] if each.prefer == "highest" else -column[known])
            for each, column in zip(params.quality, columns, strict=True)
        ]
        scores = np.average(ranks, axis=0, weights=weights)
        if params.coverage is None:
            return by_rank(rows, scores, size, seed, highest=True)
        every = np.ones(len(rows), bool)
        picks = groups_in_turns(rows, codes[known], groups, every, size, seed, worth=scores)
        return Picks(picks.positions, scores[picks.positions])

    return among(candidates, known, f"all of {', '.join(what)}", choose)


def _ranks(values: "np.ndarray") -> "np.ndarray":
    """Return the rank of each value as a share, the mean of their ranks for equals, shape (n,)."""
    import numpy as np

    _, rows, counts = np.unique(values, return_inverse=True, return_counts=True)
    means = np.cumsum(counts) - (counts - 1) / 2
    return np.asarray(means[rows] / len(values))


def _labels(params: CombineParams) -> tuple[str, ...]:
    coverage = (params.coverage.label,) if params.coverage else ()
    return (*(each.label for each in params.quality), *coverage)


SELECTOR = Selector(params=CombineParams, requires=_labels, select=select_combine)
