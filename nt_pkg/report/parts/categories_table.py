"""The table of accuracy by category of question."""

from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.parts._columns import (
    describe_cell,
    format_column,
    student_columns,
    subset_column,
)
from nt_pkg.report.tables import Column, Table
from nt_pkg.report.wording import show_accuracy, sort_naturally


def tabulate_categories(material: Material) -> Table | None:
    """Return accuracy by category of question for every cell that has categories."""
    rows = tuple(
        {
            **describe_cell(cell),
            "category": name,
            "num": cell.by_category[name].num,
            "accuracy": cell.by_category[name].accuracy,
            "standard_error": cell.by_category[name].standard_error,
        }
        for cell in material.cells
        for name in sort_naturally(sorted(cell.by_category))
    )
    if not rows:
        return None
    columns = (
        Column("category", "Category"),
        Column("benchmark", "Benchmark"),
        *student_columns([cell.student for cell in material.cells]),
        subset_column(),
        format_column(),
        Column("mode", "Mode"),
        Column("num", "Questions", "number"),
        Column(
            "accuracy",
            "Accuracy, %",
            "number",
            lambda r: show_accuracy(r["accuracy"], r["standard_error"]),
        ),
    )
    caption, fold = "Accuracy by category of question.", "All categories in numbers"
    return Table("categories", caption, columns, rows, fold=fold)


PART = Part(section="difficulty", place=20, draw=tabulate_categories)
