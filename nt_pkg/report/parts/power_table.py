"""The table of what each comparison could see."""

from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.parts._columns import show_spread
from nt_pkg.report.tables import Column, Row, Table
from nt_pkg.report.wording import DASH, show_percent, show_points
from nt_pkg.statistics.power import MOST_SEEDS
from nt_pkg.statistics.verdicts import MIN_DEGREES


def tabulate_power(material: Material) -> Table | None:
    """Return for every tested comparison of accuracies the difference that it finds."""
    rows = tuple(
        {
            **{"name": effect.name, "title": effect.title, "contrast": effect.contrast},
            **{"mde80": effect.mde80},
            **{"difference": effect.difference, "paper": effect.paper, "within": effect.within},
            **{"num_seeds": effect.num_seeds, "seeds_needed": effect.seeds_needed},
            **{"basis": effect.basis, "spread": effect.spread, "degrees": effect.degrees},
            **{"family": effect.family, "question_error": effect.question_error},
        }
        for effect in material.effects
        if effect.mde80 is not None
    )
    if not rows:
        return None
    columns = [
        Column("title", "Comparison", detail=lambda r: str(r["contrast"])),
        Column("mde80", "Can see", "number", lambda r: show_percent(r["mde80"]), detail=_warn),
        Column("difference", "Ours", "number", lambda r: show_points(r["difference"])),
    ]
    if any(_has_aim(row) for row in rows):
        columns.append(Column("aim", "Should see", "number", _show_aim))
    columns.append(Column("num_seeds", "Seeds", "number"))
    if any(_has_aim(row) for row in rows):
        columns.append(Column("seeds_needed", "Seeds needed", "number", _show_needed))
    columns.append(Column("spread", "Trainings", show=show_spread))
    caption = (
        "What each comparison can see: the difference in points that is found with 80 % power "
        "at 5 %, corrected for its family; of a claim that both are alike, the margin that is "
        "shown. A smaller true difference is mostly missed. Should see: the paper's difference, "
        f"or the margin; seeds needed: of every recipe, to see it ({DASH}: each side was trained "
        f"once; never: {MOST_SEEDS} are too few, the questions do not suffice). No promise: fewer "
        f"than {MIN_DEGREES} degrees of freedom tell how trainings vary."
    )
    fold = "What each comparison can see"
    return Table("power", caption, tuple(columns), rows, fold=fold)


def _has_aim(row: Row) -> bool:
    return row["paper"] is not None or row["within"] is not None


def _warn(row: Row) -> str:
    if row["basis"] == "models":
        return "of two models"
    degrees = row["degrees"]
    return "no promise" if degrees is not None and degrees < MIN_DEGREES else ""


def _show_aim(row: Row) -> str:
    if row["within"] is not None:
        return f"within {100 * row['within']:g}"
    return show_points(row["paper"])


def _show_needed(row: Row) -> str:
    if not _has_aim(row) or row["basis"] == "models":
        return DASH
    return str(row["seeds_needed"] or "never")


PART = Part(section="effects", place=35, draw=tabulate_power)
