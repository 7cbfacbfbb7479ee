"""Models disagree: the teacher and a second model answer differently (paper, section 3.2)."""

from collections.abc import Sequence

from nt_pkg.selectors._base import Candidate, NoParams, Picked, Selector, in_random_order


def select_models_disagree(
    params: NoParams, candidates: Sequence[Candidate], size: int, seed: int
) -> list[Picked]:
    """Return a uniform sample of the hard questions."""
    chosen = [candidate for candidate in candidates if not candidate.labels["agreement"]]
    return in_random_order(chosen, size, seed)


SELECTOR = Selector(params=NoParams, requires=("agreement",), select=select_models_disagree)
