"""Random: a uniform sample (paper, section 3.2)."""

from collections.abc import Sequence

from nt_pkg.selectors._base import Candidate, NoParams, Picked, Selector, in_random_order


def select_random(
    params: NoParams, candidates: Sequence[Candidate], size: int, seed: int
) -> list[Picked]:
    """Return a uniform sample."""
    return in_random_order(candidates, size, seed)


SELECTOR = Selector(params=NoParams, requires=(), select=select_random)
