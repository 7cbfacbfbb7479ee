"""The figure of the seconds of every stage."""

from nt_pkg.report.canvas import GRID, INK, MUTED, SERIES, Chart, make_axes
from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.parts._stages import sort_stages
from nt_pkg.report.wording import show_seconds


def draw_costs(material: Material) -> Chart | None:
    """Return the seconds of every stage, in the order in which the stages run."""
    seconds = material.timings.seconds_per_stage
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


PART = Part(section="costs", place=10, draw=draw_costs)
