"""The table of verdicts that changed since an earlier report."""

from nt_pkg.report.changes.records import NOT_ASKED
from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.tables import Column, Row, Table
from nt_pkg.report.wording import PLUS_MINUS, show_percent, show_points


def tabulate_verdicts(material: Material) -> Table | None:
    """Return the comparisons and claims whose verdict changed."""
    changes = material.changes
    if changes is None or not changes.verdicts:
        return None
    columns = (
        Column("title", "Comparison or claim", detail=lambda r: r["note"]),
        Column("before", "Before", "verdict", detail=lambda r: _show_difference(r, "before")),
        Column("now", "Now", "verdict", detail=lambda r: _show_difference(r, "now")),
    )
    same = changes.num_verdicts - sum(
        NOT_ASKED not in (each.before, each.now) for each in changes.verdicts
    )
    caption = (
        f"Verdicts that changed, with the difference in points {PLUS_MINUS} standard error. "
        f"{same:,} more are unchanged, {changes.num_moved:,} of them with another difference."
    )
    rows = tuple(vars(each) for each in changes.verdicts)
    return Table("changes-verdicts", caption, columns, rows)


def _show_difference(row: Row, side: str) -> str:
    difference, error = row[f"{side}_difference"], row[f"{side}_error"]
    if difference is None or error is None:
        return "" if difference is None else show_points(difference)
    return f"{show_points(difference)} {PLUS_MINUS} {show_percent(error)}"


PART = Part(section="changes", place=10, draw=tabulate_verdicts)
