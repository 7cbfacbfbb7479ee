"""Main effects of a study: differences paired by seed, their intervals and verdicts.

A filter is a dict of field -> value on scores (student, subset, format, mode, benchmark). It must
match at most one score per seed and benchmark; without `benchmark` the mean over the study's
benchmarks is meant. Accuracies and differences are shares in [0, 1].
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import stdtr, stdtrit

from nt_pkg.report.wording import (
    describe_filter,
    describe_filters,
    show_accuracy,
    show_count,
    show_plural,
)

FILTER_FIELDS = ("student", "subset", "format", "mode", "benchmark")
MIN_SEEDS = 3
ALPHA = 0.05

Record = Mapping[str, Any]
Cells = dict[int, dict[str, Record]]  # seed -> benchmark -> score


@dataclass(frozen=True)
class Paired:
    """Mean of per-seed differences; the other fields are None where the seeds do not allow them."""

    mean: float
    standard_error: float | None
    interval: tuple[float, float] | None
    p_value: float | None


@dataclass(frozen=True)
class Effect:
    """One comparison of a study; `p_value` is Holm-corrected, `p_value_raw` is not."""

    name: str
    kind: str
    claim: str | None
    contrast: str
    benchmark: str
    verdict: str = "not enough data"
    num_seeds: int = 0
    difference: float | None = None
    standard_error: float | None = None
    interval: tuple[float, float] | None = None
    p_value: float | None = None
    p_value_raw: float | None = None
    tokens_ratio: float | None = None
    note: str = ""


def run_paired_t(differences: Sequence[float]) -> Paired:
    """Return mean, standard error, 95 % t interval and two-sided p value of a paired t test.

    With one difference only the mean is known. Equal differences have no spread: the interval has
    zero width.
    """
    values = np.asarray(differences, dtype=float)
    mean = float(values.mean())
    if len(values) < 2:
        return Paired(mean, None, None, None)
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    if error < 1e-12:  # rounding noise of equal differences, not a spread
        return Paired(mean, 0.0, (mean, mean), 1.0 if abs(mean) < 1e-12 else 0.0)
    degrees = len(values) - 1
    half_width = float(stdtrit(degrees, 1 - ALPHA / 2)) * error
    p_value = 2 * float(stdtr(degrees, -abs(mean / error)))
    return Paired(mean, error, (mean - half_width, mean + half_width), p_value)


def correct_holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's step-down corrected p values, in the order given (Holm 1979)."""
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


def judge(difference: float, p_value: float, *, has_claim: bool) -> str:
    """Return the verdict on a tested difference; a claim always says that it is positive."""
    if p_value >= ALPHA or difference == 0:
        return "not supported" if has_claim else "no difference seen"
    if difference > 0:
        return "supported" if has_claim else "above"
    return "opposite" if has_claim else "below"


def match_scores(scores: Sequence[Record], wanted: Record, where: str) -> Cells:
    """Return the scores that a filter selects, by seed and benchmark.

    Raises:
        ValueError: The filter names an unknown field, or selects two scores of one seed and
            benchmark.
    """
    unknown = sorted(set(wanted) - set(FILTER_FIELDS))
    if unknown:
        raise ValueError(
            f"comparison {where}: filter fields {unknown} do not exist; use {list(FILTER_FIELDS)}"
        )
    cells: Cells = {}
    for score in scores:
        if any(score[field] != value for field, value in wanted.items()):
            continue
        by_benchmark = cells.setdefault(int(score["seed"] or 0), {})
        if score["benchmark"] in by_benchmark:
            other = by_benchmark[score["benchmark"]]
            differing = [f for f in FILTER_FIELDS if score[f] != other[f]]
            raise ValueError(
                f"comparison {where}: the filter {dict(wanted)} selects more than one score of "
                "seed "
                f"{score['seed']} on {score['benchmark']}; add "
                f"{' and '.join(differing) or 'fields'} to it"
            )
        by_benchmark[score["benchmark"]] = score
    return cells


def repeat_untrained(cells: Cells, wanted: Record, seeds: Sequence[int]) -> Cells:
    """Return the untrained student's only score once per seed: it is a constant, not a sample."""
    if wanted.get("subset") != "none" or len(cells) != 1:
        return cells
    (only,) = cells.values()
    return {seed: only for seed in seeds}


