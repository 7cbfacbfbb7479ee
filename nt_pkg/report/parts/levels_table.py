"""The table of further groups of questions, such as their difficulty."""

from nt_pkg.report.cells import average_readings, group_scores
from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.parts._columns import format_column, student_columns, subset_column
from nt_pkg.report.tables import Column, Row, Table
from nt_pkg.report.wording import show_accuracy, sort_naturally

# Longer lists of groups (SuperGPQA has 72 fields and 285 subfields) stay in the score files.
MAX_GROUPS = 20


def tabulate_levels(material: Material) -> Table | None:
    """Return accuracy by group for every further grouping of a benchmark."""
    rows: list[Row] = []
    groups = sorted(group_scores(material.scores), key=lambda group: tuple(group[0].values()))
    for names, members in groups:
        for level, own in members[0].by_level.items():
            if not 1 < len(own) <= MAX_GROUPS:
                continue
            for name in sort_naturally(sorted(own)):
                accuracy, error = average_readings([m.by_level[level][name] for m in members])
                place = {**names, "level": level, "group": name, "num": own[name].num}
                rows.append({**place, "accuracy": accuracy, "standard_error": error})
    if not rows:
        return None
    columns = (
        subset_column(),
        *student_columns([score.student for score in material.scores]),
        format_column(),
        Column("benchmark", "Benchmark"),
        Column("mode", "Mode"),
        Column("level", "Level"),
        Column("group", "Group"),
        Column("num", "Questions", "number"),
        Column(
            "accuracy",
            "Accuracy, %",
            "number",
            lambda r: show_accuracy(r["accuracy"], r["standard_error"]),
        ),
    )
    caption = (
        f"Accuracy by further groups of questions. Groupings of more than {MAX_GROUPS} groups are "
        "in the score files."
    )
    return Table("levels", caption, columns, tuple(rows), fold="Further groups of questions")


PART = Part(section="difficulty", place=30, draw=tabulate_levels)
