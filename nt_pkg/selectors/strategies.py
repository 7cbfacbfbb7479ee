"""Reasoning strategies: favour traces with several distinct strategies (paper, section 3.2).

Traces with at most R_min or more than R_max unique strategies are down-sampled, and so are traces
of low density. Spellings of one strategy count once (`nt_pkg.dialogue.strategy_names`). The rate is
not stated in the paper; a tenth leaves both kinds in the set but rare.

Density is the number of unique strategies per step. The paper calls it low if there are fewer
strategies than steps, and does not say what a step is. With our steps, which are sentences, this is
true of every trace of a reasoning model: some hundred sentences, and five to eight strategies. So
here low is relative to the pool: the quarter with the fewest strategies per step. A half would
leave few long traces, since strategies grow far slower than steps.
"""

from dataclasses import replace
from typing import Self

from pydantic import Field, model_validator

from nt_pkg.config.base import Strict
from nt_pkg.dialogue.strategy_names import normalise_strategy
from nt_pkg.selectors._base import Candidates, Picks, Selector, keep_with_probability


class StrategiesParams(Strict):
    """The paper's bounds, and our rate."""

    r_min: int = Field(4, ge=0, description="R_min: this many or fewer is too few (paper: 4).")
    r_max: int | None = Field(
        8, ge=1, description="R_max: more than this is too many (paper: 8); null: no number is."
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.r_max is not None and self.r_min > self.r_max:
            raise ValueError(f"r_min {self.r_min} is above r_max {self.r_max}: swap them")
        return self

    rate: float = Field(0.1, gt=0, le=1, description="Share kept of each unfavoured kind (ours).")
    sparse_share: float = Field(
        0.25,
        ge=0,
        lt=1,
        description="Share of the traces, those with the fewest strategies per step, that counts "
        "as of low density; 0: none (ours).",
    )


def select_strategies(
    params: StrategiesParams, candidates: Candidates, size: int, seed: int
) -> Picks:
    """Return traces rich in strategies, for themselves and for their number of steps."""
    import numpy as np

    num_strategies = candidates.num_distinct("strategies", normalise_strategy)
    few = num_strategies <= params.r_min
    many = num_strategies > (np.inf if params.r_max is None else params.r_max)
    density = num_strategies / np.maximum(candidates.label("length", "num_steps"), 1)
    # A value that occurs, not one in between: equal traces are on one side.
    sparse = density < np.quantile(density, params.sparse_share, method="inverted_cdf")
    chances = np.array([params.rate**faults for faults in range(3)])
    picks = keep_with_probability(candidates, chances[(few | many) * 1 + sparse * 1], size, seed)
    conditions = {
        f"at most {params.r_min} strategies": few,
        **({} if params.r_max is None else {f"more than {params.r_max} strategies": many}),
        **({"few strategies per step": sparse} if params.sparse_share else {}),
    }
    return replace(picks, conditions={name: int(rows.sum()) for name, rows in conditions.items()})


SELECTOR = Selector(
    params=StrategiesParams, requires=("length", "strategies"), select=select_strategies
)
