"""Published numbers of the run that a filter names (`report.published` of a study)."""

from collections.abc import Mapping, Sequence

from nt_pkg.config.filters import Filter
from nt_pkg.config.report import Published


def find_published(
    published: Sequence[Published], wanted: Filter, benchmarks: Sequence[str]
) -> float | None:
    """Return the published mean accuracy (a share) over benchmarks of the run of a filter.

    None if no row is about it, or the row lacks one of the benchmarks.
    """
    for row in _rows_about(published, wanted):
        if (mean := _find_mean(row.accuracy, benchmarks)) is not None:
            return mean / 100
    return None


def find_published_tokens(
    published: Sequence[Published], wanted: Filter, benchmarks: Sequence[str]
) -> float | None:
    """Return the published mean tokens of an answer, likewise."""
    for row in _rows_about(published, wanted):
        if (mean := _find_mean(row.tokens, benchmarks)) is not None:
            return mean
    return None


def find_published_effect(
    published: Sequence[Published],
    sides: tuple[Filter, Filter],
    benchmarks: Sequence[str],
    *,
    is_ratio: bool = False,
) -> float | None:
    """Return the published difference in accuracy (a share) of two runs, or the ratio of tokens."""
    find = find_published_tokens if is_ratio else find_published
    first, second = (find(published, side, benchmarks) for side in sides)
    if first is None or second is None:
        return None
    return first / second if is_ratio else first - second


def _rows_about(published: Sequence[Published], wanted: Filter) -> list[Published]:
    names = {field: value for field, value in wanted.items() if field != "benchmark"}
    return [row for row in published if row.filter and names.items() <= dict(row.filter).items()]


def _find_mean(numbers: Mapping[str, float], benchmarks: Sequence[str]) -> float | None:
    if not benchmarks or any(name not in numbers for name in benchmarks):
        return None
    return float(sum(numbers[name] for name in benchmarks)) / len(benchmarks)
