"""Models agree: the teacher and a second model answer alike (paper, section 3.2)."""

from collections.abc import Sequence

from nt_pkg.selectors._base import Candidate, NoParams, Picked, Selector, in_random_order


def select_models_agree(
    params: NoParams, candidates: Sequence[Candidate], size: int, seed: int
) -> list[Picked]:
    """Return a uniform sample of the easy questions."""
    chosen = [candidate for candidate in candidates if candidate.labels["agreement"]]
    return in_random_order(chosen, size, seed)


SELECTOR = Selector(params=NoParams, requires=("agreement",), select=select_models_agree)
