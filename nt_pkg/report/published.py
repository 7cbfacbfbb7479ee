"""Published numbers beside ours: one table for each table of the paper.

A published row (`report.published` of the configuration) has `table`, `row`, `accuracy` and
`tokens` by benchmark (per cent, mean tokens of an answer), `marks` by benchmark (how sure the
number is), `note`, and `filter`, the run of ours that it is compared with.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nt_pkg.report.cells import Cell
from nt_pkg.report.tables import Column, Row, Table
from nt_pkg.report.wording import DASH, show_accuracy, show_count, show_percent, show_points

Record = Mapping[str, Any]


def tabulate_published(
    published: Sequence[Record], cells: Sequence[Cell], *, is_micro: bool
) -> list[Table]:
    """Return one table for each published table, in the order first seen.

    A micro-world study gets no difference: the two numbers are about different models.

    Raises:
        ValueError: the filter of a row fits several runs of ours.
    """
    rows = [row for record in published for row in _rows(record, cells, is_micro=is_micro)]
    names = dict.fromkeys(str(row["table"]) for row in rows)
    return [_table(name, [row for row in rows if row["table"] == name], is_micro) for name in names]


def find_published(
    published: Sequence[Record], wanted: Record, benchmarks: Sequence[str]
) -> float | None:
    """Return the published mean accuracy (a share) over benchmarks of the run a filter is about.

    None where no row is about it, or the row lacks one of the benchmarks.
    """
    found = _find_mean(published, wanted, benchmarks, "accuracy")
    return None if found is None else found / 100


def find_published_tokens(
    published: Sequence[Record], wanted: Record, benchmarks: Sequence[str]
) -> float | None:
    """Return the published mean tokens of an answer, likewise."""
    return _find_mean(published, wanted, benchmarks, "tokens")


def _find_mean(
    published: Sequence[Record], wanted: Record, benchmarks: Sequence[str], field: str
) -> float | None:
    names = {key: value for key, value in wanted.items() if key != "benchmark"}
    if not benchmarks:
        return None
    for record in published:
        known = record.get("filter") or {}
        numbers = record.get(field) or {}
        is_meant = known and all(known.get(key) == value for key, value in names.items())
        if is_meant and all(name in numbers for name in benchmarks):
            return float(sum(numbers[name] for name in benchmarks)) / len(benchmarks)
    return None


def _rows(record: Record, cells: Sequence[Cell], *, is_micro: bool) -> Iterator[Row]:
    accuracy, tokens = record.get("accuracy") or {}, record.get("tokens") or {}
    for benchmark in dict.fromkeys([*accuracy, *tokens]):
        own = _find_cell(record, benchmark, cells)
        paper = accuracy[benchmark] / 100 if benchmark in accuracy else None
        is_known = own is not None and paper is not None and not is_micro
        yield {
            **{"table": str(record["table"]), "row": record["row"], "benchmark": benchmark},
            **{"mark": (record.get("marks") or {}).get(benchmark), "paper": paper},
            "ours": own.accuracy if own else None,
            "standard_error": own.standard_error if own else None,
            "difference": own.accuracy - paper if own and paper and is_known else None,
            "paper_tokens": tokens.get(benchmark),
            "tokens": own.mean_tokens if own else None,
            "note": record.get("note") or "",
        }


def _find_cell(record: Record, benchmark: str, cells: Sequence[Cell]) -> Cell | None:
    wanted = record.get("filter")
    if not wanted:
        return None
    found = [
        cell
        for cell in cells
        if cell.benchmark == benchmark and all(getattr(cell, k) == v for k, v in wanted.items())
    ]
    if len(found) > 1:
        raise ValueError(
            f"report.published, table {record['table']}, row {record['row']!r}: its filter "
            f"{wanted} fits {len(found)} runs on {benchmark}; name student, subset, format and mode"
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
        f"Table {name} of the paper beside ours, with our standard error; points: ours minus the "
        f"paper's. {DASH}: this study has no such run, or the paper's number is not known."
    )
    if is_micro:
        caption += " Other models and other questions: the columns are not comparable."
        columns = [column for column in columns if column.key != "difference"]
    return Table(f"paper-{name}", caption, tuple(columns), tuple(rows), _head_row)


def _head_row(row: Row) -> tuple[str, str]:
    return f"{row['row']}{': ' if row['note'] else ''}{row['note']}", ""


def _show_paper_tokens(row: Row) -> str:
    return show_count(row["paper_tokens"])
