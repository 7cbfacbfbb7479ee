"""Main effects of a study: differences paired by seed, their intervals and verdicts.

Filters are those of `nt_pkg.report.filters`. Accuracies and differences are shares in [0, 1].
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from nt_pkg.config.report import Comparison, Published
from nt_pkg.report.filters import (
    Filter,
    ScoresBySeed,
    expand_comparison,
    match_scores,
    repeat_untrained,
)
from nt_pkg.report.published import find_published, find_published_tokens
from nt_pkg.report.records import Effect, Score
from nt_pkg.report.wording import (
    describe_filter,
    describe_filters,
    show_accuracy,
    show_count,
    show_interval,
    show_percent,
    show_plural,
    show_points,
    show_ratio,
    show_ratio_interval,
)
from nt_pkg.statistics.ratios import (
    Lengths,
    Ratio,
    find_p_value,
    lean,
    pair_lengths,
    pair_questions,
)
from nt_pkg.statistics.tests import (
    MIN_SEEDS,
    Answers,
    Paired,
    compare_alike,
    compare_questions,
    correct_holm,
    run_paired_t,
)
from nt_pkg.statistics.verdicts import judge, judge_alike

AnswersOf = Callable[[Score], Answers]
LengthsOf = Callable[[Score], Lengths]


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


def show_effect_error(effect: Effect) -> str:
    """Return the standard error of our result."""
    if effect.tokens:
        return show_ratio(effect.tokens_error)
    return show_percent(effect.standard_error)


def show_effect_paper(effect: Effect) -> str:
    """Return the paper's number for it."""
    return show_ratio(effect.paper) if effect.tokens else show_points(effect.paper)


def measure_effect(
    comparison: Comparison,
    scores: Sequence[Score],
    answers: AnswersOf | None = None,
    published: Sequence[Published] = (),
    lengths: LengthsOf | None = None,
) -> Effect:
    """Return one comparison, measured but not yet judged, because Holm needs all p values."""
    a, b = expand_comparison(comparison)
    name = comparison.name
    benchmarks = sorted({score.benchmark for score in scores})
    named = a.get("benchmark", benchmarks)
    wanted = named if isinstance(named, list) else [named]
    effect = Effect(
        name=name,
        kind=comparison.kind,
        claim=comparison.claim,
        contrast=describe_filters(a, b),
        benchmark=wanted[0] if len(wanted) == 1 else f"mean of {len(wanted)}",
        paper=_find_paper(published, a, b, wanted, is_ratio=bool(comparison.tokens)),
        within=None if comparison.within is None else comparison.within / 100,
        tokens=comparison.tokens,
    )
    left, right = match_scores(scores, a, name), match_scores(scores, b, name)
    empty = [text for text, cells in ((a, left), (b, right)) if not cells]
    if empty:
        return replace(effect, note="; ".join(f"no score of {describe_filter(f)}" for f in empty))
    left, right = repeat_untrained(left, list(right)), repeat_untrained(right, list(left))
    seeds = [
        seed
        for seed in sorted(set(left) & set(right))
        if all(bench in left[seed] and bench in right[seed] for bench in wanted)
    ]
    skipped = sorted((set(left) | set(right)) - set(seeds))
    notes = [f"left out, not scored on both sides: seeds {skipped}"] if skipped else []
    if not seeds:
        return replace(effect, note="; ".join(notes))
    paired, basis = _test(left, right, seeds, wanted, answers)
    if basis == "seeds" and paired.standard_error == 0:
        notes.append("the same difference at every seed")
    if comparison.kind == "modes":
        notes += _describe_adaptive(comparison, scores, wanted)
    has_tokens = _with_tokens(left, right, seeds, wanted) == seeds
    tokens = [sum(_average_tokens(side[s], wanted) for s in seeds) for side in (left, right)]
    measured = replace(
        effect,
        num_seeds=len(seeds),
        difference=paired.mean,
        standard_error=paired.standard_error,
        interval=paired.interval,
        p_value_raw=paired.p_value
        if effect.within is None
        else compare_alike(paired, effect.within),
        basis=basis,
        tokens_ratio=tokens[0] / tokens[1] if has_tokens and tokens[1] else None,
        note="; ".join(notes),
    )
    return _measure_lengths(measured, left, right, seeds, wanted, lengths)


