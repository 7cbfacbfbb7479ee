"""Figures about traces: the strategies they use, and how long they are."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from nt_pkg.report.canvas import INK, MUTED, SERIES, Chart, label_below, make_axes
from nt_pkg.report.data_charts import add_histograms, count_shares
from nt_pkg.report.wording import show_count, show_percent

Record = Mapping[str, Any]

MAX_STRATEGIES = 20  # the paper's figure 3 shows the 20 most used
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def draw_strategies(pools: Sequence[Record]) -> Chart | None:
    """Return the most used strategies of a pool's traces and their tail (the paper's figure 3).

    The bars are of the pool with the most traces. The tail is drawn where there are more names than
    bars, for all pools.
    """
    shares = {pool["pool"]: count_shares(pool, "strategies") for pool in pools}
    shares = {name: found for name, found in shares.items() if found}
    if not shares:
        return None
    sizes = {pool["pool"]: int(pool.get("num_kept") or 0) for pool in pools}
    largest = max(shares, key=lambda name: (sizes[name], name))
    found = shares[largest]
    top = _sort_shares(found)[:MAX_STRATEGIES]
    has_tail = any(len(each) > MAX_STRATEGIES for each in shares.values())
    figure, panels = make_axes(
        1,
        1 + has_tail,
        8.6 if has_tail else 6.4,
        0.24 * len(top) + 0.9,
        **({"width_ratios": (1.2, 1)} if has_tail else {}),
    )
    _draw_top_strategies(panels[0], found, top)
    if has_tail:
        _draw_tail(panels[1], shares)
        label_below(figure, panels[1:])
    where = f" of pool {largest}" if len(shares) > 1 else ""
    tail = " Right: the shares of all names by rank, most used first." if has_tail else ""
    number = f"{len(top)} of {len(found)} names"
    said = ", ".join(f"{name} {show_percent(found[name])} %" for name in top)
    return Chart(
        "strategies",
        f"The most used strategies of the traces{where} ({number}). A trace can use several, so "
        f"the shares add up to more than 100 %.{tail}",
        f"Bar chart of the most used strategies ({number}): {said}.",
        figure,
        [
            {"pool": pool, "rank": rank, "strategy": name, "share": each[name]}
            for pool, each in shares.items()
            for rank, name in enumerate(_sort_shares(each), 1)
        ],
    )


def _sort_shares(shares: Mapping[str, float]) -> list[str]:
    return sorted(shares, key=lambda name: (-shares[name], name))


def _draw_top_strategies(axes: Axes, shares: Mapping[str, float], top: Sequence[str]) -> None:
    bars = axes.barh(
        top[::-1], [100 * shares[name] for name in reversed(top)], color=SERIES[0], height=0.7
    )
    labels = [show_percent(shares[name]) for name in reversed(top)]
    axes.bar_label(bars, labels, padding=4, fontsize=8, color=MUTED)
    axes.margins(x=0.12)
    axes.tick_params(axis="y", labelcolor=INK)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("share of traces, %")


def _draw_tail(axes: Axes, shares: Mapping[str, Mapping[str, float]]) -> None:
    for index, (pool, found) in enumerate(shares.items()):
        values = [100 * found[name] for name in _sort_shares(found)]
        axes.plot(range(1, len(values) + 1), values, color=SERIES[index % len(SERIES)], label=pool)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("rank of the strategy")
    axes.set_ylabel("share of traces, %")


def draw_trace_lengths(subsets: Sequence[Record], pools: Sequence[Record]) -> Chart | None:
    """Return how long the traces of every pool and subset are, the draws of a subset together."""
    named = [("pool", str(pool["pool"]), [pool]) for pool in pools]
    draws: dict[str, list[Record]] = {}
    for subset in sorted(subsets, key=lambda s: (int(s["size"]), str(s["subset"]))):
        draws.setdefault(str(subset["subset"]), []).append(subset)
    named += [("subset", name, members) for name, members in draws.items()]
    rows: list[dict[str, Any]] = [
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
        "nine tenths of them (thin). Read off histograms, within whose bins lengths are taken as "
        "evenly spread.",
        f"Dot plot of trace lengths. Median tokens: {said}.",
        figure,
        rows,
    )


def _name_row(row: Record) -> str:
    return f"pool {row['name']}" if row["of"] == "pool" else str(row["name"])


def _find_quantiles(records: Sequence[Record]) -> list[float]:
    """Return the quantiles of the lengths of all records together; none where none has lengths."""
    parts = [found for record in records if (found := record.get("histograms"))]
    lengths = add_histograms(parts).get("num_tokens") if parts else None
    if not lengths or not sum(lengths["counts"]):
        return []
    shares = np.concatenate([[0.0], np.cumsum(lengths["counts"]) / sum(lengths["counts"])])
    return [float(each) for each in np.interp(QUANTILES, shares, lengths["edges"])]
