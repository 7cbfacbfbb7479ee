"""Figures about scores: effects, scaling, and accuracy against tokens."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator, StrMethodFormatter

from nt_pkg.report.canvas import (
    INK,
    MARKERS,
    MUTED,
    SERIES,
    Chart,
    label_below,
    make_axes,
    make_panels,
    start_at_zero,
)
from nt_pkg.report.cells import Cell, choose_format_cells, choose_shared_places, name_place
from nt_pkg.report.effects import Effect
from nt_pkg.report.published import find_published, find_published_tokens
from nt_pkg.report.wording import show_interval, show_list, show_percent, show_points, sort_modes

Record = Mapping[str, Any]
Lines = dict[tuple[str, str], list[Cell]]  # (benchmark, comparison) -> cells by size


def draw_effects(effects: Sequence[Effect]) -> Chart | None:
    """Return every measured difference with its interval; filled where the corrected p is small."""
    shown = [each for each in effects if each.difference is not None and not each.tokens]
    if not shown:
        return None
    figure, (axes,) = make_axes(1, 1, 6.8, 0.34 * len(shown) + 0.9)
    axes.axvline(0, color=MUTED, linewidth=1)
    for place, effect in enumerate(reversed(shown)):
        _draw_effect(axes, place, effect)
    axes.set_yticks(range(len(shown)), [e.name for e in reversed(shown)])
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("difference in accuracy, percentage points")
    said = "; ".join(
        f"{e.name} {show_points(e.difference)} ({show_interval(e.interval)}), {e.verdict}"
        for e in shown
    )
    bases = sorted({e.basis for e in shown}, reverse=True)
    has_papers = any(e.paper is not None for e in shown)
    papers = " Diamonds are the paper's own differences." if has_papers else ""
    return Chart(
        "effects",
        f"Differences in accuracy with their 95 % intervals over {show_list(bases)}. A filled mark "
        "has a corrected p below 0.05, a hollow one has not; no bar means too few seeds for an "
        f"interval.{papers}",
        f"Dot plot of differences in percentage points: {said}.",
        figure,
        [_describe_effect(effect) for effect in shown],
    )


def _draw_effect(axes: Axes, place: int, effect: Effect) -> None:
    assert effect.difference is not None
    is_seen = effect.verdict in ("supported", "opposite", "above", "below")
    colour = SERIES[1] if effect.verdict in ("opposite", "below") else SERIES[0]
    colour = colour if is_seen else MUTED
    if effect.interval is not None and (effect.num_seeds > 2 or effect.basis == "questions"):
        axes.plot([100 * x for x in effect.interval], [place, place], color=colour, linewidth=2)
    if effect.paper is not None:
        x = [100 * effect.paper]
        axes.plot(x, [place], marker="D", markersize=5, color=INK, markerfacecolor="none")
    face = colour if is_seen else "none"
    x = [100 * effect.difference]
    axes.plot(x, [place], marker="o", markersize=7, color=colour, markerfacecolor=face)


def _describe_effect(effect: Effect) -> dict[str, Any]:
    low, high = effect.interval or (None, None)
    return {
        **{"name": effect.name, "difference": effect.difference, "low": low, "high": high},
        **{"verdict": effect.verdict, "basis": effect.basis, "paper": effect.paper},
    }


def draw_scaling(
    comparisons: Sequence[Record],
    cells: Sequence[Cell],
    chance: Mapping[str, float],
    published: Sequence[Record] = (),
) -> Chart | None:
    """Return accuracy against the number of training examples, one panel per benchmark.

    Published numbers of the same runs stand beside as hollow marks (the paper's figure 1).
    """
    lines = _find_scaling(comparisons, cells)
    if not lines:
        return None
    benchmarks = sorted({benchmark for benchmark, _ in lines})
    names = list(dict.fromkeys(name for _, name in lines))
    figure, panels = make_panels(len(benchmarks), sharey=True)
    for axes, benchmark in zip(panels, benchmarks, strict=True):
        inside = {name: line for (place, name), line in lines.items() if place == benchmark}
        for name, line in inside.items():
            _draw_line(axes, line, names.index(name), name)
            _draw_published(axes, line, names.index(name), published)
        _draw_levels(axes, benchmark, cells, next(iter(inside.values()))[0], chance)
        sizes = sorted({cell.size for line in inside.values() for cell in line})
        axes.set_xscale("log")
        # Labels of sizes this close would lie on each other.
        close = {a for a, b in pairwise(sizes) if b < 1.6 * a}
        axes.set_xticks(sizes, ["" if size in close else f"{size:,}" for size in sizes])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_title(benchmark)
        axes.set_xlabel("training examples")
    start_at_zero(panels)
    panels[0].set_ylabel("accuracy, %")
    label_below(figure, panels)
    said = (
        f"{name} on {benchmark}: "
        + ", ".join(f"{cell.size:,} examples {show_percent(cell.accuracy)} %" for cell in line)
        for (benchmark, name), line in lines.items()
    )
    return Chart(
        "scaling",
        "Accuracy against the number of training examples: mean over seeds, bars of one standard "
        "error. Dotted: the untrained student; dashed: a uniform guess, where there is one."
        + (" Hollow marks: the published numbers of the same runs." if published else ""),
        f"Line chart. {'. '.join(said)}.",
        figure,
        [
            {"comparison": n, **_point(cell), "paper": _paper(cell, published)}
            for (_, n), line in lines.items()
            for cell in line
        ],
    )


def _find_scaling(comparisons: Sequence[Record], cells: Sequence[Cell]) -> Lines:
    lines: Lines = {}
    for comparison in comparisons:
        for wanted in comparison["groups"] if comparison["kind"] == "scaling" else ():
            for cell in cells:
                # A size of zero is unknown and has no place on a logarithmic axis.
                if cell.size and all(getattr(cell, k) == v for k, v in wanted.items()):
                    lines.setdefault((cell.benchmark, comparison["name"]), []).append(cell)
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
    axes: Axes, line: Sequence[Cell], index: int, published: Sequence[Record]
) -> None:
    known = [(cell.size, 100 * p) for cell in line if (p := _paper(cell, published)) is not None]
    axes.plot(
        [size for size, _ in known],
        [accuracy for _, accuracy in known],
        color=SERIES[index % len(SERIES)],
        marker=MARKERS[index % len(MARKERS)],
        markersize=9,
        markerfacecolor="none",
        linestyle="none",
    )


def _paper(cell: Cell, published: Sequence[Record]) -> float | None:
    return find_published(published, _names(cell), [cell.benchmark])


def _paper_tokens(cell: Cell, published: Sequence[Record]) -> float | None:
    return find_published_tokens(published, _names(cell), [cell.benchmark])


def _names(cell: Cell) -> dict[str, str]:
    return {name: getattr(cell, name) for name in ("student", "subset", "format", "mode")}


def _draw_levels(
    axes: Axes, benchmark: str, cells: Sequence[Cell], like: Cell, chance: Mapping[str, float]
) -> None:
    for cell in cells:
        if not cell.is_trained and (*cell.place, cell.mode) == (*like.place, like.mode):
            axes.axhline(100 * cell.accuracy, color=MUTED, linestyle=":", linewidth=1.2)
    if benchmark in chance:
        axes.axhline(100 * chance[benchmark], color=MUTED, linestyle="--", linewidth=1)


def draw_tokens(cells: Sequence[Cell], published: Sequence[Record] = ()) -> Chart | None:
    """Return accuracy against mean answer length of the subset trained in most formats.

    Published points of the same runs stand beside as hollow marks (the paper's figure 2).
    """
    chosen = choose_format_cells(cells)
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
        {**_point(c), "paper": _paper(c, published), "paper_tokens": _paper_tokens(c, published)}
        for c in chosen
    ]
    has_papers = any(row["paper"] is not None and row["paper_tokens"] for row in rows)
    papers = (
        " Hollow marks: the published numbers of the same runs, where both are known; a dotted "
        "line joins each to ours."
    )
    said = (
        f"{c.format} in {c.mode} on {c.benchmark}: {show_percent(c.accuracy)} % at "
        f"{c.mean_tokens:,.0f} tokens."
        for c in chosen
    )
    return Chart(
        "tokens",
        f"Accuracy against the mean length of an answer, subset {subsets}: colour is the training "
        "format, the mark is the mode at inference, a thin line joins the modes of one student. "
        f"Bars of one standard error.{papers if has_papers else ''}",
        f"Scatter plot. {' '.join(said)}",
        figure,
        rows,
    )


def _draw_modes(
    axes: Axes,
    line: Sequence[Cell],
    colour: str,
    modes: Sequence[str],
    published: Sequence[Record],
) -> None:
    ordered = sorted(line, key=lambda cell: cell.mean_tokens)
    x, y = [cell.mean_tokens for cell in ordered], [100 * cell.accuracy for cell in ordered]
    axes.plot(x, y, color=colour, linewidth=1, alpha=0.4)
    for cell in ordered:
        axes.errorbar(
            cell.mean_tokens,
            100 * cell.accuracy,
            yerr=100 * cell.standard_error,
            color=colour,
            marker=MARKERS[modes.index(cell.mode) % len(MARKERS)],
            elinewidth=1,
        )
        paper, tokens = _paper(cell, published), _paper_tokens(cell, published)
        if paper is None or tokens is None:
            continue
        there = (tokens, 100 * paper)
        axes.plot(
            *zip((cell.mean_tokens, 100 * cell.accuracy), there, strict=True),
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


def _point(cell: Cell) -> dict[str, Any]:
    fields = ("student", "subset", "format", "benchmark", "mode", "size")
    numbers = ("num_seeds", "accuracy", "standard_error", "mean_tokens")
    return {field: getattr(cell, field) for field in (*fields, *numbers)}
