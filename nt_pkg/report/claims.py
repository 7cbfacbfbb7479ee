"""Claims of a study (`report.claims`), each judged by one or more comparisons."""

from collections.abc import Sequence
from dataclasses import dataclass

from nt_pkg.config.report import Claim
from nt_pkg.report.records import Effect
from nt_pkg.statistics.verdicts import judge_together


@dataclass(frozen=True)
class JudgedClaim:
    """A claim with its verdict and its comparisons."""

    name: str
    text: str
    verdict: str
    parts: tuple[Effect, ...]


def judge_claims(claims: Sequence[Claim], effects: Sequence[Effect]) -> list[JudgedClaim]:
    """Return every claim with its verdict.

    Raises:
        ValueError: a claim names a comparison that does not exist.
    """
    known = {effect.name: effect for effect in effects}
    found = []
    for claim in claims:
        missing = [name for name in claim.comparisons if name not in known]
        if missing:
            raise ValueError(f"claim {claim.name}: there is no comparison {missing[0]!r}")
        parts = tuple(known[name] for name in claim.comparisons)
        verdict = judge_together([part.verdict for part in parts])
        found.append(JudgedClaim(claim.name, claim.text, verdict, parts))
    return found
