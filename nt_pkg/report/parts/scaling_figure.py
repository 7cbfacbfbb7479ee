"""The figure of accuracy against the number of training examples (the paper's figure 1)."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from nt_pkg.config.filters import fits
from nt_pkg.config.report import Comparison, Published
from nt_pkg.report.canvas import (
    MARKERS,
    MUTED,
    SERIES,
    Chart,
    label_below,
    make_panels,
    start_at_zero,
)
from nt_pkg.report.cells import Cell
from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.parts._columns import describe_point
from nt_pkg.report.parts._published_points import paper_accuracy
from nt_pkg.report.wording import show_percent

Lines = dict[tuple[str, str], list[Cell]]  # (benchmark, comparison) -> cells by size


def draw_scaling(material: Material) -> Chart | None:
    """Return accuracy against the number of training examples, one panel per benchmark.

    Published numbers of the same runs are hollow marks.
    """
    cells, chance = material.cells, material.study.chance
    published = material.study.report.published
    lines = _find_scaling(material.study.report.comparisons, cells)
    if not lines:
        return None
    benchmarks = sorted({benchmark for benchmark, _ in lines})
    names = list(dict.fromkeys(name for _, name in lines))
    titles = {effect.name: effect.title for effect in material.effects}
    figure, panels = make_panels(len(benchmarks), sharey=True)
    for axes, benchmark in zip(panels, benchmarks, strict=True):
        inside = {name: line for (place, name), line in lines.items() if place == benchmark}
        for name, line in inside.items():
            _draw_line(axes, line, names.index(name), titles.get(name, name))
            _draw_published(axes, line, names.index(name), published)
        _draw_levels(axes, benchmark, cells, next(iter(inside.values()))[0], chance)
        sizes = sorted({cell.size for line in inside.values() for cell in line})
        axes.set_xscale("log")
        # Labels of sizes this close would overlap.
        close = {a for a, b in pairwise(sizes) if b < 1.6 * a}
        axes.set_xticks(sizes, ["" if size in close else f"{size:,}" for size in sizes])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_title(benchmark)
        axes.set_xlabel("training examples")
    start_at_zero(panels)
    panels[0].set_ylabel("accuracy, %")
    label_below(figure, panels)
    said = (
        f"{titles.get(name, name)} on {benchmark}: "
        + ", ".join(f"{cell.size:,} examples {show_percent(cell.accuracy)} %" for cell in line)
        for (benchmark, name), line in lines.items()
    )
    return Chart(
        "scaling",
        "Accuracy against the number of training examples: mean over seeds, bars of one standard "
        "error. Dotted: the untrained student; dashed: a uniform guess, if there is one."
        + (" Hollow marks: the published numbers of the same runs." if published else ""),
        f"Line chart. {'. '.join(said)}.",
        figure,
        [
            {
                "comparison": n,
                **describe_point(cell),
                "paper": paper_accuracy(cell, published),
            }
            for (_, n), line in lines.items()
            for cell in line
        ],
    )


def _find_scaling(comparisons: Sequence[Comparison], cells: Sequence[Cell]) -> Lines:
    lines: Lines = {}
    for comparison in comparisons:
        for wanted in comparison.groups if comparison.kind == "scaling" else ():
            for cell in cells:
                # A size of zero means unknown, and a logarithmic axis cannot show it.
                if cell.size and fits(cell, wanted):
                    lines.setdefault((cell.benchmark, comparison.name), []).append(cell)
    return {key: sorted(line, key=lambda cell: cell.size) for key, line in lines.items()}


def _draw_line(axes: Axes, line: Sequence[Cell], index: int, name: str) -> None:
    axes.errorbar(
        [cell.size for cell in line],
        [100 * cell.accuracy for cell in line],
        yerr=[100 * cell.standard_error for cell in line],
        color=SERIES[index % len(SERIES)],
        marker=MARKERS[index % len(MARKERS)],
        elinewidth=1,
        label=name,
    )


def _draw_published(
    axes: Axes, line: Sequence[Cell], index: int, published: Sequence[Published]
) -> None:
    known = [
        (cell.size, 100 * p) for cell in line if (p := paper_accuracy(cell, published)) is not None
    ]
    axes.plot(
        [size for size, _ in known],
        [accuracy for _, accuracy in known],
        color=SERIES[index % len(SERIES)],
        marker=MARKERS[index % len(MARKERS)],
        markersize=9,
        markerfacecolor="none",
        linestyle="none",
    )


def _draw_levels(
    axes: Axes, benchmark: str, cells: Sequence[Cell], like: Cell, chance: Mapping[str, float]
) -> None:
    for cell in cells:
        if not cell.is_trained and (*cell.place, cell.mode) == (*like.place, like.mode):
            axes.axhline(100 * cell.accuracy, color=MUTED, linestyle=":", linewidth=1.2)
    if benchmark in chance:
        axes.axhline(100 * chance[benchmark], color=MUTED, linestyle="--", linewidth=1)


PART = Part(section="scaling", place=10, draw=draw_scaling)
