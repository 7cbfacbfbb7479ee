"""The table of how answers ended."""

from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.parts._columns import (
    describe_cell,
    format_column,
    student_columns,
    subset_column,
)
from nt_pkg.report.tables import Column, Table
from nt_pkg.report.wording import show_count, show_percent


def tabulate_rates(material: Material) -> Table | None:
    """Return how often answers were cut, missing, without reasoning or failed, for every cell."""
    if not material.cells:
        return None
    rows = tuple(
        {
            **describe_cell(cell),
            "size": cell.size,
            "num_seeds": cell.num_seeds,
            "num_questions": cell.num_questions,
            "accuracy": cell.accuracy,
            "standard_error": cell.standard_error,
            "question_error": cell.question_error,
            "mean_tokens": cell.mean_tokens,
            "median_tokens": cell.median_tokens,
            "truncation_rate": cell.truncation_rate,
            "no_answer_rate": cell.no_answer_rate,
            "thinking_rate": cell.thinking_rate,
            "num_failed": cell.num_failed,
        }
        for cell in material.cells
    )
    columns = (
        subset_column(),
        *student_columns([cell.student for cell in material.cells]),
        format_column(),
        Column("benchmark", "Benchmark"),
        Column("mode", "Mode"),
        Column("num_seeds", "Seeds", "number"),
        Column("accuracy", "Accuracy, %", "number", lambda r: show_percent(r["accuracy"])),
        Column(
            "median_tokens", "Median tokens", "number", lambda r: show_count(r["median_tokens"])
        ),
        Column("truncation_rate", "Cut, %", "number", lambda r: show_percent(r["truncation_rate"])),
        Column(
            "no_answer_rate", "No answer, %", "number", lambda r: show_percent(r["no_answer_rate"])
        ),
        Column(
            "thinking_rate", "Reasoned, %", "number", lambda r: show_percent(r["thinking_rate"])
        ),
        Column("num_failed", "Failed", "number"),
    )
    caption = (
        "How answers ended: cut at the token limit, without a readable answer, with a "
        "reasoning part. Cut and unreadable answers count as wrong unless the answer was complete."
    )
    fold = "How answers ended: cut, unreadable, with reasoning"
    return Table("rates", caption, columns, rows, fold=fold)


PART = Part(section="scores", place=20, draw=tabulate_rates)
