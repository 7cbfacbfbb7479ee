"""The figure of the strategies of a pool's traces (the paper's figure 3)."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from nt_pkg.report.canvas import INK, MUTED, SERIES, Chart, label_below, make_axes
from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.parts._histograms import share_strategies
from nt_pkg.report.wording import show_percent

MAX_STRATEGIES = 20  # as many as the paper's figure shows


def draw_strategies(material: Material) -> Chart | None:
    """Return the most used strategies of a pool's traces, and the tail.

    The bars are of the pool with the most traces. The tail is drawn if there are more names than
    bars, for all pools.
    """
    pools = material.pools
    shares = {pool.pool: share_strategies(pool.histograms, pool.num_kept) for pool in pools}
    shares = {name: found for name, found in shares.items() if found}
    if not shares:
        return None
    sizes = {pool.pool: pool.num_kept for pool in pools}
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


PART = Part(section="strategies", place=10, draw=draw_strategies)
