"""The figure of accuracy by category of question."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from nt_pkg.report.canvas import MARKERS, SERIES, Chart, label_below, make_panels, start_at_zero
from nt_pkg.report.cells import (
    Cell,
    choose_format_cells,
    choose_own_modes,
    choose_shared_places,
    name_place,
)
from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.parts._columns import describe_cell
from nt_pkg.report.tables import Row
from nt_pkg.report.wording import show_percent, sort_naturally


def draw_difficulty(material: Material) -> Chart | None:
    """Return accuracy by category, each format in the mode that it is for."""
    shared = choose_shared_places(choose_own_modes(choose_format_cells(material.cells)))
    chosen = [c for c in shared if len(c.by_category) > 1]
    if not chosen:
        return None
    formats = sorted({cell.format for cell in chosen})
    places = sorted({cell.place for cell in chosen})
    figure, panels = make_panels(len(places), sharey=True)
    rows: list[Row] = []
    for axes, place in zip(panels, places, strict=True):
        inside = [cell for cell in chosen if cell.place == place]
        names = sort_naturally(sorted({name for cell in inside for name in cell.by_category}))
        for cell in inside:
            rows += _draw_categories(axes, cell, names, formats)
        _name_categories(axes, names)
        axes.set_title(name_place(place, places))
    start_at_zero(panels)
    panels[0].set_ylabel("accuracy, %")
    label_below(figure, panels)
    said = (
        f"{r['format']} on {r['benchmark']}, {r['category']}: {show_percent(r['accuracy'])} %."
        for r in rows
    )
    return Chart(
        "difficulty",
        "Accuracy by category of question, every format in the mode that it is for (System-1 "
        "without thinking, all others with). Bars show one standard error over seeds, or over "
        "questions if there is one seed.",
        f"Accuracy by category. {' '.join(said)}",
        figure,
        rows,
    )


def _draw_categories(
    axes: Axes, cell: Cell, names: Sequence[str], formats: Sequence[str]
) -> list[Row]:
    index = formats.index(cell.format)
    present = [(i, cell.by_category[n]) for i, n in enumerate(names) if n in cell.by_category]
    # Categories without a number have no order, so no line joins them.
    is_ordered = all(any(letter.isdigit() for letter in name) for name in names)
    axes.errorbar(
        [i + 0.06 * (index - (len(formats) - 1) / 2) for i, _ in present],
        [100 * found.accuracy for _, found in present],
        yerr=[100 * (found.standard_error or 0) for _, found in present],
        color=SERIES[index % len(SERIES)],
        marker=MARKERS[index % len(MARKERS)],
        linestyle="-" if is_ordered else "none",
        elinewidth=1,
        label=f"{cell.format}, {cell.mode}",
    )
    return [
        {
            **describe_cell(cell),
            "category": names[i],
            "num": found.num,
            "accuracy": found.accuracy,
            "standard_error": found.standard_error,
        }
        for i, found in present
    ]


def _name_categories(axes: Axes, names: Sequence[str]) -> None:
    is_crowded = sum(len(name) for name in names) > 40
    axes.set_xticks(range(len(names)), names, rotation=35 if is_crowded else 0)
    if is_crowded:
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")


PART = Part(section="difficulty", place=10, draw=draw_difficulty)
