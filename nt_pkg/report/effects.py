"""Main effects of a study: differences, their intervals and verdicts.

Filters are those of `nt_pkg.config.filters`. Accuracies and differences are shares in [0, 1].
"""

import math
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from nt_pkg.config.filters import expand_comparison, list_benchmarks, match_scores
from nt_pkg.config.published import find_published_effect
from nt_pkg.config.report import Claim, Comparison, Published
from nt_pkg.report.judging import CLAIMS, NO_CLAIM, JudgedClaim, judge_study
from nt_pkg.report.records import Effect, Run, Score, ScoresBySeed, Side
from nt_pkg.report.runs import AnswersOf, Runs, is_untrained, keep_complete
from nt_pkg.report.sentences import say_place
from nt_pkg.report.wording import (
    DASH,
    describe_filter,
    describe_filters,
    describe_sides,
    show_accuracy,
    show_count,
    show_interval,
    show_list,
    show_percent,
    show_points,
    show_ratio,
    show_ratio_interval,
)
from nt_pkg.statistics.ratios import (
    Lengths,
    Ratio,
    add_ratios,
    find_p_value,
    pair_lengths,
    pair_questions,
)
from nt_pkg.statistics.recipes import Test
from nt_pkg.statistics.verdicts import ALPHA

LengthsOf = Callable[[Score], Lengths]
ALIKE_LEVEL = 0.9  # two one-sided tests at 5 % are the 90 % interval (Schuirmann 1987)


def show_effect(effect: Effect) -> str:
    """Return our result as text: points of accuracy, or a ratio of tokens with a times sign."""
    if effect.tokens:
        return show_ratio(effect.tokens_ratio)
    return show_points(effect.difference)


def show_effect_interval(effect: Effect) -> str:
    """Return the interval of our result."""
    if effect.tokens:
        return show_ratio_interval(effect.tokens_interval)
    return show_interval(effect.interval)


def show_level(effect: Effect) -> str:
    """Return the level of the interval if it is another than 95 %."""
    has_one = show_effect_interval(effect) != DASH and effect.level != Effect.level
    return f"{100 * effect.level:.0f} %" if has_one else ""


def show_effect_error(effect: Effect) -> str:
    """Return the standard error of our result."""
    if effect.tokens:
        return show_ratio(effect.tokens_error)
    return show_percent(effect.standard_error)


def show_effect_paper(effect: Effect) -> str:
    """Return the paper's number for it."""
    return show_ratio(effect.paper) if effect.tokens else show_points(effect.paper)


def measure_effects(
    comparisons: Sequence[Comparison],
    scores: Sequence[Score],
    answers: AnswersOf | None = None,
    published: Sequence[Published] = (),
    lengths: LengthsOf | None = None,
    *,
    claims: Sequence[Claim] = (),
    runs: Sequence[Run] = (),
    training_sd: float | None = None,
    labels: Mapping[str, str] | None = None,
) -> tuple[list[Effect], list[JudgedClaim]]:
    """Return every comparison and every claim with its verdict.

    Args:
        comparisons: `report.comparisons` of the configuration.
        scores: all scores of the study.
        answers: returns the share of right answers per question of a score.
        published: rows of a paper's tables, for its own differences.
        lengths: returns the mean tokens per question of a score, likewise for claims about
            lengths.
        claims: `report.claims`.
        runs: the trainings, for what else differs between two sides.
        training_sd: `report.training_sd`, as a share.
        labels: what sentences call each benchmark.
    """
    known = Runs(scores, answers, training_sd)
    effects = [_measure(each, scores, known, published, lengths, runs) for each in comparisons]
    return judge_study(claims, _tell_apart(effects, labels or {}))


def _tell_apart(effects: Sequence[Effect], labels: Mapping[str, str]) -> list[Effect]:
    """Return the comparisons; those with the same sides in words say where, and if of tokens."""
    places = [say_place(each.benchmark, labels) for each in effects]
    found = _say_of(effects, places)
    return _say_of(found, ["tokens" if each.tokens else "" for each in found])


def _say_of(effects: Sequence[Effect], words: Sequence[str]) -> list[Effect]:
    """Return the comparisons, with a word more where two have the same title."""
    counts = Counter(each.title for each in effects)
    return [
        replace(each, of=", ".join(filter(None, (each.of, word))))
        if counts[each.title] > 1
        else each
        for each, word in zip(effects, words, strict=True)
    ]


