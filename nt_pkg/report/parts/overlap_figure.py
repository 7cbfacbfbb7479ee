"""The figure of how many rows every two subsets share."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from nt_pkg.report.canvas import INK, SERIES, Chart, make_axes
from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.records import Overlap
from nt_pkg.report.tables import Row
from nt_pkg.report.wording import sort_naturally

MAX_SUBSETS = 20  # of a matrix that can be read; the table has all


def draw_overlaps(material: Material) -> list[Chart]:
    """Return a matrix for every pool: the rows that two subsets share, shaded by Jaccard."""
    pools = sorted({each.pool for each in material.overlaps})
    charts = []
    for pool in pools:
        own = [each for each in material.overlaps if each.pool == pool and each.a != each.b]
        if chart := _draw(pool, own, f"overlap-{pool}" if len(pools) > 1 else "overlap"):
            charts.append(chart)
    return charts


def _draw(pool: str, overlaps: Sequence[Overlap], name: str) -> Chart | None:
    names = sort_naturally(list({side for each in overlaps for side in (each.a, each.b)}))
    left_out = names[MAX_SUBSETS:]
    names = names[:MAX_SUBSETS]
    if len(names) < 3:
        return None  # a single number, which the table has
    size = 0.52 * len(names) + 2.0
    figure, (axes,) = make_axes(1, 1, min(8.6, size + 1.2), min(8.6, size))
    rows: list[Row] = []
    for each in overlaps:
        if each.a in names and each.b in names:
            _draw_cell(axes, names.index(each.a), names.index(each.b), each)
            rows.append(_row(each))
    axes.set_xlim(-0.5, len(names) - 1.5)
    axes.set_ylim(len(names) - 0.5, 0.5)
    axes.set_xticks(range(len(names) - 1), names[:-1], rotation=40, ha="right")
    axes.set_yticks(range(1, len(names)), names[1:])
    axes.tick_params(labelcolor=INK)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    most = max(rows, key=lambda row: row["jaccard"])
    more = f" {len(left_out)} more subsets are in the table." if left_out else ""
    return Chart(
        name,
        f"Rows of {pool} that two subsets share, averaged over draws of one seed; the darker, the "
        f"larger their part of the rows in either (Jaccard).{more}",
        f"Matrix of the rows that {len(names)} subsets share. Most alike are {most['a']} and "
        f"{most['b']}: {most['shared']:,.0f} rows, Jaccard {most['jaccard']:.2f}.",
        figure,
        rows,
    )


def _draw_cell(axes: Axes, x: int, y: int, overlap: Overlap) -> None:
    x, y = min(x, y), max(x, y)
    strength = 0.04 + 0.5 * overlap.jaccard
    cell = Rectangle(
        (x - 0.46, y - 0.46), 0.92, 0.92, facecolor=SERIES[0], alpha=strength, linewidth=0
    )
    axes.add_patch(cell)
    axes.text(x, y, _short(overlap.shared), ha="center", va="center", color=INK, fontsize=8)


def _short(number: float) -> str:
    return f"{number:,.0f}" if number < 10_000 else f"{number / 1000:,.0f}k"


def _row(each: Overlap) -> Row:
    return {"pool": each.pool, "a": each.a, "b": each.b} | {
        "shared": each.shared,
        "jaccard": each.jaccard,
    }


PART = Part(section="selectors", place=30, draw=draw_overlaps)
