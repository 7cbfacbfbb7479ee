"""Filters on scores: which scores a comparison uses, and what is subtracted from what.

A filter is a dict of field -> value on scores (student, subset, format, mode, benchmark). It must
match at most one score per seed and benchmark. Without `benchmark` a comparison means the mean over
the benchmarks that both sides have; with a list of benchmarks, the mean over these.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from nt_pkg.config.report import Comparison

FILTER_FIELDS = ("student", "subset", "format", "mode", "benchmark")

Filter = Mapping[str, str | list[str]]


class Named(Protocol):
    """What a filter applies to: a score, or an average of scores."""

    @property
    def student(self) -> str:
        """The student."""

    @property
    def subset(self) -> str:
        """The subset that it was trained on."""

    @property
    def format(self) -> str:
        """The format that it was trained in."""

    @property
    def mode(self) -> str:
        """The inference mode."""

    @property
    def benchmark(self) -> str:
        """The benchmark."""


class OfRun(Named, Protocol):
    """A score of one run, finished or planned."""

    @property
    def seed(self) -> int:
        """The seed of the run."""


Found = TypeVar("Found", bound=OfRun)


def list_names(found: Named) -> dict[str, str]:
    """Return student, subset, format, benchmark and mode."""
    return {
        "student": found.student,
        "subset": found.subset,
        "format": found.format,
        "benchmark": found.benchmark,
        "mode": found.mode,
    }


def fits(found: Named, wanted: Filter) -> bool:
    """Return whether a filter selects a score; unknown fields select nothing."""
    names = list_names(found)
    return all(_is_one_of(names.get(field), value) for field, value in wanted.items())


def _is_one_of(value: str | None, wanted: str | list[str]) -> bool:
    return value in wanted if isinstance(wanted, list) else value == wanted


def list_benchmarks(
    wanted: Filter, cells: Sequence[Mapping[int, Mapping[str, object]]]
) -> list[str]:
    """Return the benchmarks that a comparison is of: those named, or those that all sides have.

    If the sides share none, it is those of any side, so that all are left out with a reason.

    Args:
        wanted: the filter of a side.
        cells: scores of each side by seed and benchmark.
    """
    if "benchmark" in wanted:
        named = wanted["benchmark"]
        return list(named) if isinstance(named, list) else [named]
    own = [{name for found in side.values() for name in found} for side in cells]
    return sorted(set.intersection(*own) or set.union(*own))


def match_scores(
    scores: Sequence[Found], wanted: Filter, where: str
) -> dict[int, dict[str, Found]]:
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
    cells: dict[int, dict[str, Found]] = {}
    for score in scores:
        if not fits(score, wanted):
            continue
        by_benchmark = cells.setdefault(score.seed, {})
        if score.benchmark in by_benchmark:
            names, others = list_names(score), list_names(by_benchmark[score.benchmark])
            differing = [field for field in FILTER_FIELDS if names[field] != others[field]]
            raise ValueError(
                f"comparison {where}: the filter {dict(wanted)} selects more than one score of "
                f"seed {score.seed} on {score.benchmark}; add "
                f"{' and '.join(differing) or 'fields'} to it"
            )
        by_benchmark[score.benchmark] = score
    return cells


def expand_comparison(comparison: Comparison) -> tuple[Filter, Filter]:
    """Return the filters (a, b) whose difference a - b is the effect of a comparison.

    Raises:
        ValueError: A scaling has fewer than two groups, or a and b differ in benchmark.
    """
    name = comparison.name
    a: Filter = comparison.a
    b: Filter = comparison.b
    if comparison.kind == "scaling":
        groups = comparison.groups
        if len(groups) < 2:
            raise ValueError(
                f"comparison {name}: a scaling needs two groups or more, smallest first"
            )
        a, b = groups[-1], groups[0]
    elif comparison.kind == "modes" and not b:
        a, b = {**a, "mode": "think"}, {**a, "mode": "no_think"}
    if a.get("benchmark") != b.get("benchmark"):
        raise ValueError(f"comparison {name}: both sides must name the same benchmark, or none")
    return a, b
