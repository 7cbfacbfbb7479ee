"""Long: keep a trace with probability (l / C) ** tau, clipped at 1 (paper, section 3.2)."""

from pydantic import Field

from nt_pkg.config.base import Strict
from nt_pkg.selectors._base import Candidates, Picks, Selector, keep_with_probability


class LongParams(Strict):
    """The paper's constants."""

    scale_tokens: float = Field(5000, gt=0, description="C: tokens kept for sure (paper: 5000).")
    power: float = Field(2.5, gt=0, description="tau (paper: 2.5).")


def select_long(params: LongParams, candidates: Candidates, size: int, seed: int) -> Picks:
    """Return traces drawn with a probability that grows with their tokens."""
    import numpy as np

    lengths, rows = np.unique(candidates.label("length", "num_tokens"), return_inverse=True)
    # Python's power: numpy's differs by the last digit from processor to processor.
    chances = [
        min(1.0, (tokens / params.scale_tokens) ** params.power) for tokens in lengths.tolist()
    ]
    return keep_with_probability(candidates, np.array(chances)[rows], size, seed)


SELECTOR = Selector(params=LongParams, requires=("length",), select=select_long)
