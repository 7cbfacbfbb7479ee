"""Verdicts of one tested comparison, or of several together, on a claim."""

from collections.abc import Sequence

ALPHA = 0.05
NO_DATA = "not enough data"


def judge(difference: float, p_value: float, *, has_claim: bool) -> str:
    """Return the verdict on a tested difference; a claim always says that it is positive."""
    if p_value >= ALPHA or difference == 0:
        return "not supported" if has_claim else "no difference seen"
    if difference > 0:
        return "supported" if has_claim else "above"
    return "opposite" if has_claim else "below"


def judge_alike(p_value: float) -> str:
    """Return the verdict on the claim that two sides are alike; it is never opposite."""
    return "supported" if p_value < ALPHA else "not supported"


def judge_together(verdicts: Sequence[str]) -> str:
    """Return the verdict on a claim that rests on several comparisons.

    `opposite` if one is; else `not enough data` if one has too little; `supported` if all are; else
    `not supported`.
    """
    for decisive in ("opposite", NO_DATA):
        if decisive in verdicts:
            return decisive
    return "supported" if all(each == "supported" for each in verdicts) else "not supported"
