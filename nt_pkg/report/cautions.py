"""What a reader must know before believing a comparison: idle selectors, and unequal sides."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from nt_pkg.config.filters import expand_comparison, match_scores
from nt_pkg.config.report import Comparison
from nt_pkg.report.records import Run, RunName, Score, ScoresBySeed, Subset
from nt_pkg.report.wording import name_run, show_count, show_list
from nt_pkg.selectors._base import idle_conditions

UNEVEN = 0.02  # sides of equal size that differ by more of their rows are no equals
_Key = tuple[str, str, str, int]


def say_idle_conditions(subsets: Sequence[Subset]) -> str:
    """Return the statement that conditions of selectors decide next to nothing, or an empty text.

    Draws of one selector with the same parameters from the same rows have the same conditions.
    """
    found: dict[tuple[str, str], set[str]] = {}
    for subset in subsets:
        for line in idle_conditions(subset.conditions, subset.num_available):
            found.setdefault((subset.selector, line), set()).add(subset.subset)
    if not found:
        return ""
    lines = [
        f"{selector} of {show_list(sorted(names))} ({line})"
        for (selector, line), names in sorted(found.items())
    ]
    return (
        f"A condition of these selectors decides next to nothing: {'; '.join(lines)}. Without it "
        "the selection would be nearly the same."
    )


def say_uneven_sides(
    comparisons: Sequence[Comparison],
    scores: Sequence[Score],
    runs: Sequence[Run],
    sizes: Mapping[str, int],
) -> str:
    """Return the statement that sides of comparisons were trained on unequal rows, or empty text.

    A subset has the rows that its size names, but examples over a length limit are left out.

    Args:
        comparisons: `report.comparisons` of the configuration.
        scores: all scores of the study.
        runs: its trainings.
        sizes: rows by name of the subset.
    """
    rows = {_key(run): run.num_examples for run in runs}
    found: dict[str, None] = {}
    for comparison in comparisons:
        left, right = (
            _names(match_scores(scores, side, comparison.name))
            for side in expand_comparison(comparison)
        )
        seeds = [s for s in left if s in right and {_key(left[s]), _key(right[s])} <= set(rows)]
        if not seeds:
            continue
        a, b = (fmean(rows[_key(side[seed])] for seed in seeds) for side in (left, right))
        one, other = left[seeds[0]], right[seeds[0]]
        size = sizes.get(one.subset)
        if size == sizes.get(other.subset) and abs(a - b) > UNEVEN * max(a, b):
            found[f"{_say_side(one, a)} and {_say_side(other, b)} of {show_count(size)}"] = None
    if not found:
        return ""
    return (
        "These are compared as subsets of one size, but examples over a length limit were left out "
        f"of them, and their rows differ by more than {100 * UNEVEN:g} %: {'; '.join(found)}."
    )


def _names(side: ScoresBySeed) -> dict[int, RunName]:
    """Return the run of one side at every seed."""
    return {seed: next(iter(by_benchmark.values())) for seed, by_benchmark in side.items()}


def _say_side(run: RunName, num_rows: float) -> str:
    return f"{run.student} on {name_run(run.subset, run.format)} with {show_count(num_rows)} rows"


def _key(name: RunName) -> _Key:
    return name.student, name.subset, name.format, name.seed
