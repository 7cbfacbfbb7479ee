"""Topics: the same number from every domain (paper, section 3.2)."""

from nt_pkg.config.base import NoParams
from nt_pkg.selectors._base import Candidates, Picks, Selector, in_turns


def select_topics(params: NoParams, candidates: Candidates, size: int, seed: int) -> Picks:
    """Return one random row of each domain in turn; a domain that runs out drops out.

    The paper's 10k set has about 850 rows of each of 12 domains, so a domain that is too small does
    not lower the others.
    """
    import numpy as np

    return in_turns(candidates, "domain", np.ones(len(candidates), bool), size, seed)


SELECTOR = Selector(params=NoParams, requires=("domain",), select=select_topics)
