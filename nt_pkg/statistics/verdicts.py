"""Verdicts of one tested comparison, or of several together, on a claim."""

from collections.abc import Sequence

ALPHA = 0.05
# From so many degrees of freedom on, the trainings of other recipes speak for one that was
# trained once. Three seeds of one recipe give two, and t = 4.3 where a normal law has 1.96.
MIN_DEGREES = 10
NO_DATA = "not enough data"
# Each side was trained once, so this is about the two models and not about their recipes.
MODELS_DIFFER = "these two models differ"
MODELS_ALIKE = "no difference between these two models"


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


def judge_models(p_value: float) -> str:
    """Return the verdict on two models, each the only training of its recipe."""
    return MODELS_DIFFER if p_value < ALPHA else MODELS_ALIKE


def judge_together(verdicts: Sequence[str]) -> str:
    """Return the verdict on a claim that rests on several comparisons.

    `opposite` if one is; else `not enough data` if one has too little; `supported` if all are; else
    `not supported`. If all compare single trainings, whether some of these models differ.
    """
    if all(each in (MODELS_DIFFER, MODELS_ALIKE) for each in verdicts):
        return MODELS_DIFFER if MODELS_DIFFER in verdicts else MODELS_ALIKE
    verdicts = [NO_DATA if each in (MODELS_DIFFER, MODELS_ALIKE) else each for each in verdicts]
    for decisive in ("opposite", NO_DATA):
        if decisive in verdicts:
            return decisive
    return "supported" if all(each == "supported" for each in verdicts) else "not supported"
