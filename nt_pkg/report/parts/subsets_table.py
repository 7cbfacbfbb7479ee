"""The table of subsets and their selection rules."""

from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.parts._histograms import group_draws
from nt_pkg.report.tables import Column, Row, Table
from nt_pkg.report.wording import DASH, show_count, show_percent, show_settings


def tabulate_subsets(material: Material) -> Table | None:
    """Return the rule, size and parameters of every subset."""
    if not material.subsets:
        return None
    draws = group_draws(sorted(material.subsets, key=lambda each: (each.size, each.subset)))
    rows = tuple(
        {
            "subset": name,
            "selector": members[0].selector,
            "size": members[0].size,
            "num_available": members[0].num_available,
            "pool": members[0].pool,
            "teacher": members[0].teacher,
            "seeds": ", ".join(str(seed) for seed in sorted({draw.seed for draw in members})),
            "params": show_settings(members[0].params),
            "choice": show_settings(members[0].choice),
            "conditions": "; ".join(
                f"{condition}: {show_percent(count / members[0].num_available)} %"
                for condition, count in members[0].conditions.items()
            ),
        }
        for name, members in draws.items()
    )
    has_choice = any(row["choice"] for row in rows)
    columns = (
        Column("subset", "Subset"),
        Column("selector", "Selector"),
        Column("size", "Examples", "number", lambda r: show_count(r["size"])),
        Column("num_available", "Chosen from", "number", lambda r: show_count(r["num_available"])),
        Column("seeds", "Seeds", "number"),
        Column("pool", "Pool"),
        Column("teacher", "Teacher"),
        Column("params", "Parameters", show=lambda r: r["params"] or DASH),
        *([Column("choice", "Of each question", show=_show_choice)] if has_choice else []),
        Column("conditions", "Rows that fulfil", show=lambda r: r["conditions"] or DASH),
    )
    return Table("subsets", "The subsets and their selection rules.", columns, rows)


def _show_choice(row: Row) -> str:
    return row["choice"] or "every answer"


PART = Part(section="selectors", place=20, draw=tabulate_subsets)
