"""The table of what was made differently since an earlier report."""

from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.tables import Column, Row, Table
from nt_pkg.report.wording import DASH, show_plural

ARROW = "\u2192"


def tabulate_origins(material: Material) -> Table | None:
    """Return what was made differently, by stage."""
    changes = material.changes
    if changes is None or not changes.origins:
        return None
    columns = (
        Column("what", "What", detail=_say_number),
        Column("stage", "Stage"),
        Column("differences", "Differs in", show=lambda r: _show_arrows(r["differences"])),
        Column("result", "Result", show=lambda r: _show_arrows(r["result"])),
    )
    caption = "What was made differently. Mere consequences are not listed."
    rows = tuple(vars(each) for each in changes.origins)
    return Table("changes-made", caption, columns, rows)


def _say_number(row: Row) -> str:
    """Return how many of a stage's records a row covers."""
    noun = {"subsets": "draw", "sft": "run", "evals": "score"}.get(row["stage"])
    return f"{row['number']:,} of {show_plural(row['of'], noun)}" if noun else ""


def _show_arrows(text: str) -> str:
    return text.replace("->", ARROW) or DASH


PART = Part(section="changes", place=30, draw=tabulate_origins)