def measure_effects(
    comparisons: Sequence[Comparison],
    scores: Sequence[Score],
    answers: AnswersOf | None = None,
    published: Sequence[Published] = (),
    lengths: LengthsOf | None = None,
) -> list[Effect]:
    """Return every comparison with its verdict, p values corrected over all tested ones (Holm).

    Args:
        comparisons: `report.comparisons` of the configuration.
        scores: all scores of the study.
        answers: returns the share of right answers per question of a score; comparisons with fewer
            than three seeds are then tested over questions.
        published: rows of a paper's tables, for its own differences.
        lengths: returns the mean tokens per question of a score, likewise for claims about
            lengths.
    """
    effects = [measure_effect(each, scores, answers, published, lengths) for each in comparisons]
    tested = [i for i, e in enumerate(effects) if _is_tested(e)]
    raw = [p for i in tested if (p := effects[i].p_value_raw) is not None]
    for index, p_value in zip(tested, correct_holm(raw), strict=True):
        effect = effects[index]
        effects[index] = replace(effect, p_value=p_value, verdict=_judge(effect, p_value))
    for index, effect in enumerate(effects):
        if effect.basis == "seeds" and 0 < effect.num_seeds < MIN_SEEDS:
            few = f"{show_plural(effect.num_seeds, 'seed')}, {MIN_SEEDS} are needed for a test"
            effects[index] = replace(effect, note="; ".join(filter(None, [few, effect.note])))
    return effects


def _is_tested(effect: Effect) -> bool:
    has_enough = effect.basis == "questions" or effect.num_seeds >= MIN_SEEDS
    return has_enough and effect.p_value_raw is not None


def _judge(effect: Effect, p_value: float) -> str:
    if effect.within is not None or effect.tokens == "alike":
        return judge_alike(p_value)
    assert effect.difference is not None
    found = effect.difference
    if effect.tokens:
        assert effect.tokens_ratio is not None
        found = lean(effect.tokens_ratio, effect.tokens)
    return judge(found, p_value, has_claim=effect.claim is not None)


def _test(
    left: ScoresBySeed,
    right: ScoresBySeed,
    seeds: Sequence[int],
    wanted: Sequence[str],
    answers: AnswersOf | None,
) -> tuple[Paired, str]:
    """Return the test over seeds, or over questions if there are too few seeds."""
    if len(seeds) < MIN_SEEDS and answers is not None:
        found = compare_questions(
            {b: [(answers(left[s][b]), answers(right[s][b])) for s in seeds] for b in wanted}
        )
        if found is not None:
            return found, "questions"
    differences = [_average(left[s], wanted) - _average(right[s], wanted) for s in seeds]
    return run_paired_t(differences), "seeds"


def _measure_lengths(
    effect: Effect,
    left: ScoresBySeed,
    right: ScoresBySeed,
    seeds: Sequence[int],
    wanted: Sequence[str],
    lengths: LengthsOf | None,
) -> Effect:
    """Return the effect; a claim about lengths gets p value, error and interval of its ratio."""
    if not effect.tokens:
        return effect
    ratio, basis = _pair_tokens(left, right, seeds, wanted), "seeds"
    if lengths is not None and (ratio is None or ratio.degrees + 1 < MIN_SEEDS):
        found = pair_questions(
            {b: [(lengths(left[s][b]), lengths(right[s][b])) for s in seeds] for b in wanted}
        )
        if found is not None:
            ratio, basis = found, "questions"
    if ratio is None or not ratio.degrees:
        return replace(effect, p_value_raw=None, basis=basis)
    return replace(
        effect,
        num_seeds=ratio.degrees + 1 if basis == "seeds" else effect.num_seeds,
        tokens_ratio=ratio.value,
        tokens_error=ratio.standard_error,
        tokens_interval=ratio.interval,
        p_value_raw=find_p_value(ratio, effect.tokens),
        basis=basis,
    )


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


def _find_paper(
    published: Sequence[Published],
    a: Filter,
    b: Filter,
    wanted: Sequence[str],
    *,
    is_ratio: bool,
) -> float | None:
    """Return the published difference in accuracy (a share), or the ratio of tokens."""
    find = find_published_tokens if is_ratio else find_published
    first, second = (find(published, side, wanted) for side in (a, b))
    if first is None or second is None:
        return None
    return first / second if is_ratio else first - second


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
