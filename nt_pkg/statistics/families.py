"""p values corrected over the claims of a study, where a claim may have several parts.

A claim of several parts is supported if every part is (intersection-union: Berger 1982), which
needs no correction inside. It is opposed if one part is, which needs one. So a claim has one p
value: the largest of its parts if they all lean as claimed, or the smallest of those that lean
against it, times the number of its parts. Over these of all claims goes Holm's correction.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from nt_pkg.statistics.tests import correct_holm


@dataclass(frozen=True)
class Part:
    """A tested part of a claim: its p value, and whether the result leans as claimed.

    The p value is two-sided, or that of an equivalence, which always leans as claimed. None: the
    part could not be tested.
    """

    p_value: float | None
    leans_as_claimed: bool


def correct_claims(claims: Sequence[Sequence[Part]]) -> list[list[float | None]]:
    """Return the corrected p value of every part of every claim, in their order.

    A claim is supported if all its parts lean as claimed and are below the level, and opposed if a
    part leans against it and is below the level.
    """
    raw = [_find_p_value(parts) for parts in claims]
    order = sorted(range(len(claims)), key=lambda at: raw[at])
    corrected: list[list[float | None]] = [[] for _ in claims]
    largest = 0.0
    for rank, at in enumerate(order):
        times = len(claims) - rank
        corrected[at] = [
            None if p is None else max(largest, min(1.0, times * p)) for p in _inside(claims[at])
        ]
        largest = max(largest, min(1.0, times * raw[at]))
    return corrected


def correct_family(p_values: Sequence[float | None]) -> list[float | None]:
    """Return Holm's corrected p values of a family of single comparisons; None stays None."""
    known = iter(correct_holm([p for p in p_values if p is not None]))
    return [None if p is None else next(known) for p in p_values]


def _inside(parts: Sequence[Part]) -> list[float | None]:
    """Return p values corrected within a claim: only those that lean against it are."""
    return [
        part.p_value
        if part.p_value is None or part.leans_as_claimed
        else min(1.0, len(parts) * part.p_value)
        for part in parts
    ]


def _find_p_value(parts: Sequence[Part]) -> float:
    inside = list(zip(parts, _inside(parts), strict=True))
    against = [p for part, p in inside if p is not None and not part.leans_as_claimed]
    if not against and all(p is not None for _, p in inside):
        return max((p for _, p in inside if p is not None), default=1.0)
    return min(against, default=1.0)
