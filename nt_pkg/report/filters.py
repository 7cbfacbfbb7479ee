"""Filters on scores: which scores a comparison is about, and what is subtracted from what.

A filter is a dict of field -> value on scores (student, subset, format, mode, benchmark). It must
match at most one score per seed and benchmark; without `benchmark` the mean over the study's
benchmarks is meant, with a list of them the mean over those.
"""

from collections.abc import Mapping, Sequence
from typing import Any

FILTER_FIELDS = ("student", "subset", "format", "mode", "benchmark")

Record = Mapping[str, Any]
Cells = dict[int, dict[str, Record]]  # seed -> benchmark -> score


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