def _measure(
    comparison: Comparison,
    scores: Sequence[Score],
    known: Runs,
    published: Sequence[Published],
    lengths: LengthsOf | None,
    runs: Sequence[Run],
) -> Effect:
    """Return one comparison, measured but not yet judged, because a family is judged together."""
    a, b = expand_comparison(comparison)
    name = comparison.name
    cells = [match_scores(scores, side, name) for side in (a, b)]
    wanted = list_benchmarks(a, cells)
    effect = Effect(
        name=name,
        kind=comparison.kind,
        claim=comparison.claim,
        contrast=describe_filters(a, b),
        sides=comparison.sides or describe_sides(a, b),
        benchmark=wanted[0] if len(wanted) == 1 else f"mean of {len(wanted)}",
        family=CLAIMS if comparison.claim is not None else comparison.family or NO_CLAIM,
        paper=find_published_effect(published, (a, b), wanted, is_ratio=bool(comparison.tokens)),
        within=None if comparison.within is None else comparison.within / 100,
        tokens=comparison.tokens,
    )
    empty = [text for text, found in zip((a, b), cells, strict=True) if not found]
    if empty:
        return replace(effect, note="; ".join(f"no score of {describe_filter(f)}" for f in empty))
    sides, skipped = _pair(cells, wanted)
    named = show_list([str(seed) for seed in skipped])
    what = "seed" if len(skipped) == 1 else "seeds"
    notes = [f"{what} {named} left out, not scored on both sides"] if skipped else []
    own = [{name for found in cell.values() for name in found} for cell in cells]
    if alone := sorted((own[0] ^ own[1]) - set(wanted)):
        notes.append(f"without {show_list(alone)}, which one side lacks")
    if not all(sides):
        return replace(effect, note="; ".join(notes))
    if comparison.kind == "modes":
        notes += _describe_adaptive(comparison, scores, wanted)
    tokens = [_mean_tokens(side, wanted) for side in sides]
    measured = replace(
        effect,
        num_seeds=min((len(side) for side in sides if not is_untrained(side)), default=1),
        difference=_mean(sides[0], wanted) - _mean(sides[1], wanted),
        tokens_ratio=tokens[0] / tokens[1] if tokens[0] is not None and tokens[1] else None,
        note="; ".join(notes),
        a=_describe_side(sides[0], wanted, runs),
        b=_describe_side(sides[1], wanted, runs),
    )
    if comparison.tokens:
        return _test_lengths(measured, sides, wanted, lengths)
    return _test_accuracy(measured, known.test(sides, wanted))


def _pair(
    cells: Sequence[ScoresBySeed], wanted: Sequence[str]
) -> tuple[list[ScoresBySeed], list[int]]:
    """Return both sides with the seeds that are complete on both, and the other seeds.

    The seeds of an untrained student are only further answers, and go with no other seeds.
    """
    complete = [keep_complete(side, wanted) for side in cells]
    if any(map(is_untrained, cells)):
        sides = complete
    else:
        both = set(complete[0]) & set(complete[1])
        sides = [{seed: side[seed] for seed in sorted(both)} for side in complete]
    left_out = {
        seed for side, kept in zip(cells, sides, strict=True) for seed in set(side) - set(kept)
    }
    return sides, sorted(left_out)


def _test_accuracy(effect: Effect, tests: Sequence[Test]) -> Effect:
    """Return the effect with its tests: about recipes, about two models, or both."""
    by_basis = {test.basis: test for test in tests}
    models = by_basis.get("models")
    shown = by_basis.get("recipes", models)
    if shown is None:
        return replace(effect, note=_say_missing(effect))
    is_alike = effect.within is not None
    level = ALIKE_LEVEL if is_alike else effect.level
    about_recipes = shown.basis == "recipes"
    notes = [effect.note]
    if effect.within is not None and not about_recipes:
        is_shown = shown.p_within(effect.within) < ALPHA
        margin = f"within {100 * effect.within:g} points"
        notes.append(f"that they are {margin} is {'shown' if is_shown else 'not shown'}")
    return replace(
        effect,
        difference=shown.mean,
        standard_error=shown.standard_error,
        question_error=math.sqrt(shown.error.known),
        interval=shown.interval(level),
        level=level,
        p_value_raw=_find_p_value(effect, shown) if about_recipes else None,
        p_value_models=models.p_value if models else None,
        basis=shown.basis,
        spread=shown.source if about_recipes else "",
        degrees=shown.degrees,
        spread_alike=shown.alike,
        note="; ".join(filter(None, notes)),
    )


def _find_p_value(effect: Effect, test: Test) -> float:
    return test.p_value if effect.within is None else test.p_within(effect.within)


def _say_missing(effect: Effect) -> str:
    few = "too few questions, or answers that are not known, for a test"
    return "; ".join(filter(None, [few, effect.note]))


