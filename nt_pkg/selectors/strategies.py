"""Reasoning strategies: favour traces with several distinct strategies (paper, section 3.2).

Traces with at most R_min or more than R_max unique strategies are down-sampled, and so are traces
of low density, that is with fewer unique strategies than steps. Spellings of one strategy count
once (`nt_pkg.dialogue.strategy_names`). The rate is not stated in the paper; a tenth leaves both
kinds in the set but rare.
"""

from pydantic import Field

from nt_pkg.config.base import Strict
from nt_pkg.dialogue.strategy_names import normalise_strategy
from nt_pkg.selectors._base import Candidates, Picks, Selector, keep_with_probability


class StrategiesParams(Strict):
    """The paper's bounds, and our rate."""

    r_min: int = Field(4, ge=0, description="R_min: this many or fewer is too few (paper: 4).")
    r_max: int = Field(8, ge=1, description="R_max: more than this is too many (paper: 8).")
    rate: float = Field(0.1, gt=0, le=1, description="Share kept of each unfavoured kind (ours).")


def select_strategies(
    params: StrategiesParams, candidates: Candidates, size: int, seed: int
) -> Picks:
    """Return traces rich in strategies for their number of steps."""
    import numpy as np

    num_strategies = candidates.num_distinct("strategies", normalise_strategy)
    outside = (num_strategies <= params.r_min) | (num_strategies > params.r_max)
    sparse = num_strategies < candidates.label("length", "num_steps")
    chances = np.array([params.rate**faults for faults in range(3)])
    return keep_with_probability(candidates, chances[outside * 1 + sparse * 1], size, seed)


SELECTOR = Selector(
    params=StrategiesParams, requires=("length", "strategies"), select=select_strategies
)
