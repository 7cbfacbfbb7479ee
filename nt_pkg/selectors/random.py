"""Random: a uniform sample (paper, section 3.2)."""

from nt_pkg.config.base import NoParams
from nt_pkg.selectors._base import Candidates, Picks, Selector, in_random_order


def select_random(params: NoParams, candidates: Candidates, size: int, seed: int) -> Picks:
    """Return a uniform sample."""
    import numpy as np

    return in_random_order(candidates, np.ones(len(candidates), bool), size, seed)


SELECTOR = Selector(params=NoParams, requires=(), select=select_random)
