"""Verdicts of measured comparisons, each corrected over its family.

Claims are one family: those of `report.claims`, and every comparison with a claim of its own that
none of them names. Comparisons without a claim are in the family that they name. What is only about
two models, because each side was trained once, is a family as well.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from nt_pkg.config.report import Claim
from nt_pkg.report.records import Effect
from nt_pkg.statistics.families import Part, correct_claims, correct_family
from nt_pkg.statistics.power import detectable, seeds_needed
from nt_pkg.statistics.ratios import lean
from nt_pkg.statistics.verdicts import (
    ALPHA,
    NO_DATA,
    judge,
    judge_alike,
    judge_models,
    judge_together,
)

CLAIMS = "claims"
NO_CLAIM = "without a claim"
MODELS = "two models"


@dataclass(frozen=True)
class JudgedClaim:
    """A claim with its verdict and its comparisons, judged as parts of it."""

    name: str
    text: str
    verdict: str
    parts: tuple[Effect, ...]


def judge_study(
    claims: Sequence[Claim], effects: Sequence[Effect]
) -> tuple[list[Effect], list[JudgedClaim]]:
    """Return all comparisons and all claims with their verdicts.

    A comparison that is part of several claims has the verdict of the one that decides it most.

    Raises:
        ValueError: a claim names a comparison that does not exist.
    """
    names = {effect.name for effect in effects}
    for claim in claims:
        for name in claim.comparisons:
            if name not in names:
                raise ValueError(f"claim {claim.name}: there is no comparison {name!r}")
    named = {name for claim in claims for name in claim.comparisons}
    alone = [each.name for each in effects if each.claim is not None and each.name not in named]
    groups = [*(claim.comparisons for claim in claims), *((name,) for name in alone)]
    of_models = _judge_models(effects)
    sizes = _family_sizes(groups, of_models)
    known = {effect.name: _add_power(effect, sizes) for effect in of_models}
    judged = _judge_claims([[known[name] for name in group] for group in groups])
    for part in (part for parts in judged for part in parts):
        best = known[part.name].p_value
        if part.p_value is not None and (best is None or part.p_value < best):
            known[part.name] = part
    for family in dict.fromkeys(each.family for each in known.values() if each.claim is None):
        members = [e for e in known.values() if e.claim is None and e.family == family]
        corrected = correct_family([e.p_value_raw for e in members])
        for each, p_value in zip(members, corrected, strict=True):
            known[each.name] = _judge(each, p_value)
    found = [
        JudgedClaim(
            claim.name, claim.text, judge_together([p.verdict for p in parts]), tuple(parts)
        )
        for claim, parts in zip(claims, judged, strict=False)
    ]
    return [known[effect.name] for effect in effects], found


def _family_sizes(groups: Sequence[Sequence[str]], effects: Sequence[Effect]) -> dict[str, int]:
    """Return how many are corrected together in each family; the parts of a claim count once."""
    tested = {e.name for e in effects if e.p_value_raw is not None}
    sizes = Counter(e.family for e in effects if e.name in tested and e.claim is None)
    sizes[CLAIMS] = sum(bool(tested.intersection(group)) for group in groups)
    sizes[MODELS] = sum(e.p_value_models is not None for e in effects)
    return sizes


def _add_power(effect: Effect, sizes: Mapping[str, int]) -> Effect:
    """Return an effect of accuracies with what its test sees, and the seeds to see the paper's."""
    family = sizes.get(effect.family)
    if effect.standard_error is None or effect.question_error is None or not family:
        return effect
    is_alike = effect.within is not None and effect.basis == "recipes"
    mde80 = detectable(effect.standard_error, effect.degrees, family, alike=is_alike)
    wanted = effect.within or effect.paper
    seeds = None
    if wanted is not None and effect.basis == "recipes":
        questions = effect.question_error**2
        seeds = seeds_needed(
            abs(wanted),
            (effect.standard_error**2 - questions, questions),
            (effect.num_seeds, effect.degrees),
            family,
            alike=is_alike,
        )
    return replace(effect, mde80=mde80, seeds_needed=seeds)


def leans_as_claimed(effect: Effect) -> bool:
    """Return whether a measured effect is on the side that is claimed; an equivalence always is."""
    if effect.within is not None or effect.tokens == "alike":
        return True
    if effect.tokens:
        assert effect.tokens_ratio is not None
        return lean(effect.tokens_ratio, effect.tokens) > 0
    assert effect.difference is not None
    return effect.difference > 0


def _judge_claims(groups: Sequence[Sequence[Effect]]) -> list[list[Effect]]:
    # A claim of which nothing can be tested does not make the others harder to support.
    tested = [
        [Part(e.p_value_raw, e.p_value_raw is not None and leans_as_claimed(e)) for e in group]
        for group in groups
        if any(e.p_value_raw is not None for e in group)
    ]
    corrected = iter(correct_claims(tested))
    found = []
    for group in groups:
        if any(e.p_value_raw is not None for e in group):
            found.append([_judge(e, p) for e, p in zip(group, next(corrected), strict=True)])
        else:
            found.append(list(group))
    return found


def _judge_models(effects: Sequence[Effect]) -> list[Effect]:
    corrected = correct_family([effect.p_value_models for effect in effects])
    found = []
    for effect, p_value in zip(effects, corrected, strict=True):
        if p_value is None:
            found.append(effect)
        elif effect.basis == "models":
            verdict = judge_models(p_value)
            found.append(replace(effect, p_value=p_value, verdict=verdict, family=MODELS))
        else:
            found.append(replace(effect, models=judge_models(p_value)))
    return found


def _judge(effect: Effect, p_value: float | None) -> Effect:
    """Return an effect with the verdict about recipes; without a p value it keeps what it has."""
    if p_value is None:
        return effect
    if effect.within is not None or effect.tokens == "alike":
        verdict = judge_alike(p_value)
    else:
        # The sign of the claim: `judge` reads a difference that is positive if it agrees.
        sign = 1.0 if leans_as_claimed(effect) else -1.0
        verdict = judge(sign, p_value, has_claim=effect.claim is not None)
    return replace(effect, p_value=p_value, verdict=verdict)


def is_decided(effect: Effect) -> bool:
    """Return whether the test of an effect came out, one way or the other."""
    return effect.p_value is not None and effect.p_value < ALPHA and effect.verdict != NO_DATA
