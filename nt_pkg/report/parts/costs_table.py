"""The table of the work of every stage."""

from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.parts._stages import sort_stages
from nt_pkg.report.tables import Column, Table
from nt_pkg.report.wording import show_percent, show_seconds


def tabulate_costs(material: Material) -> Table | None:
    """Return seconds per stage and their shares."""
    seconds = material.timings.seconds_per_stage
    total = sum(seconds.values())
    rows = tuple(
        {"stage": name, "seconds": seconds[name], "share": seconds[name] / total}
        for name in sort_stages(seconds)
        if seconds[name] > 0
    )
    columns = (
        Column("stage", "Stage"),
        Column("seconds", "Time", "number", lambda r: show_seconds(r["seconds"])),
        Column("share", "% of all", "number", lambda r: show_percent(r["share"])),
    )
    caption, fold = "Work per stage, summed over its jobs.", "The same in numbers"
    return Table("costs", caption, columns, rows, fold=fold) if rows else None


PART = Part(section="costs", place=20, draw=tabulate_costs)
