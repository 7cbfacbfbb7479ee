"""The figure of how long the traces of pools and subsets are."""

from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import StrMethodFormatter

from nt_pkg.report.canvas import INK, MUTED, SERIES, Chart, make_axes
from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.parts._histograms import add_histograms, group_draws
from nt_pkg.report.records import Histograms
from nt_pkg.report.tables import Row
from nt_pkg.report.wording import show_count

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def draw_trace_lengths(material: Material) -> Chart | None:
    """Return how long the traces of every pool and subset are; draws of a subset are joined."""
    named = [("pool", pool.pool, [pool.histograms]) for pool in material.pools]
    draws = group_draws(sorted(material.subsets, key=lambda each: (each.size, each.subset)))
    named += [
        ("subset", name, [each.histograms for each in members]) for name, members in draws.items()
    ]
    rows: list[Row] = [
        {"of": of, "name": name, **dict(zip(map(str, QUANTILES), found, strict=True))}
        for of, name, members in named
        if (found := _find_quantiles(members))
    ]
    if not rows:
        return None
    figure, (axes,) = make_axes(1, 1, 6.8, 0.24 * len(rows) + 0.9)
    for place, row in enumerate(reversed(rows)):
        low, first, middle, third, high = (row[str(each)] for each in QUANTILES)
        colour = MUTED if row["of"] == "pool" else SERIES[0]
        axes.plot([low, high], [place, place], color=colour, linewidth=1)
        axes.plot([first, third], [place, place], color=colour, linewidth=4, solid_capstyle="butt")
        axes.plot([middle], [place], marker="|", markersize=9, markeredgewidth=1.6, color=INK)
    axes.set_yticks(range(len(rows)), [_name_row(row) for row in reversed(rows)])
    axes.tick_params(axis="y", labelcolor=INK)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.set_xlabel("tokens of a trace")
    said = ", ".join(f"{_name_row(row)} {show_count(row['0.5'])}" for row in rows)
    return Chart(
        "trace_lengths",
        "How long the traces of every pool and subset are: the median, the middle half (thick) and "
        "the middle 90 % (thin). Estimated from histograms, assuming that lengths are "
        "evenly spread within a bin.",
        f"Dot plot of trace lengths. Median tokens: {said}.",
        figure,
        rows,
    )


def _name_row(row: Row) -> str:
    return f"pool {row['name']}" if row["of"] == "pool" else str(row["name"])


def _find_quantiles(parts: Sequence[Histograms]) -> list[float]:
    """Return the quantiles of the lengths of all parts together; none if there are no lengths."""
    lengths = add_histograms(parts).num_tokens
    if not lengths or not sum(lengths.counts):
        return []
    shares = np.concatenate([[0.0], np.cumsum(lengths.counts) / sum(lengths.counts)])
    return [float(each) for each in np.interp(QUANTILES, shares, lengths.edges)]


PART = Part(section="lengths", place=20, draw=draw_trace_lengths)
