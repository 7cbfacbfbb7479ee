"""Verdicts next to the truth, where it is known: from many trainings, or by design.

A truth is what a study of the same comparisons found with some thirty seeds of its own. It belongs
to a comparison by the digest of everything that both sides depend on (`Plan.recipe_digests`), so
one of another world, base, training or benchmark is stale, and not used.

Two sides whose selectors know nothing of a row (`random`, `sham`), and which are equal otherwise,
have a difference of zero by design, whatever was measured.
"""

import math
import statistics
from collections.abc import Mapping, Sequence

from nt_pkg.config.filters import Filter, Named, expand_comparison, fits
from nt_pkg.config.report import Comparison
from nt_pkg.files.json_files import canonical, digest
from nt_pkg.identity.recipe_key import recipe_key
from nt_pkg.report.records import Effect, Judged, Run, Subset, TrueEffect, TrueRecipe, Truth
from nt_pkg.report.summary import Summary
from nt_pkg.report.wording import show_list, show_percent, show_plural
from nt_pkg.statistics.ratios import LONGER, lean
from nt_pkg.statistics.verdicts import MODELS_ALIKE, MODELS_DIFFER, NO_DATA

BLIND = ("random", "sham")  # selectors that know nothing of a row
MANY_ERRORS = 2.0  # a truth nearer to zero than so many of its standard errors counts as zero

FOUND, MISSED, FALSE, QUIET = "found", "missed", "false", "rightly quiet"
OPEN, UNJUDGED, STALE, UNKNOWN = "open", "not judged", "stale", "not known"
BY_DESIGN = "design"
OUTCOMES = {
    FOUND: "the truth has this direction",
    MISSED: "there is a difference, which this study does not show",
    FALSE: "there is none, or one in the other direction",
    QUIET: "there is none, and none was found",
}

_SIGNS = {"supported": 1, "above": 1, "opposite": -1, "below": -1}


def keep_truth(
    summary: Summary, comparisons: Sequence[Comparison], recipes: Mapping[str, str]
) -> Truth:
    """Return what a finished study measured, as the truth for others.

    Args:
        summary: of its report.
        comparisons: `report.comparisons`.
        recipes: digest of what every mean score depends on, by `recipe_key`.

    Raises:
        ValueError: a comparison has no verdict about recipes, because it has too few seeds.
    """
    measured = {effect.name: effect for effect in summary.effects}
    effects = []
    for comparison in comparisons:
        found = measured.get(comparison.name)
        key = digest_comparison(comparison, summary.scores, recipes)
        error = found and (found.tokens_error if found.tokens else found.standard_error)
        if found is None or key is None or error is None or found.basis != "recipes":
            raise ValueError(
                f"comparison {comparison.name} of study {summary.study} was not measured with "
                "several seeds: run the whole study, with `seeds` for all its recipes"
            )
        effects.append(
            TrueEffect(
                name=found.name,
                digest=key,
                num_seeds=found.num_seeds,
                difference=found.difference,
                standard_error=found.standard_error,
                tokens_ratio=found.tokens_ratio if found.tokens else None,
                tokens_error=found.tokens_error,
            )
        )
    accuracies: dict[str, list[float]] = {}
    for score in summary.scores:
        accuracies.setdefault(recipe_key(score), []).append(score.accuracy)
    known = [
        TrueRecipe(
            name=name,
            digest=recipes[name],
            num_seeds=len(values),
            mean=statistics.fmean(values),
            sd=statistics.stdev(values),
        )
        for name, values in sorted(accuracies.items())
        if name in recipes and len(values) > 1
    ]
    return Truth(study=summary.study, effects=effects, recipes=known)


def digest_comparison(
    comparison: Comparison, scores: Sequence[Named], recipes: Mapping[str, str]
) -> str | None:
    """Return the digest of what both sides depend on, seeds aside; None if it is not known."""
    sides = [
        [recipes.get(key) for key in _keys(scores, side)] for side in expand_comparison(comparison)
    ]
    known = [sorted(each for each in side if each is not None) for side in sides]
    if not all(known) or [len(side) for side in known] != [len(side) for side in sides]:
        return None
    return digest(known)


def judge_truth(
    comparisons: Sequence[Comparison],
    effects: Sequence[Effect],
    scores: Sequence[Named],
    subsets: Sequence[Subset],
    truth: Truth | None,
    recipes: Mapping[str, str],
    runs: Sequence[Run] = (),
) -> list[Judged]:
    """Return every verdict next to the truth; without a truth, only those with one by design."""
    kept = truth.effects if truth else ()
    # Accuracy and lengths of the same sides are two comparisons.
    measured = {(each.digest, each.tokens_ratio is not None): each for each in kept}
    names = {effect.name for effect in truth.effects} if truth else set()
    found = []
    for comparison, effect in zip(comparisons, effects, strict=True):
        if is_zero_by_design(comparison, scores, subsets, runs):
            found.append(_judge(effect, BY_DESIGN, 0.0, 0.0, 0))
        elif truth is None:
            continue
        elif known := measured.get(
            (digest_comparison(comparison, scores, recipes) or "", bool(effect.tokens))
        ):
            value, error = known.difference, known.standard_error
            if effect.tokens:
                value, error = known.tokens_ratio, known.tokens_error
            if value is None or error is None:  # it was kept without its claim about lengths
                found.append(Judged(name=effect.name, verdict=effect.verdict, outcome=UNKNOWN))
            else:
                found.append(_judge(effect, "measured", value, error, known.num_seeds))
        else:
            outcome = STALE if effect.name in names else UNKNOWN
            found.append(Judged(name=effect.name, verdict=effect.verdict, outcome=outcome))
    return found


