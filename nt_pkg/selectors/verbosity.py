"""Verbosity: traces that ramble little, middling, or much (paper, section 3.2).

The label is a whole number from 0, efficient, to 10, much rambling without progress. Low takes 0
first and goes up, high takes 10 first and goes down, medium takes exactly 5.
"""

from typing import Literal

from pydantic import Field

from nt_pkg.config.base import Strict
from nt_pkg.selectors._base import Candidates, Picks, Selector

_MEDIUM = 5  # the paper's


class VerbosityParams(Strict):
    """Which of the paper's three sets."""

    level: Literal["low", "medium", "high"] = Field(
        "low", description="Least first, exactly 5, or most first (the paper has all three)."
    )


def select_verbosity(
    params: VerbosityParams, candidates: Candidates, size: int, seed: int
) -> Picks:
    """Return traces by their verbosity; the seed decides between equals."""
    import numpy as np

    verbosity = candidates.label("verbosity")
    ranks = -verbosity if params.level == "high" else verbosity
    positions = np.lexsort((candidates.order(seed), ranks))
    conditions = {}
    if params.level == "medium":
        positions = positions[verbosity[positions] == _MEDIUM]
        conditions = {f"a verbosity of {_MEDIUM}": len(positions)}
    return Picks(positions[:size], verbosity[positions[:size]], conditions=conditions)


SELECTOR = Selector(params=VerbosityParams, requires=("verbosity",), select=select_verbosity)
