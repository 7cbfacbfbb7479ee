"""The figure of all differences with their intervals."""

import textwrap

from matplotlib.axes import Axes

from nt_pkg.report.canvas import INK, MUTED, SERIES, Chart, make_axes
from nt_pkg.report.judging import is_decided
from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.records import Effect
from nt_pkg.report.tables import Row
from nt_pkg.report.wording import show_interval, show_points

_LETTERS, _LINE_POINTS = 38, 11  # of a line of a name


def draw_effects(material: Material) -> Chart | None:
    """Return every measured difference with its interval; filled if the corrected p is small."""
    shown = [each for each in material.effects if each.difference is not None and not each.tokens]
    if not shown:
        return None
    figure, (axes,) = make_axes(1, 1, 6.8, 0.4 * len(shown) + 0.9)
    axes.axvline(0, color=MUTED, linewidth=1)
    for place, effect in enumerate(reversed(shown)):
        _draw_effect(axes, place, effect)
    axes.set_yticks(range(len(shown)), [""] * len(shown))
    for place, effect in enumerate(reversed(shown)):
        _write_name(axes, place, effect.title)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, -1.0), max(high, 1.0))  # all may be zero
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("difference in accuracy, percentage points")
    said = "; ".join(
        f"{e.title} {show_points(e.difference)} ({show_interval(e.interval)}), {e.verdict}"
        for e in shown
    )
    is_once = any(e.basis == "models" for e in shown)
    models = " Where each side was trained once, it is about these two models." if is_once else ""
    has_papers = any(e.paper is not None for e in shown)
    papers = " Diamonds are the paper's own differences." if has_papers else ""
    return Chart(
        "effects",
        "Differences in accuracy with their 95 % intervals (90 % where a side is claimed to be "
        "alike). Filled mark: the corrected p is below 0.05; hollow: it is not; without a bar: no "
        f"interval.{models}{papers}",
        f"Dot plot of differences in percentage points: {said}.",
        figure,
        [_describe_effect(effect) for effect in shown],
    )


def _write_name(axes: Axes, place: int, name: str) -> None:
    """Write each line on its own, because a browser's letters are not as wide as ours."""
    lines = textwrap.wrap(name, _LETTERS)
    for number, line in enumerate(lines):
        axes.annotate(
            line,
            (0, place),
            (-6, _LINE_POINTS * ((len(lines) - 1) / 2 - number)),
            xycoords=axes.get_yaxis_transform(),
            textcoords="offset points",
            ha="right",
            va="center",
            color=INK,
        )


def _draw_effect(axes: Axes, place: int, effect: Effect) -> None:
    assert effect.difference is not None
    is_seen = is_decided(effect)
    colour = SERIES[1] if effect.verdict in ("opposite", "below") else SERIES[0]
    colour = colour if is_seen else MUTED
    if effect.interval is not None:
        axes.plot([100 * x for x in effect.interval], [place, place], color=colour, linewidth=2)
    if effect.paper is not None:
        x = [100 * effect.paper]
        axes.plot(x, [place], marker="D", markersize=5, color=INK, markerfacecolor="none")
    face = colour if is_seen else "none"
    x = [100 * effect.difference]
    axes.plot(x, [place], marker="o", markersize=7, color=colour, markerfacecolor=face)


def _describe_effect(effect: Effect) -> Row:
    low, high = effect.interval or (None, None)
    return {
        **{
            "name": effect.name,
            "title": effect.title,
            "difference": effect.difference,
            "low": low,
            "high": high,
        },
        **{"verdict": effect.verdict, "basis": effect.basis, "paper": effect.paper},
    }


PART = Part(section="effects", place=10, draw=draw_effects)