def say_outcome(judged: Judged) -> str:
    """Return what a verdict is worth, in words."""
    if judged.outcome == MISSED:
        if judged.mde80 is None or judged.value is None:
            return "missed: this study could not see it"
        seen = f"80 % of such studies see {show_percent(judged.mde80)} points"
        if abs(judged.value) < judged.mde80:
            return f"missed: this study could not see it ({seen})"
        return f"missed by bad luck: {seen}"
    return {
        OPEN: "open: the truth is too near to the margin of the claim",
        UNJUDGED: "not judged: there is no verdict about recipes",
        STALE: "not judged: the truth on file is of another world, and is not used",
        UNKNOWN: "not judged: no truth is on file",
    }.get(judged.outcome, judged.outcome)


def say_stale(judged: Sequence[Judged], effects: Sequence[Effect], path: str | None) -> str:
    """Return the statement that a truth is of another world and not used, or an empty text."""
    stale = {each.name for each in judged if each.outcome == STALE}
    if not stale:
        return ""
    number = f"{len(stale)} of {show_plural(len(effects), 'comparison')}"
    titles = [effect.title.rstrip(".") for effect in effects if effect.name in stale]
    return (
        f"The truth in {path} is of another world, base, training or benchmark for {number} "
        f"({'; '.join(titles)}) and is not used there: measure it again (docs/truth.md)."
    )


def say_truth(judged: Sequence[Judged]) -> str:
    """Return how many verdicts agree with the truth, or an empty text if none was measured."""
    known = [each for each in judged if each.outcome in OUTCOMES]
    if all(each.source == BY_DESIGN for each in known):
        return ""  # the controls have a sentence of their own
    counts = [f"{sum(each.outcome == outcome for each in known)} {outcome}" for outcome in OUTCOMES]
    seeds = [each.num_seeds for each in known if each.source != BY_DESIGN]
    parts = [f"measured with {show_plural(min(seeds), 'other seed')} of each recipe"]
    if len(seeds) < len(known):
        parts.append("zero by design where both sides are chosen blindly")
    return (
        f"Of {show_plural(len(known), 'verdict')} whose truth is known ({show_list(parts)}), "
        f"{show_list(counts)}."
    )


def is_zero_by_design(
    comparison: Comparison,
    scores: Sequence[Named],
    subsets: Sequence[Subset],
    runs: Sequence[Run] = (),
) -> bool:
    """Return whether both sides differ only in selectors that know nothing of a row.

    What else decided about their rows, such as which answer stands for a question, is the same for
    both, and so are their trainings.
    """
    sides = expand_comparison(comparison)
    found = [[s for s in scores if fits(s, side)] for side in sides]
    names = [{s.subset for s in side} for side in found]
    if any(len(each) != 1 for each in names) or names[0] == names[1]:
        return False
    others = [{(s.student, s.format, s.mode) for s in side} for side in found]
    draws = [[each for each in subsets if each.subset in side] for side in names]
    around = [{canonical(each.around) for each in side} for side in draws]
    trained = [{canonical(run.spec) for run in runs if run.subset in side} for side in names]
    alike = others[0] == others[1] and around[0] == around[1] and trained[0] == trained[1]
    return alike and len(around[0]) == 1 and all(d.selector in BLIND for s in draws for d in s)


def _keys(scores: Sequence[Named], side: Filter) -> list[str]:
    return sorted({recipe_key(score) for score in scores if fits(score, side)})


def _judge(effect: Effect, source: str, value: float, error: float, num_seeds: int) -> Judged:
    return Judged(
        name=effect.name,
        verdict=effect.verdict,
        outcome=find_outcome(effect, value, error),
        source=source,
        value=value,
        error=error,
        num_seeds=num_seeds,
        mde80=effect.mde80 if effect.within is None else None,  # of likeness, it is a margin
    )


def find_outcome(effect: Effect, value: float, error: float) -> str:
    """Return what a verdict is worth next to the truth.

    Args:
        effect: the comparison with its verdict.
        value: its true difference, a share; of a claim about lengths, the true ratio of tokens.
        error: standard error of the truth.
    """
    if effect.verdict in (NO_DATA, MODELS_ALIKE, MODELS_DIFFER):
        return UNJUDGED
    said, margin = _SIGNS.get(effect.verdict, 0), MANY_ERRORS * error
    if effect.within is not None or effect.tokens == "alike":
        return _judge_alike(said, _find_inside(effect, value), margin)
    away = lean(value, effect.tokens) if effect.tokens else value
    is_null = abs(away) <= margin
    true = 0 if is_null else int(math.copysign(1, away))
    if said == 0:
        return QUIET if true == 0 else MISSED
    return FOUND if said == true else FALSE


def _find_inside(effect: Effect, value: float) -> float:
    """Return how far inside its margin the truth of a claim of likeness is; negative: outside."""
    if effect.within is not None:
        return effect.within - abs(value)
    return min(LONGER - value, value - 1 / LONGER)


def _judge_alike(said: int, inside: float, margin: float) -> str:
    if abs(inside) <= margin:
        return OPEN
    if said:
        return FOUND if inside > 0 else FALSE
    return MISSED if inside > 0 else QUIET
