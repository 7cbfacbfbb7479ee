"""Main effects of a study: differences paired by seed, their intervals and verdicts.

A filter is a dict of field -> value on scores (student, subset, format, mode, benchmark). It must
match at most one score per seed and benchmark; without `benchmark` the mean over the study's
benchmarks is meant, with a list of them the mean over those. Accuracies and differences are shares
in [0, 1].
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nt_pkg.report.published import find_published
from nt_pkg.report.significance import (
    ALPHA,
    MIN_SEEDS,
    Answers,
    Paired,
    compare_alike,
    compare_questions,
    correct_holm,
    judge,
    run_paired_t,
)
from nt_pkg.report.wording import (
    describe_filter,
    describe_filters,
    show_accuracy,
    show_count,
    show_plural,
)

FILTER_FIELDS = ("student", "subset", "format", "mode", "benchmark")
# From here on one answer is called longer than another. Our choice: the paper's System-2 student
# writes 1.7 times as much when asked to think and counts as unable to switch; between System-1 and
# System-2 there is a factor of 27.
LONGER = 2.0

Record = Mapping[str, Any]
Cells = dict[int, dict[str, Record]]  # seed -> benchmark -> score


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
    basis: str = "seeds"  # what the test goes over: seeds, questions, or nothing for tokens
    paper: float | None = None  # the published difference
    within: float | None = None  # the claim is that the difference is smaller than this
    tokens: str | None = None  # the claim is about lengths: longer or alike


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
        if any(not _fits(score[field], value) for field, value in wanted.items()):
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


def _fits(value: object, wanted: object) -> bool:
    return value in wanted if isinstance(wanted, list) else value == wanted


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


def measure_effect(
    comparison: Record,
    scores: Sequence[Record],
    answers: Answers | None = None,
    published: Sequence[Record] = (),
) -> Effect:
    """Return one comparison measured but not yet judged (Holm needs all of them)."""
    a, b = expand_comparison(comparison)
    name = comparison["name"]
    benchmarks = sorted({s["benchmark"] for s in scores})
    named = a.get("benchmark", benchmarks)
    wanted = named if isinstance(named, list) else [named]
    papers = [find_published(published, side, wanted) for side in (a, b)]
    margin = comparison.get("within")
    effect = Effect(
        name=name,
        kind=comparison["kind"],
        claim=comparison.get("claim"),
        contrast=describe_filters(a, b),
        benchmark=wanted[0] if len(wanted) == 1 else f"mean of {len(wanted)}",
        paper=None if papers[0] is None or papers[1] is None else papers[0] - papers[1],
        within=None if margin is None else margin / 100,
        tokens=comparison.get("tokens"),
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
    paired, basis = _test(left, right, seeds, wanted, answers)
    if effect.tokens:
        basis = "tokens"
    if basis == "seeds" and paired.standard_error == 0:
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
        p_value_raw=paired.p_value
        if effect.within is None
        else compare_alike(paired, effect.within),
        basis=basis,
        tokens_ratio=tokens[0] / tokens[1] if tokens[1] else None,
        note="; ".join(notes),
    )


def measure_effects(
    comparisons: Sequence[Record],
    scores: Sequence[Record],
    answers: Answers | None = None,
    published: Sequence[Record] = (),
) -> list[Effect]:
    """Return every comparison with its verdict, p values corrected over all tested ones (Holm).

    Args:
        comparisons: see `nt_pkg.report.build`.
        scores: score JSONs.
        answers: gives the share right of every question of a score. With it, a comparison of fewer
            than three seeds is tested over questions instead.
        published: rows of a paper's tables, for its own differences.
    """
    effects = [measure_effect(each, scores, answers, published) for each in comparisons]
    tested = [i for i, e in enumerate(effects) if _is_tested(e)]
    raw = [p for i in tested if (p := effects[i].p_value_raw) is not None]
    for index, p_value in zip(tested, correct_holm(raw), strict=True):
        effect = effects[index]
        assert effect.difference is not None
        verdict = judge(effect.difference, p_value, has_claim=effect.claim is not None)
        if effect.within is not None:
            verdict = "supported" if p_value < ALPHA else "not supported"
        effects[index] = replace(effect, p_value=p_value, verdict=verdict)
    for index, effect in enumerate(effects):
        if effect.tokens and effect.tokens_ratio is not None:
            is_right = (effect.tokens_ratio >= LONGER) == (effect.tokens == "longer")
            effects[index] = replace(effect, verdict="supported" if is_right else "not supported")
        elif effect.basis == "seeds" and 0 < effect.num_seeds < MIN_SEEDS:
            few = f"{show_plural(effect.num_seeds, 'seed')}, {MIN_SEEDS} are needed for a test"
            effects[index] = replace(effect, note="; ".join(filter(None, [few, effect.note])))
    return effects


def _is_tested(effect: Effect) -> bool:
    has_enough = effect.basis == "questions" or effect.num_seeds >= MIN_SEEDS
    return has_enough and not effect.tokens and effect.p_value_raw is not None


def _test(
    left: Cells,
    right: Cells,
    seeds: Sequence[int],
    wanted: Sequence[str],
    answers: Answers | None,
) -> tuple[Paired, str]:
    """Return the test over seeds, or where they are too few the one over questions."""
    if len(seeds) < MIN_SEEDS and answers is not None:
        pairs = {bench: [(left[s][bench], right[s][bench]) for s in seeds] for bench in wanted}
        found = compare_questions(pairs, answers)
        if found is not None:
            return found, "questions"
    differences = [_average(left[s], wanted) - _average(right[s], wanted) for s in seeds]
    return run_paired_t(differences), "seeds"


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
