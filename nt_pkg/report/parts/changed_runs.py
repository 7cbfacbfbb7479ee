"""The table of scores that only one of two reports has."""

from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.tables import Column, Row, Table
from nt_pkg.report.wording import name_run, show_count


def tabulate_runs(material: Material) -> Table | None:
    """Return the run groups whose scores were added or removed."""
    changes = material.changes
    if changes is None or not changes.runs:
        return None
    columns = (
        Column(
            "subset",
            "Run",
            show=lambda r: name_run(r["subset"], r["format"]),
            detail=lambda r: r["student"],
        ),
        Column("change", "Change", show=_say_one_sided),
        Column("seeds", "Seeds", "number"),
        Column("benchmarks", "Benchmarks", detail=lambda r: r["modes"]),
        Column("num_scores", "Scores", "number", lambda r: show_count(r["num_scores"])),
    )
    caption = "Scores that only one of the two reports has. The comparison leaves them out."
    rows = tuple(vars(each) for each in changes.runs)
    return Table("changes-runs", caption, columns, rows)


def _say_one_sided(row: Row) -> str:
    return row["change"] if row["is_whole"] else f"{row['change']}, its other scores stayed"


PART = Part(section="changes", place=40, draw=tabulate_runs)
