"""The figure of what each selector picked, compared with its pool: length, domain, strategies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from nt_pkg.report.canvas import INK, MUTED, SERIES, Chart, make_axes
from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.parts._histograms import (
    add_histograms,
    group_draws,
    share_domains,
    share_strategies,
)
from nt_pkg.report.records import Histogram, Histograms, Subset
from nt_pkg.report.tables import Row
from nt_pkg.report.wording import show_list, show_points

MAX_DOMAINS = 13  # the domains of the paper's taxonomy
MAX_STRATEGIES = 8


@dataclass(frozen=True)
class Picked:
    """All draws of a subset together, and their pool; the pool may be unknown."""

    subset: str
    size: int
    own: Histograms
    pool: Histograms
    pool_size: int


def choose_subsets(material: Material) -> list[Picked]:
    """Return the subsets of the size that most selectors share, with the draws of all seeds."""
    selectors: dict[int, set[str]] = {}
    for subset in material.subsets:
        selectors.setdefault(subset.size, set()).add(subset.selector)
    if not selectors:
        return []
    size = max(selectors, key=lambda s: (len(selectors[s]), s))
    ordered = sorted(material.subsets, key=lambda subset: (subset.subset, subset.seed))
    draws = group_draws([each for each in ordered if each.size == size and each.histograms])
    return [_join(members, material) for members in draws.values()]


def _join(draws: Sequence[Subset], material: Material) -> Picked:
    pools = [pool for pool in material.pools if pool.pool == draws[0].pool]
    return Picked(
        subset=draws[0].subset,
        size=draws[0].size,
        own=add_histograms([draw.histograms for draw in draws]),
        pool=pools[-1].histograms if pools else Histograms(),
        pool_size=pools[-1].num_kept if pools else 0,
    )


def draw_selectors(material: Material) -> Chart | None:
    """Return what each selector picked, in small multiples."""
    chosen = choose_subsets(material)
    if not chosen:
        return None
    figure, axes = make_axes(
        len(chosen), 3, 8.6, 1.05 * len(chosen) + 1.2, sharex="col", width_ratios=(1.2, 1, 1)
    )
    rows: list[Row] = []
    for index, picked in enumerate(chosen):
        left, middle, right = axes[3 * index : 3 * index + 3]
        rows += _draw_length(left, picked)
        domains = share_domains(picked.own), share_domains(picked.pool)
        rows += _draw_shares(middle, picked.subset, "domain", *domains, MAX_DOMAINS)
        strategies = (
            share_strategies(picked.own, picked.size),
            share_strategies(picked.pool, picked.pool_size),
        )
        rows += _draw_shares(right, picked.subset, "strategies", *strategies, MAX_STRATEGIES)
        left.set_title(picked.subset, fontsize=9)
        for panel in (left, middle, right):
            panel.set_yticks([])
            panel.set_ylim(bottom=0)
            panel.grid(visible=False)
            panel.spines["left"].set_visible(False)
    for panel, title in zip(axes[:3], ("length", "domain", "strategies"), strict=True):
        panel.annotate(
            title, (0, 1.42), xycoords="axes fraction", color=MUTED, fontsize=9, style="italic"
        )
    axes[-3].set_xlabel("tokens of a trace")
    return Chart(
        "selectors",
        f"What each selector picked ({chosen[0].size:,} examples each): filled bars are the "
        "subset, the dark outline or line is the pool. Every panel has its own vertical scale; "
        "heights are shares of the subset and of the pool.",
        "Small multiples of length, domain and strategy shares, each subset next to its pool. "
        f"{' '.join(_say_picked(each.subset, rows) for each in chosen)}",
        figure,
        rows,
    )


def _say_picked(subset: str, rows: Sequence[Row]) -> str:
    """Return which domain and strategy exceed their pool's share most, in points."""
    share = {(r["of"], r["what"], r["name"]): r["share"] for r in rows if r["subset"] == subset}
    parts = []
    for what, noun in (("domain", "domain"), ("strategies", "strategy")):
        beyond = {
            name: own - share.get(("pool", what, name), 0.0)
            for (of, kind, name), own in share.items()
            if (of, kind) == ("subset", what)
        }
        if beyond:
            most = max(sorted(beyond), key=lambda name: beyond[name])
            parts.append(f"{noun} {most} {show_points(beyond[most])} points")
    return f"{subset}, most above its pool: {show_list(parts)}." if parts else f"{subset}."


def _draw_length(axes: Axes, picked: Picked) -> list[Row]:
    return [
        *_draw_bins(axes, picked.subset, "subset", picked.own.num_tokens),
        *_draw_bins(axes, picked.subset, "pool", picked.pool.num_tokens),
    ]


def _draw_bins(axes: Axes, subset: str, of: str, histogram: Histogram | None) -> list[Row]:
    if not histogram or not sum(histogram.counts):
        return []
    edges, number = histogram.edges, sum(histogram.counts)
    spans = list(zip(edges[:-1], edges[1:], histogram.counts, strict=True))
    # Density, so that bins of unequal width and subsets of unequal size are comparable.
    density = [count / number / (high - low) for low, high, count in spans]
    is_pool = of == "pool"
    axes.stairs(
        density,
        edges,
        color=INK if is_pool else SERIES[0],
        fill=not is_pool,
        alpha=1 if is_pool else 0.45,
        linewidth=1,
    )
    return [
        {
            "subset": subset,
            "of": of,
            "what": "num_tokens",
            "name": f"{low}-{high}",
            "share": count / number,
        }
        for low, high, count in spans
    ]


def _draw_shares(
    axes: Axes,
    subset: str,
    what: str,
    own: Mapping[str, float],
    whole: Mapping[str, float],
    limit: int,
) -> list[Row]:
    reference = whole or own
    names = sorted(reference, key=lambda name: (-reference[name], name))[:limit]
    places = range(len(names))
    axes.bar(places, [own.get(name, 0) for name in names], color=SERIES[0], alpha=0.45, width=0.8)
    if whole:
        axes.hlines(
            [whole.get(name, 0) for name in names],
            [place - 0.42 for place in places],
            [place + 0.42 for place in places],
            color=INK,
            linewidth=1.4,
        )
    axes.set_xticks(places, names, rotation=40, ha="right", rotation_mode="anchor", fontsize=8)
    return [
        {"subset": subset, "of": of, "what": what, "name": name, "share": share[name]}
        for of, share in (("subset", own), ("pool", whole))
        for name in sorted(share)
    ]


PART = Part(section="selectors", place=10, draw=draw_selectors)
