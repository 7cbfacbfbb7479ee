"""The figure of the rules as they ran for a study (the paper's figure 4)."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path as Line

from nt_pkg.report.canvas import INK, MUTED, SERIES, Chart, make_axes
from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.records import RuleRun
from nt_pkg.report.wording import show_list, show_plural, show_seconds

WIDTH, HEIGHT = 1.72, 0.5  # of a box, in inches
STEP_X, STEP_Y = 2.15, 0.88
LEFT = 1.15  # where the first box of a row begins; names of stages are left of it
MARGIN = 0.55  # lanes right of the boxes, for arrows across several rows


def draw_workflow(material: Material) -> Chart | None:
    """Return the rules of a study, one row per stage, and what each reads.

    Edges implied by others are left out: labels of a trace imply the trace.
    """
    rules = material.timings.rules
    if len(rules) < 2:
        return None
    stages = list(dict.fromkeys(rule.stage for rule in rules))
    rows = [[rule for rule in rules if rule.stage == stage] for stage in stages]
    places = {
        rule.rule: (LEFT + STEP_X * column, -STEP_Y * row)
        for row, members in enumerate(rows)
        for column, rule in enumerate(members)
    }
    width = LEFT + STEP_X * (max(map(len, rows)) - 1) + WIDTH + MARGIN
    figure, (axes,) = make_axes(1, 1, width, STEP_Y * len(rows))
    axes.set_axis_off()
    axes.set(xlim=(0, width), ylim=(-STEP_Y * (len(rows) - 1) - 0.2, HEIGHT + 0.18), aspect=1)
    for row, stage in enumerate(stages):
        axes.text(0, HEIGHT / 2 - STEP_Y * row, stage, va="center", color=MUTED, fontsize=9)
    for rule in rules:
        _draw_box(axes, rule, places[rule.rule])
    edges = reduce_edges(rules)
    lanes = 0
    for source, target in edges:
        is_far = places[source][1] - places[target][1] > 1.5 * STEP_Y
        lanes += is_far
        lane = width - MARGIN + 0.12 * lanes if is_far else None
        _draw_edge(axes, places[source], places[target], lane)
    said = "; ".join(_say_rule(rule, [b for a, b in edges if a == rule.rule]) for rule in rules)
    return Chart(
        "workflow",
        "The rules of the workflow as they ran for this study, with their number of jobs and "
        "total time. An arrow leads from a rule to one that reads its files; "
        "arrows implied by others are left out.",
        f"Flow chart of {len(rules)} rules. {said}.",
        figure,
        [{**vars(rule), "reads": " ".join(rule.reads)} for rule in rules],
    )


def reduce_edges(rules: Sequence[RuleRun]) -> list[tuple[str, str]]:
    """Return (source, reader) of every edge that no longer path implies."""
    reads = {rule.rule: set(rule.reads) for rule in rules}
    reads = {name: found & reads.keys() for name, found in reads.items()}

    def reach(name: str) -> set[str]:
        return reads[name].union(*(reach(each) for each in reads[name]))

    return [
        (source, name)
        for name, found in reads.items()
        for source in sorted(found)
        if not any(source in reach(other) for other in found)
    ]


def _draw_box(axes: Axes, rule: RuleRun, place: tuple[float, float]) -> None:
    x, y = place
    axes.add_patch(
        FancyBboxPatch(
            (x, y),
            WIDTH,
            HEIGHT,
            boxstyle="round,pad=0,rounding_size=0.06",
            facecolor="none",
            edgecolor=MUTED,
            linewidth=0.8,
        )
    )
    axes.text(x + 0.1, y + 0.32, rule.rule, va="center", color=INK, fontsize=8.5)
    axes.text(x + 0.1, y + 0.14, _count(rule), va="center", color=MUTED, fontsize=8)


def _draw_edge(
    axes: Axes, source: tuple[float, float], target: tuple[float, float], lane: float | None
) -> None:
    (x, y), (to_x, to_y) = source, target
    if y == to_y:
        points = [(x + WIDTH, y + HEIGHT / 2), (to_x, y + HEIGHT / 2)]
    else:
        gap = to_y + HEIGHT + (STEP_Y - HEIGHT) / 2
        start, end = x + WIDTH / 2, to_x + WIDTH / 2
        points = [(start, y), (start, gap), (end, gap), (end, to_y + HEIGHT)]
        if lane is not None:
            points[:2] = [(x + WIDTH, y + HEIGHT / 2), (lane, y + HEIGHT / 2), (lane, gap)]
    axes.add_patch(
        FancyArrowPatch(
            path=Line(points),
            arrowstyle="-|>,head_length=4,head_width=2",
            color=SERIES[0],
            linewidth=1.1,
            joinstyle="round",
        )
    )


def _count(rule: RuleRun) -> str:
    if rule.seconds is None:
        return show_plural(rule.num_jobs, "job")
    return f"{show_plural(rule.num_jobs, 'job')}, {show_seconds(rule.seconds)}"


def _say_rule(rule: RuleRun, readers: Sequence[str]) -> str:
    behind = f", read by {show_list(readers)}" if readers else ""
    return f"{rule.rule}: {_count(rule)}{behind}"


PART = Part(section="workflow", place=10, draw=draw_workflow)
