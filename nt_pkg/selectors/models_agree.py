"""Models agree: the teacher and a second model answer alike (paper, section 3.2)."""

from nt_pkg.config.base import NoParams
from nt_pkg.selectors._base import Candidates, Picks, Selector, in_random_order


def select_models_agree(params: NoParams, candidates: Candidates, size: int, seed: int) -> Picks:
    """Return a uniform sample of the easy questions."""
    agree = candidates.label("agreement") == 1
    return in_random_order(candidates, agree, size, seed, "the models agree")


SELECTOR = Selector(params=NoParams, requires=("agreement",), select=select_models_agree)