def _test_lengths(
    effect: Effect,
    sides: Sequence[ScoresBySeed],
    wanted: Sequence[str],
    lengths: LengthsOf | None,
) -> Effect:
    """Return the effect with p values, error and interval of its ratio of tokens.

    Two seeds or more tell how trainings of this pair vary; questions are added. With one seed the
    questions only tell about these two models.
    """
    assert effect.tokens is not None
    seeds = sorted({seed for side in sides if not is_untrained(side) for seed in side} or {0})
    left, right = (_repeat(side, seeds) for side in sides)
    over_seeds = _pair_tokens(left, right, seeds, wanted)
    over_questions = None
    if lengths is not None:
        over_questions = pair_questions(
            {b: [(lengths(left[s][b]), lengths(right[s][b])) for s in seeds] for b in wanted}
        )
    is_recipes = over_seeds is not None and over_seeds.degrees > 0
    if over_seeds is not None and is_recipes:
        ratio = over_seeds if over_questions is None else add_ratios(over_seeds, over_questions)
    elif over_questions is not None:
        ratio = over_questions
    else:
        return replace(effect, note=_say_missing(effect))
    level = ALIKE_LEVEL if effect.tokens == "alike" else effect.level
    p_value = find_p_value(ratio, effect.tokens)
    differs = find_p_value(ratio, "fewer")
    return replace(
        effect,
        num_seeds=ratio.degrees + 1 if is_recipes else effect.num_seeds,
        tokens_ratio=ratio.value,
        tokens_error=ratio.standard_error,
        tokens_interval=ratio.interval(level),
        level=level,
        p_value_raw=p_value if is_recipes else None,
        p_value_models=None if is_recipes else differs,
        basis="recipes" if is_recipes else "models",
        spread="own" if is_recipes else "",
        degrees=ratio.degrees if is_recipes else None,
    )


def _repeat(side: ScoresBySeed, seeds: Sequence[int]) -> ScoresBySeed:
    """Return a side with these seeds: an untrained student is the same one at each of them."""
    if not is_untrained(side):
        return side
    first = side[min(side)]
    return {seed: side.get(seed, first) for seed in seeds}


def _pair_tokens(
    left: ScoresBySeed, right: ScoresBySeed, seeds: Sequence[int], wanted: Sequence[str]
) -> Ratio | None:
    """Return the ratio over the seeds with tokens."""
    known = _with_tokens(left, right, seeds, wanted)
    a, b = ([_average_tokens(side[s], wanted) for s in known] for side in (left, right))
    return pair_lengths(a, b)


def _with_tokens(
    left: ScoresBySeed, right: ScoresBySeed, seeds: Sequence[int], wanted: Sequence[str]
) -> list[int]:
    """Return the seeds whose tokens are known; those of failed generations are not."""
    return [
        seed
        for seed in seeds
        if all(side[seed][b].mean_tokens is not None for side in (left, right) for b in wanted)
    ]


def _describe_side(side: ScoresBySeed, wanted: Sequence[str], runs: Sequence[Run]) -> Side:
    scores = [side[seed][name] for seed in side for name in wanted]
    first = scores[0]
    key = first.student, first.subset, first.format
    own = [r for r in runs if (r.student, r.subset, r.format) == key and r.seed in side]
    return Side(
        tokens=_mean_known([score.mean_tokens for score in scores]),
        tokens_complete=_mean_known([score.mean_tokens_complete for score in scores]),
        truncation_rate=_mean_known([score.truncation_rate for score in scores]),
        no_answer_rate=_mean_known([score.no_answer_rate for score in scores]),
        num_examples=_mean_known([run.num_examples for run in own]),
        train_tokens=_mean_known([run.num_tokens for run in own]),
        train_steps=_mean_known([run.num_steps for run in own]),
    )


def _mean_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def _mean(side: ScoresBySeed, wanted: Sequence[str]) -> float:
    return statistics.fmean(_average(found, wanted) for found in side.values())


def _mean_tokens(side: ScoresBySeed, wanted: Sequence[str]) -> float | None:
    """Return the mean tokens over runs; None if those of a score are not known."""
    if any(found[name].mean_tokens is None for found in side.values() for name in wanted):
        return None
    return statistics.fmean(_average_tokens(found, wanted) for found in side.values())


def _average(by_benchmark: Mapping[str, Score], wanted: Sequence[str]) -> float:
    return math.fsum(by_benchmark[bench].accuracy for bench in wanted) / len(wanted)


def _average_tokens(by_benchmark: Mapping[str, Score], wanted: Sequence[str]) -> float:
    return math.fsum(by_benchmark[bench].mean_tokens or 0 for bench in wanted) / len(wanted)


def _describe_adaptive(
    comparison: Comparison, scores: Sequence[Score], wanted: Sequence[str]
) -> list[str]:
    cells = match_scores(scores, {**comparison.a, "mode": "adaptive"}, comparison.name)
    complete = [cell for cell in cells.values() if all(bench in cell for bench in wanted)]
    if not complete:
        return []
    accuracy = statistics.fmean(_average(cell, wanted) for cell in complete)
    tokens = statistics.fmean(_average_tokens(cell, wanted) for cell in complete)
    return [f"adaptive: {show_accuracy(accuracy, None)} % at {show_count(tokens)} tokens"]
