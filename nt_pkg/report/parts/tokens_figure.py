"""The figure of accuracy against answer length (the paper's figure 2)."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import StrMethodFormatter

from nt_pkg.config.report import Published
from nt_pkg.report.canvas import MARKERS, MUTED, SERIES, Chart, make_panels, start_at_zero
from nt_pkg.report.cells import Cell, choose_format_cells, choose_shared_places, name_place
from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.parts._columns import describe_point
from nt_pkg.report.parts._published_points import paper_accuracy, paper_tokens
from nt_pkg.report.wording import show_list, show_percent, sort_modes


def draw_tokens(material: Material) -> Chart | None:
    """Return accuracy against mean answer length of the subset trained in most formats.

    Published points of the same runs are hollow marks.
    """
    published = material.study.report.published
    chosen = [cell for cell in choose_format_cells(material.cells) if cell.mean_tokens is not None]
    if not chosen:
        return None
    chosen = choose_shared_places(chosen)
    formats = sorted({cell.format for cell in chosen})
    modes = sort_modes(sorted({cell.mode for cell in chosen}))
    places = sorted({cell.place for cell in chosen})
    figure, panels = make_panels(len(places), sharey=True)
    for axes, place in zip(panels, places, strict=True):
        for index, name in enumerate(formats):
            line = [cell for cell in chosen if (cell.place, cell.format) == (place, name)]
            _draw_modes(axes, line, SERIES[index % len(SERIES)], modes, published)
        axes.set_title(name_place(place, places))
        axes.set_xlabel("mean tokens of an answer")
        axes.set_xlim(left=0)
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    start_at_zero(panels)
    panels[0].set_ylabel("accuracy, %")
    handles = [Line2D([], [], color=SERIES[i % 6], label=n) for i, n in enumerate(formats)]
    for index, name in enumerate(modes):
        mark = MARKERS[index % 6]
        handles.append(Line2D([], [], color=MUTED, marker=mark, linestyle="none", label=name))
    figure.legend(handles=handles, loc="outside lower left", ncols=4)
    subsets = show_list(sorted({cell.subset for cell in chosen}))
    rows = [
        {
            **describe_point(cell),
            "paper": paper_accuracy(cell, published),
            "paper_tokens": paper_tokens(cell, published),
        }
        for cell in chosen
    ]
    has_papers = any(row["paper"] is not None and row["paper_tokens"] for row in rows)
    papers = (
        " Hollow marks: the published numbers of the same runs, if both are known; a dotted "
        "line joins each to ours."
    )
    said = (
        f"{c.format} in {c.mode} on {c.benchmark}: {show_percent(c.accuracy)} % at "
        f"{_tokens(c):,.0f} tokens."
        for c in chosen
    )
    return Chart(
        "tokens",
        f"Accuracy against the mean length of an answer, subset {subsets}: colour is the training "
        "format, the mark is the mode at inference, a thin line joins the modes of one student. "
        f"Bars show one standard error.{papers if has_papers else ''}",
        f"Scatter plot. {' '.join(said)}",
        figure,
        rows,
    )


def _draw_modes(
    axes: Axes,
    line: Sequence[Cell],
    colour: str,
    modes: Sequence[str],
    published: Sequence[Published],
) -> None:
    ordered = sorted(line, key=_tokens)
    x, y = [_tokens(cell) for cell in ordered], [100 * cell.accuracy for cell in ordered]
    axes.plot(x, y, color=colour, linewidth=1, alpha=0.4)
    for cell in ordered:
        axes.errorbar(
            _tokens(cell),
            100 * cell.accuracy,
            yerr=100 * cell.standard_error,
            color=colour,
            marker=MARKERS[modes.index(cell.mode) % len(MARKERS)],
            elinewidth=1,
        )
        paper, tokens = paper_accuracy(cell, published), paper_tokens(cell, published)
        if paper is None or tokens is None:
            continue
        there = (tokens, 100 * paper)
        axes.plot(
            *zip((_tokens(cell), 100 * cell.accuracy), there, strict=True),
            color=colour,
            linestyle=":",
            linewidth=1,
        )
        axes.plot(
            *there,
            color=colour,
            marker=MARKERS[modes.index(cell.mode) % len(MARKERS)],
            markersize=8,
            markerfacecolor="none",
            linestyle="none",
        )


def _tokens(cell: Cell) -> float:
    assert cell.mean_tokens is not None, cell
    return cell.mean_tokens


PART = Part(section="tokens", place=10, draw=draw_tokens)
