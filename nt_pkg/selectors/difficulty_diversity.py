"""Difficulty and diversity: hard questions, the same number from every domain (ours).

The paper compares rules of difficulty with rules of diversity, and shows no set that follows both.
This combines models_disagree and topics: questions that the two models answer alike are left out.
"""

from dataclasses import replace

from nt_pkg.config.base import NoParams
from nt_pkg.selectors._base import Candidates, Picks, Selector, in_turns


def select_difficulty_diversity(
    params: NoParams, candidates: Candidates, size: int, seed: int
) -> Picks:
    """Return one random hard row of each domain in turn; an exhausted domain is skipped."""
    disagree = candidates.label("agreement") == 0
    picks = in_turns(candidates, "domain", disagree, size, seed)
    return replace(picks, conditions={"the models disagree": int(disagree.sum())})


SELECTOR = Selector(
    params=NoParams, requires=("agreement", "domain"), select=select_difficulty_diversity
)
