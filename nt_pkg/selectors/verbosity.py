"""Verbosity: traces that ramble little, middling, or much (paper, section 3.2).

The label is a whole number from 0, efficient, to 10, much rambling without progress. Low takes 0
first and goes up, high takes 10 first and goes down, medium takes exactly 5.
"""

from dataclasses import replace
from typing import Literal

from pydantic import Field

from nt_pkg.config.base import Strict
from nt_pkg.selectors._base import Candidates, Picks, Selector
from nt_pkg.selectors._values import by_rank, within

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
    verbosity = candidates.label("verbosity")
    if params.level != "medium":
        return by_rank(candidates, verbosity, size, seed, params.level == "high")
    condition = f"a verbosity of {_MEDIUM}"
    picks = within(candidates, verbosity, (_MEDIUM, _MEDIUM), size, seed, condition)
    return replace(picks, scores=verbosity[picks.positions])


SELECTOR = Selector(params=VerbosityParams, requires=("verbosity",), select=select_verbosity)
