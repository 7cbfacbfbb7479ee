"""Figures about answers: accuracy by category, and how long answers are."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import StrMethodFormatter

from nt_pkg.report.canvas import MARKERS, SERIES, Chart, label_below, make_panels, start_at_zero
from nt_pkg.report.cells import (
    Cell,
    choose_format_cells,
    choose_own_modes,
    choose_shared_places,
    name_place,
)
from nt_pkg.report.wording import show_list, show_percent, sort_modes, sort_naturally

Record = Mapping[str, Any]
Rows = list[dict[str, Any]]


def draw_difficulty(cells: Sequence[Cell]) -> Chart | None:
    """Return accuracy by category, each format in the mode it was made for."""
    shared = choose_shared_places(choose_own_modes(choose_format_cells(cells)))
    chosen = [c for c in shared if len(c.by_category) > 1]
    if not chosen:
        return None
    formats = sorted({cell.format for cell in chosen})
    places = sorted({cell.place for cell in chosen})
    figure, panels = make_panels(len(places), sharey=True)
    rows: Rows = []
    for axes, place in zip(panels, places, strict=True):
        inside = [cell for cell in chosen if cell.place == place]
        names = sort_naturally(sorted({name for cell in inside for name in cell.by_category}))
        for cell in inside:
            rows += _draw_categories(axes, cell, names, formats)
        _name_categories(axes, names)
        axes.set_title(name_place(place, places))
    start_at_zero(panels)
    panels[0].set_ylabel("accuracy, %")
    label_below(figure, panels)
    said = (
        f"{r['format']} on {r['benchmark']}, {r['category']}: {show_percent(r['accuracy'])} %."
        for r in rows
    )
    return Chart(
        "difficulty",
        "Accuracy by category of question, every format in the mode it was made for (System-1 "
        "without thinking, all others with). Bars of one standard error over seeds, or over "
        "questions where there is one seed.",
        f"Accuracy by category. {' '.join(said)}",
        figure,
        rows,
    )


def _draw_categories(axes: Axes, cell: Cell, names: Sequence[str], formats: Sequence[str]) -> Rows:
    index = formats.index(cell.format)
    present = [(i, cell.by_category[n]) for i, n in enumerate(names) if n in cell.by_category]
    # Categories without a number have no order, so no line should suggest one.
    is_ordered = all(any(letter.isdigit() for letter in name) for name in names)
    axes.errorbar(
        [i + 0.06 * (index - (len(formats) - 1) / 2) for i, _ in present],
        [100 * accuracy for _, (_, accuracy, _) in present],
        yerr=[100 * (error or 0) for _, (_, _, error) in present],
        color=SERIES[index % len(SERIES)],
        marker=MARKERS[index % len(MARKERS)],
        linestyle="-" if is_ordered else "none",
        elinewidth=1,
        label=f"{cell.format}, {cell.mode}",
    )
    identity = {f: getattr(cell, f) for f in ("student", "subset", "format", "benchmark", "mode")}
    return [
        {**identity, "category": names[i], "num": num, "accuracy": a, "standard_error": e}
        for i, (num, a, e) in present
    ]


def _name_categories(axes: Axes, names: Sequence[str]) -> None:
    is_crowded = sum(len(name) for name in names) > 40
    axes.set_xticks(range(len(names)), names, rotation=35 if is_crowded else 0)
    if is_crowded:
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")


def draw_lengths(scores: Sequence[Record], cells: Sequence[Cell]) -> Chart | None:
    """Return how long answers are, by format and mode (the paper's figure 5)."""
    shared = choose_shared_places(choose_format_cells(cells))
    chosen = {(*cell.group, cell.benchmark) for cell in shared}
    benchmarks = sorted({cell.benchmark for cell in shared})
    bins: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    for score in scores:
        names = (score["student"], score["subset"], score["format"], score["benchmark"])
        if names in chosen:
            edges, counts = score["token_histogram"]["edges"], score["token_histogram"]["counts"]
            spans = zip(edges[:-1], edges[1:], counts, strict=True)
            bins.setdefault((score["mode"], score["format"]), []).extend(spans)
    shares = {key: pooled for key, spans in bins.items() if (pooled := _pool_bins(spans))}
    if not shares:
        return None
    modes = sort_modes(sorted({mode for mode, _ in shares}))
    formats = sorted({name for _, name in shares})
    figure, panels = make_panels(len(modes), sharey=True, sharex=True)
    for axes, mode in zip(panels, modes, strict=True):
        for index, name in enumerate(formats):
            if (mode, name) in shares:
                found = shares[mode, name]
                # The first bin starts at zero, which a logarithmic axis does not have.
                edges = [found[0][0] or found[0][1] / 2, *(high for _, high, _ in found)]
                heights = [100 * share for _, _, share in found]
                colour = SERIES[index % len(SERIES)]
                axes.stairs(heights, edges, color=colour, linewidth=1.6, label=name)
        axes.set_title(mode)
        axes.set_xlabel("tokens of an answer")
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    panels[0].set_ylabel("share of answers, %")
    label_below(figure, panels)
    peaks = {key: max(found, key=lambda each: each[2]) for key, found in shares.items()}
    said = "; ".join(
        f"{name} in {mode} have {low:,g} to {high:,g} tokens"
        for (mode, name), (low, high, _) in peaks.items()
    )
    return Chart(
        "lengths",
        f"How long the answers to {show_list(benchmarks)} are, by mode and training format; all "
        "seeds together. Every step is one bin of the score files; their widths double.",
        f"Histograms of answer lengths. Most answers of {said}.",
        figure,
        [
            {"mode": mode, "format": name, "from": low, "to": high, "share": share}
            for (mode, name), found in shares.items()
            for low, high, share in found
        ],
    )


def _pool_bins(bins: Iterable[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    totals: dict[tuple[float, float], float] = {}
    for low, high, count in bins:
        totals[low, high] = totals.get((low, high), 0) + count
    number = sum(totals.values())
    ordered = sorted((span, count) for span, count in totals.items() if count or span[0])
    while ordered and not ordered[0][1]:
        ordered.pop(0)
    # Scores with different bins cannot be added up; such a group is left out rather than bent.
    if not number or any(a[0][1] != b[0][0] for a, b in pairwise(ordered)):
        return []
    return [(low, high, count / number) for (low, high), count in ordered]
