"""The Rank-Surprisal Ratio of a trace: how far down a student's list its tokens are, per surprisal.

Yang et al. 2026, "Which Reasoning Trajectories Teach Students to Reason Better? A Simple Metric of
Informative Alignment" (arXiv 2601.14249; github.com/UmeanNever/RankSurprisalRatio): the sum of the
ranks of a response's tokens, each at most 100, over the sum of their negative log-likelihoods in
nats. A token's rank is 1 + the number of tokens that are likelier. The token that ends the turn is
left out, as in the authors' code. They find that lower is better: tokens that are improbable, and
yet among the student's first guesses.
"""

from pydantic import Field

from nt_pkg.annotators._base import Label, StudentAnnotator, StudentParams
from nt_pkg.annotators._student import Scored, rounded, start_reading

_LEAST = 1e-12  # of the denominator, as in the authors' code


class RankSurprisalParams(StudentParams):
    """How the student is asked, and the bound of ranks."""

    max_rank: int = Field(100, ge=1, description="Larger ranks count as this (its authors: 100).")


def label_rank_surprisal(params: RankSurprisalParams, scored: Scored) -> Label:
    """Return the ratio."""
    ranks, nlls = scored.ranks[:-1], scored.nlls[:-1]
    total = float(ranks.clip(max=params.max_rank).sum())
    return Label(rounded(total / max(float(nlls.sum()), _LEAST)))


ANNOTATOR = StudentAnnotator(params=RankSurprisalParams, start=start_reading(label_rank_surprisal))
