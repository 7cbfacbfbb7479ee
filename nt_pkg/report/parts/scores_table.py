"""The tables of scores, one per benchmark: accuracy and answer length, modes side by side."""

from collections.abc import Callable, Sequence
from typing import Any

from nt_pkg.report.cells import Cell, Group
from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.parts._columns import format_column, student_columns, subset_column
from nt_pkg.report.records import Study
from nt_pkg.report.tables import Column, Row, Table
from nt_pkg.report.wording import (
    PLUS_MINUS,
    name_benchmark,
    show_accuracy,
    show_count,
    sort_modes,
)

ONE_SEED = "\u2020"


def tabulate_scores(material: Material) -> list[Table]:
    """Return the table of every benchmark."""
    return [
        _tabulate_benchmark(material.cells, name, material.study) for name in material.benchmarks
    ]


def _tabulate_benchmark(cells: Sequence[Cell], benchmark: str, study: Study) -> Table:
    inside = [cell for cell in cells if cell.benchmark == benchmark]
    modes = sort_modes(sorted({cell.mode for cell in inside}))
    rows: list[Row] = []
    chance = study.chance
    if benchmark in chance:
        guess = {f"{mode}_accuracy": chance[benchmark] for mode in modes}
        rows.append(
            {**dict.fromkeys(("student", "format", "size")), "subset": "uniform guess", **guess}
        )
    for group, members in _group_cells(inside).items():
        row: dict[str, Any] = dict(zip(("student", "subset", "format"), group, strict=True))
        row |= {"size": members[0].size or None, "num_seeds": members[0].num_seeds}
        for cell in members:
            row |= {
                f"{cell.mode}_accuracy": cell.accuracy,
                f"{cell.mode}_standard_error": cell.standard_error,
                f"{cell.mode}_num_seeds": cell.num_seeds,
                f"{cell.mode}_tokens": cell.mean_tokens,
            }
        rows.append(row)
    columns = [
        subset_column(),
        *student_columns([cell.student for cell in inside]),
        format_column(),
        Column("size", "Examples", "number", lambda r: show_count(r["size"])),
    ]
    for mode in modes:
        columns += [
            Column(f"{mode}_accuracy", "accuracy", "number", _show_mode_accuracy(mode), mode),
            Column(f"{mode}_tokens", "tokens", "number", _show_mode_tokens(mode), mode),
        ]
    return Table(
        f"scores-{benchmark}",
        f"{name_benchmark(benchmark, study.labels)}: accuracy in per cent on "
        f"{inside[0].num_questions:,} questions, mean {PLUS_MINUS} standard error over "
        "seeds, and mean tokens of an answer, by mode."
        + (
            f" {ONE_SEED} one seed: standard error over questions."
            if any(cell.num_seeds == 1 for cell in inside)
            else ""
        ),
        tuple(columns),
        tuple(rows),
    )


def _group_cells(cells: Sequence[Cell]) -> dict[Group, list[Cell]]:
    groups: dict[Group, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.group, []).append(cell)
    return groups


def _show_mode_accuracy(mode: str) -> Callable[[Row], str]:
    def show(row: Row) -> str:
        text = show_accuracy(row.get(f"{mode}_accuracy"), row.get(f"{mode}_standard_error"))
        return text + (ONE_SEED if row.get(f"{mode}_num_seeds") == 1 else "")

    return show


def _show_mode_tokens(mode: str) -> Callable[[Row], str]:
    return lambda row: show_count(row.get(f"{mode}_tokens"))


PART = Part(section="scores", place=10, draw=tabulate_scores)
