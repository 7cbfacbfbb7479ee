"""Long: keep a trace with probability (l / C) ** tau, clipped at 1 (paper, section 3.2)."""

from pydantic import Field

from nt_pkg.config.base import Strict
from nt_pkg.selectors._base import Candidates, Picks, Selector
from nt_pkg.selectors._values import by_power


class LongParams(Strict):
    """The paper's constants."""

    scale_tokens: float = Field(5000, gt=0, description="C: tokens kept for sure (paper: 5000).")
    power: float = Field(2.5, gt=0, description="tau (paper: 2.5).")


def select_long(params: LongParams, candidates: Candidates, size: int, seed: int) -> Picks:
    """Return traces drawn with a probability that grows with their tokens."""
    lengths = candidates.label("length", "num_tokens")
    return by_power(candidates, lengths, params.scale_tokens, params.power, size, seed)


SELECTOR = Selector(params=LongParams, requires=("length",), select=select_long)
