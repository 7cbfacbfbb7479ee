"""The figure of how long answers are (the paper's figure 5)."""

from collections.abc import Iterable
from itertools import pairwise

from matplotlib.ticker import StrMethodFormatter

from nt_pkg.report.canvas import SERIES, Chart, label_below, make_panels
from nt_pkg.report.cells import choose_format_cells, choose_shared_places
from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.wording import show_list, sort_modes


def draw_lengths(material: Material) -> Chart | None:
    """Return how long answers are, by format and mode."""
    shared = choose_shared_places(choose_format_cells(material.cells))
    chosen = {(*cell.group, cell.benchmark) for cell in shared}
    benchmarks = sorted({cell.benchmark for cell in shared})
    bins: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    for score in material.scores:
        if (score.student, score.subset, score.format, score.benchmark) in chosen:
            edges, counts = score.token_histogram.edges, score.token_histogram.counts
            spans = zip(edges[:-1], edges[1:], counts, strict=True)
            bins.setdefault((score.mode, score.format), []).extend(spans)
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
                # The first bin starts at zero, which a logarithmic axis cannot show.
                first = found[0][0] or found[0][1] / 2
                steps: list[float] = [first, *(high for _, high, _ in found)]
                heights = [100 * share for _, _, share in found]
                colour = SERIES[index % len(SERIES)]
                axes.stairs(heights, steps, color=colour, linewidth=1.6, label=name)
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
        f"How long the answers to {show_list(benchmarks)} are, by mode and training format, all "
        "seeds together. Every step is one bin of the score files; bin widths double.",
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
    # Scores with different bins cannot be added, so such a group is left out.
    if not number or any(a[0][1] != b[0][0] for a, b in pairwise(ordered)):
        return []
    return [(low, high, count / number) for (low, high), count in ordered]


PART = Part(section="lengths", place=10, draw=draw_lengths)
