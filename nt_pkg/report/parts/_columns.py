"""Columns that several tables share, and their values."""

from collections.abc import Collection

from nt_pkg.config.base import UNTRAINED
from nt_pkg.report.cells import Cell
from nt_pkg.report.tables import Column, Row
from nt_pkg.report.wording import DASH, name_subset


def subset_column() -> Column:
    """Return the column of subsets."""
    return Column("subset", "Subset", show=lambda row: name_subset(row["subset"]))


def format_column() -> Column:
    """Return the column of formats; the untrained student has none."""
    return Column("format", "Format", show=_show_format)


def student_columns(students: Collection[str]) -> tuple[Column, ...]:
    """Return the column of students, if there are several."""
    return (Column("student", "Student"),) if len(set(students)) > 1 else ()


def describe_cell(cell: Cell) -> dict[str, object]:
    """Return the values that name a cell."""
    return {
        "student": cell.student,
        "subset": cell.subset,
        "format": cell.format,
        "benchmark": cell.benchmark,
        "mode": cell.mode,
    }


def describe_point(cell: Cell) -> dict[str, object]:
    """Return the values of a point in a figure: its names, and what was measured."""
    return {
        **describe_cell(cell),
        "size": cell.size,
        "num_seeds": cell.num_seeds,
        "accuracy": cell.accuracy,
        "standard_error": cell.standard_error,
        "mean_tokens": cell.mean_tokens,
    }


def show_spread(row: Row) -> str:
    """Return where the variance between trainings comes from: `pooled, 26 df`."""
    if row["basis"] == "models":
        return "one each"
    if not row["spread"]:
        return DASH
    degrees = row["degrees"]
    return str(row["spread"]) if degrees is None else f"{row['spread']}, {degrees:.0f} df"


def _show_format(row: Row) -> str:
    return DASH if row["format"] in (UNTRAINED, None) else str(row["format"])
