"""Published numbers next to ours: one table for each table of the paper."""

from collections.abc import Iterator, Sequence

from nt_pkg.config.filters import fits
from nt_pkg.config.report import Published
from nt_pkg.report.cells import Cell
from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.tables import Column, Row, Table
from nt_pkg.report.wording import DASH, show_accuracy, show_count, show_percent, show_points


def tabulate_published(material: Material) -> list[Table]:
    """Return one table for each published table, in order of appearance.

    A micro-world study shows no difference: its numbers are from other models.

    Raises:
        ValueError: the filter of a row matches several runs of ours.
    """
    report = material.study.report
    tables: dict[str, list[Row]] = {}
    for row in report.published:
        found = _compare_row(row, material.cells, is_micro=report.is_micro)
        tables.setdefault(row.table, []).extend(found)
    return [_table(name, rows, report.is_micro) for name, rows in tables.items()]


def _compare_row(row: Published, cells: Sequence[Cell], *, is_micro: bool) -> Iterator[Row]:
    for benchmark in dict.fromkeys([*row.accuracy, *row.tokens]):
        own = _find_cell(row, benchmark, cells)
        paper = row.accuracy[benchmark] / 100 if benchmark in row.accuracy else None
        yield {
            **{"table": row.table, "row": row.row, "benchmark": benchmark},
            **{"mark": row.marks.get(benchmark), "paper": paper},
            "ours": own.accuracy if own else None,
            "standard_error": own.standard_error if own else None,
            "difference": own.accuracy - paper
            if own and paper is not None and not is_micro
            else None,
            "paper_tokens": row.tokens.get(benchmark),
            "tokens": own.mean_tokens if own else None,
            "note": row.note,
        }


def _find_cell(row: Published, benchmark: str, cells: Sequence[Cell]) -> Cell | None:
    wanted = {str(field): value for field, value in row.filter.items()}
    if not wanted:
        return None
    found = [cell for cell in cells if cell.benchmark == benchmark and fits(cell, wanted)]
    if len(found) > 1:
        raise ValueError(
            f"report.published, table {row.table}, row {row.row!r}: its filter {wanted} matches "
            f"{len(found)} runs on {benchmark}; name student, subset, format and mode"
        )
    return found[0] if found else None


def _table(name: str, rows: Sequence[Row], is_micro: bool) -> Table:
    columns = [
        Column("benchmark", "Benchmark"),
        Column(
            "ours", "Ours, %", "number", lambda r: show_accuracy(r["ours"], r["standard_error"])
        ),
        Column("paper", "Paper, %", "number", lambda r: show_percent(r["paper"])),
        Column("mark", "Mark"),
        Column("difference", "Points", "number", lambda r: show_points(r["difference"])),
    ]
    if any(row["paper_tokens"] for row in rows):
        columns += [
            Column("tokens", "Ours, tokens", "number", lambda r: show_count(r["tokens"])),
            Column("paper_tokens", "Paper, tokens", "number", _show_paper_tokens),
        ]
    caption = (
        f"Table {name} of the paper next to ours, with our standard error; points: ours minus the "
        f"paper's. {DASH}: this study has no such run, or the paper's number is not known."
    )
    if is_micro:
        caption += " The models and questions differ, so the columns are not comparable."
        columns = [column for column in columns if column.key != "difference"]
    return Table(f"paper-{name}", caption, tuple(columns), tuple(rows), _head_row)


def _head_row(row: Row) -> tuple[str, str]:
    return f"{row['row']}{': ' if row['note'] else ''}{row['note']}", ""


def _show_paper_tokens(row: Row) -> str:
    return show_count(row["paper_tokens"])


PART = Part(section="paper", place=10, draw=tabulate_published)
