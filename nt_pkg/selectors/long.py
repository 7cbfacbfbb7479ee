"""Long: keep a trace with probability (l / C) ** tau, clipped at 1 (paper, section 3.2)."""

from collections.abc import Sequence

from pydantic import Field

from nt_pkg.config import Strict
from nt_pkg.selectors._base import Candidate, Picked, Selector, keep_with_probability


class LongParams(Strict):
    """The paper's constants."""

    scale_tokens: float = Field(5000, gt=0, description="C: tokens kept for sure (paper: 5000).")
    power: float = Field(2.5, gt=0, description="tau (paper: 2.5).")


def select_long(
    params: LongParams, candidates: Sequence[Candidate], size: int, seed: int
) -> list[Picked]:
    """Return traces drawn with a probability that grows with their tokens."""

    def probability(candidate: Candidate) -> float:
        tokens = float(candidate.labels["length"]["num_tokens"])
        return float(min(1.0, (tokens / params.scale_tokens) ** params.power))

    return keep_with_probability(candidates, probability, size, seed)


SELECTOR = Selector(params=LongParams, requires=("length",), select=select_long)