def expand_comparison(comparison: Record) -> tuple[Record, Record]:
    """Return the filters (a, b) whose difference a - b is the effect of a comparison.

    Raises:
        ValueError: The kind is unknown, a scaling has fewer than two groups, or a and b differ in
            benchmark.
    """
    name, kind = comparison["name"], comparison["kind"]
    if kind == "difference":
        a, b = comparison["a"], comparison["b"]
    elif kind == "scaling":
        groups = comparison["groups"]
        if len(groups) < 2:
            raise ValueError(
                f"comparison {name}: a scaling needs two groups or more, smallest first"
            )
        a, b = groups[-1], groups[0]
    elif kind == "modes":
        a = comparison["a"]
        if comparison.get("b"):
            b = comparison["b"]
        else:
            a, b = {**a, "mode": "think"}, {**a, "mode": "no_think"}
    else:
        raise ValueError(f"comparison {name}: kind {kind!r}; use difference, scaling or modes")
    if a.get("benchmark") != b.get("benchmark"):
        raise ValueError(f"comparison {name}: both sides must name the same benchmark, or none")
    return a, b


def measure_effect(comparison: Record, scores: Sequence[Record]) -> Effect:
    """Return one comparison measured but not yet judged (Holm needs all of them)."""
    a, b = expand_comparison(comparison)
    name = comparison["name"]
    benchmarks = sorted({s["benchmark"] for s in scores})
    wanted = [a["benchmark"]] if "benchmark" in a else benchmarks
    effect = Effect(
        name=name,
        kind=comparison["kind"],
        claim=comparison.get("claim"),
        contrast=describe_filters(a, b),
        benchmark=wanted[0] if len(wanted) == 1 else f"mean of {len(wanted)}",
    )
    left, right = match_scores(scores, a, name), match_scores(scores, b, name)
    empty = [text for text, cells in ((a, left), (b, right)) if not cells]
    if empty:
        return replace(effect, note="; ".join(f"no score of {describe_filter(f)}" for f in empty))
    left, right = repeat_untrained(left, a, list(right)), repeat_untrained(right, b, list(left))
    seeds = [
        seed
        for seed in sorted(set(left) & set(right))
        if all(bench in left[seed] and bench in right[seed] for bench in wanted)
    ]
    skipped = sorted((set(left) | set(right)) - set(seeds))
    notes = [f"left out, not scored on both sides: seeds {skipped}"] if skipped else []
    if not seeds:
        return replace(effect, note="; ".join(notes))
    paired = run_paired_t([_average(left[s], wanted) - _average(right[s], wanted) for s in seeds])
    if paired.standard_error == 0:
        notes.append("the same difference at every seed")
    if comparison["kind"] == "modes":
        notes += _describe_adaptive(comparison, scores, wanted)
    tokens = [
        sum(_average(side[s], wanted, "mean_tokens") for s in seeds) for side in (left, right)
    ]
    return replace(
        effect,
        num_seeds=len(seeds),
        difference=paired.mean,
        standard_error=paired.standard_error,
        interval=paired.interval,
        p_value_raw=paired.p_value,
        tokens_ratio=tokens[0] / tokens[1] if tokens[1] else None,
        note="; ".join(notes),
    )


def measure_effects(comparisons: Sequence[Record], scores: Sequence[Record]) -> list[Effect]:
    """Return every comparison with its verdict, p values corrected over all tested ones (Holm)."""
    effects = [measure_effect(comparison, scores) for comparison in comparisons]
    tested = [i for i, e in enumerate(effects) if e.num_seeds >= MIN_SEEDS]
    raw = [p for i in tested if (p := effects[i].p_value_raw) is not None]
    assert len(raw) == len(tested), "three seeds always have a p value"
    for index, p_value in zip(tested, correct_holm(raw), strict=True):
        effect = effects[index]
        assert effect.difference is not None
        verdict = judge(effect.difference, p_value, has_claim=effect.claim is not None)
        effects[index] = replace(effect, p_value=p_value, verdict=verdict)
    for index, effect in enumerate(effects):
        if 0 < effect.num_seeds < MIN_SEEDS:
            few = f"{show_plural(effect.num_seeds, 'seed')}, {MIN_SEEDS} are needed for a test"
            effects[index] = replace(effect, note="; ".join(filter(None, [few, effect.note])))
    return effects


def _average(
    by_benchmark: Mapping[str, Record], wanted: Sequence[str], field: str = "accuracy"
) -> float:
    return math.fsum(float(by_benchmark[bench][field] or 0) for bench in wanted) / len(wanted)


def _describe_adaptive(
    comparison: Record, scores: Sequence[Record], wanted: Sequence[str]
) -> list[str]:
    cells = match_scores(scores, {**comparison["a"], "mode": "adaptive"}, comparison["name"])
    complete = [cell for cell in cells.values() if all(bench in cell for bench in wanted)]
    if not complete:
        return []
    accuracy = float(np.mean([_average(cell, wanted) for cell in complete]))
    tokens = float(np.mean([_average(cell, wanted, "mean_tokens") for cell in complete]))
    return [f"adaptive: {show_accuracy(accuracy, None)} % at {show_count(tokens)} tokens"]
