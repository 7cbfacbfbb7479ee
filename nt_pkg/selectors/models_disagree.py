"""Models disagree: the teacher and a second model answer differently (paper, section 3.2)."""

from nt_pkg.config.base import NoParams
from nt_pkg.selectors._base import Candidates, Picks, Selector, in_random_order


def select_models_disagree(params: NoParams, candidates: Candidates, size: int, seed: int) -> Picks:
    """Return a uniform sample of the hard questions."""
    disagree = candidates.label("agreement") == 0
    return in_random_order(candidates, disagree, size, seed, "the models disagree")


SELECTOR = Selector(params=NoParams, requires=("agreement",), select=select_models_disagree)
