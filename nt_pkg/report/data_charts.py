"""Figures about data and work: what selectors picked, training losses, seconds."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from nt_pkg.report.canvas import (
    GRID,
    INK,
    MUTED,
    SERIES,
    Chart,
    label_below,
    make_axes,
    make_panels,
)
from nt_pkg.report.wording import show_list, show_points, show_seconds

Record = Mapping[str, Any]
Rows = list[dict[str, Any]]

STAGES = ("assets", "prompts", "traces", "annotations", "subsets", "sft", "evals", "report")
MAX_DOMAINS = 13  # the domains of the paper's taxonomy
MAX_PANEL_STRATEGIES = 8
MAX_LOSS_POINTS = 60


def choose_selector_subsets(subsets: Sequence[Record]) -> list[Record]:
    """Return the subsets of the size that most selectors share, the draws of all seeds together."""
    selectors: dict[int, set[str]] = {}
    for subset in subsets:
        selectors.setdefault(int(subset["size"]), set()).add(subset["selector"])
    if not selectors:
        return []
    size = max(selectors, key=lambda s: (len(selectors[s]), s))
    draws: dict[str, list[Record]] = {}
    for subset in sorted(subsets, key=lambda s: (str(s["subset"]), int(s["seed"] or 0))):
        if subset["size"] == size and subset.get("histograms"):
            draws.setdefault(subset["subset"], []).append(subset)
    return [
        {**members[0], "histograms": add_histograms([m["histograms"] for m in members])}
        for members in draws.values()
    ]


def add_histograms(parts: Sequence[Record]) -> dict[str, Any]:
    """Return the sum of histograms by name; those of tokens have to have the same bins."""
    total: dict[str, Any] = {}
    for name in sorted({name for part in parts for name in part}):
        found = [part[name] for part in parts if part.get(name)]
        if name == "num_tokens":
            edges = found[0]["edges"]
            assert all(each["edges"] == edges for each in found), "bins of one subset differ"
            counts = [sum(each) for each in zip(*(f["counts"] for f in found), strict=True)]
            total[name] = {"edges": edges, "counts": counts}
        else:
            keys = sorted({key for each in found for key in each})
            total[name] = {key: sum(each.get(key, 0) for each in found) for key in keys}
    return total


def draw_selectors(subsets: Sequence[Record], pools: Sequence[Record]) -> Chart | None:
    """Return what each selector picked against its pool: length, domain, strategies."""
    chosen = choose_selector_subsets(subsets)
    if not chosen:
        return None
    by_pool = {pool["pool"]: pool for pool in pools}
    figure, axes = make_axes(
        len(chosen), 3, 8.6, 1.05 * len(chosen) + 1.2, sharex="col", width_ratios=(1.2, 1, 1)
    )
    rows: Rows = []
    for index, subset in enumerate(chosen):
        left, middle, right = axes[3 * index : 3 * index + 3]
        pool = by_pool.get(subset["pool"], {})
        rows += _draw_length(left, subset, pool)
        rows += _draw_shares(middle, subset, pool, "domain", MAX_DOMAINS)
        rows += _draw_shares(right, subset, pool, "strategies", MAX_PANEL_STRATEGIES)
        left.set_title(subset["subset"], fontsize=9)
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
        f"What each selector picked ({chosen[0]['size']:,} examples each): filled bars are the "
        "subset,"
        " the dark outline or stroke is the pool. Every panel has its own vertical scale; heights "
        "are "
        "shares of the subset and of the pool.",
        "Small multiples of length, domain and strategy shares, each subset against its pool. "
        f"{' '.join(_say_picked(str(s['subset']), rows) for s in chosen)}",
        figure,
        rows,
    )


def _say_picked(subset: str, rows: Rows) -> str:
    """Return which domain and strategy a subset has most of beyond its pool, in points."""
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
    return f"{subset}, most beyond its pool: {show_list(parts)}." if parts else f"{subset}."


def _draw_length(axes: Axes, subset: Record, pool: Record) -> Rows:
    rows: Rows = []
    for source, colour in ((subset, SERIES[0]), (pool, INK)):
        histogram = (source.get("histograms") or {}).get("num_tokens")
        if not histogram or not sum(histogram["counts"]):
            continue
        edges, counts = histogram["edges"], histogram["counts"]
        spans = list(zip(edges[:-1], edges[1:], counts, strict=True))
        # Density, so that bins of unequal width and subsets of unequal size compare.
        density = [count / sum(counts) / (high - low) for low, high, count in spans]
        is_pool = source is pool
        axes.stairs(
            density,
            edges,
            color=colour,
            fill=not is_pool,
            alpha=1 if is_pool else 0.45,
            linewidth=1,
        )
        rows += [
            {
                "subset": subset["subset"],
                "of": "pool" if is_pool else "subset",
                "what": "num_tokens",
                "name": f"{low}-{high}",
                "share": count / sum(counts),
            }
            for low, high, count in spans
        ]
    return rows


def _draw_shares(axes: Axes, subset: Record, pool: Record, what: str, limit: int) -> Rows:
    own, whole = (count_shares(source, what) for source in (subset, pool))
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
        {"subset": subset["subset"], "of": of, "what": what, "name": name, "share": share[name]}
        for of, share in (("subset", own), ("pool", whole))
        for name in sorted(share)
    ]


def count_shares(source: Record, what: str) -> dict[str, float]:
    """Return shares of examples: of domains they add up to one, of strategies they do not."""
    histograms = source.get("histograms") or {}
    counts = histograms.get(what) or {}
    number = sum(counts.values())
    if what == "strategies":
        lengths = histograms.get("num_tokens") or {"counts": []}
        # Every counted row has a length; a pool or subset without lengths knows its size only.
        number = sum(lengths["counts"]) or source.get("size") or source.get("num_kept") or 0
    return {name: count / number for name, count in counts.items()} if number else {}


def draw_losses(runs: Sequence[Record]) -> Chart | None:
    """Return training loss against step, one line per run, one panel per student and format."""
    shown = [run for run in runs if run["loss_curve"]]
    if not shown:
        return None
    places = sorted({(run["student"], run["format"]) for run in shown})
    sizes = sorted({int(run["num_examples"]) for run in shown})
    figure, panels = make_panels(len(places), sharey=True)
    rows: Rows = []
    for axes, place in zip(panels, places, strict=True):
        for run in shown:
            if (run["student"], run["format"]) != place:
                continue
            curve = run["loss_curve"][:: -(-len(run["loss_curve"]) // MAX_LOSS_POINTS)]
            axes.plot(
                [step for step, _ in curve],
                [loss for _, loss in curve],
                color=SERIES[sizes.index(int(run["num_examples"])) % len(SERIES)],
                linewidth=0.9,
                alpha=0.75,
                label=f"{run['num_examples']:,} examples",
            )
            keys = ("student", "subset", "format", "seed", "num_examples")
            rows += [{**{k: run[k] for k in keys}, "step": s, "loss": x} for s, x in curve]
        is_one = len({student for student, _ in places}) == 1
        axes.set_title(place[1] if is_one else f"{place[0]}: {place[1]}")
        axes.set_xlabel("optimiser step")
    panels[0].set_ylim(bottom=0)  # shared
    panels[0].set_ylabel("loss per target token")
    label_below(figure, panels)
    ends = ", ".join(
        f"{name} {min(values):.2f} to {max(values):.2f}"
        for name in sorted({run["format"] for run in shown})
        if (values := [float(r["final_loss"]) for r in shown if r["format"] == name])
    )
    return Chart(
        "losses",
        f"Training loss of {len(shown)} runs, one thin line each. Losses of different formats are "
        "not "
        "comparable: their targets differ.",
        f"Line chart of training losses by format. Final losses: {ends}.",
        figure,
        rows,
    )


def draw_costs(seconds: Mapping[str, float]) -> Chart | None:
    """Return the seconds of every stage, in the order in which the stages run."""
    names = [name for name in sort_stages(seconds) if seconds[name] > 0]
    if not names:
        return None
    figure, (axes,) = make_axes(1, 1, 6.4, 0.3 * len(names) + 0.7)
    bars = axes.barh(
        names[::-1], [seconds[name] for name in reversed(names)], color=SERIES[0], height=0.65
    )
    labels = [show_seconds(seconds[name]) for name in reversed(names)]
    axes.bar_label(bars, labels, padding=4, fontsize=8, color=MUTED)
    axes.margins(x=0.14)
    axes.tick_params(axis="y", labelcolor=INK)
    axes.grid(axis="y", visible=False)
    axes.spines["bottom"].set_color(GRID)
    axes.set_xlabel("seconds")
    return Chart(
        "costs",
        "Seconds of work per stage, summed over its jobs.",
        "Bar chart. " + ", ".join(f"{n} {show_seconds(seconds[n])}" for n in names) + ".",
        figure,
        [{"stage": name, "seconds": seconds[name]} for name in names],
    )


def sort_stages(names: Mapping[str, Any]) -> list[str]:
    """Return stage names in the order of the pipeline, unknown ones last."""
    return sorted(names, key=lambda n: (STAGES.index(n) if n in STAGES else len(STAGES), n))
