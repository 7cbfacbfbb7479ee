"""Tables: one description, written as CSV (raw values), Markdown and HTML (for readers)."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Any, Literal

from nt_pkg.files.foreign_text import cell
from nt_pkg.report.wording import DASH

Row = Mapping[str, Any]  # a line of the CSV: values by the name of their column
Kind = Literal["text", "number", "code", "verdict"]


@dataclass(frozen=True)
class Column:
    """One column: the row's key, its heading, and how it is shown.

    `show` and `detail` get the whole row; a detail is a second, quieter line of the cell.
    """

    key: str
    label: str
    kind: Kind = "text"
    show: Callable[[Row], str] | None = None
    group: str = ""
    detail: Callable[[Row], str] | None = None

    def cell(self, row: Row) -> str:
        """Return the visible text of this column in a row."""
        if self.show is not None:
            return self.show(row)
        value = row.get(self.key)
        return DASH if value is None else str(value)


@dataclass(frozen=True)
class Table:
    """A named table; the first column heads its row. The CSV holds every key of the rows.

    With `heading` (text, and a verdict or nothing) consecutive rows with the same heading
    form a group.
    """

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    heading: Callable[[Row], tuple[str, str]] | None = None
    fold: str = ""  # if set, the page folds the table under this text

    @property
    def groups(self) -> Iterator[tuple[tuple[str, str] | None, list[Row]]]:
        """The rows under each heading, in order; without headings, one group of all rows."""
        heading = self.heading
        if heading is None:
            yield None, list(self.rows)
        else:
            for head, rows in groupby(self.rows, heading):
                yield head, list(rows)


def render_csv(rows: Sequence[Row]) -> str:
    """Return rows as CSV: raw values, floats to six decimals, keys in order of appearance."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(map(cell, keys))
    for row in rows:
        writer.writerow([cell(_round(row.get(key))) for key in keys])
    return buffer.getvalue()


def render_markdown(table: Table) -> str:
    """Return a table as GitHub Markdown under its caption."""
    names = [f"{c.group}: {c.label}" if c.group else c.label for c in table.columns]
    rules = ["---:" if c.kind == "number" else "---" for c in table.columns]
    lines = [names, rules]
    for head, rows in table.groups:
        if head:
            text = f"**{_escape_pipe(head[0])}** {head[1]}".strip()
            lines.append([text, *[""] * (len(names) - 1)])
        for row in rows:
            cells = ((c.cell(row), c.detail(row) if c.detail else "") for c in table.columns)
            lines.append([_escape_pipe(f"{one} ({more})" if more else one) for one, more in cells])
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{table.caption}\n\n{body}\n"


def render_html(table: Table) -> str:
    """Return a table in its own container, which scrolls by keyboard too."""
    bodies = "\n".join(_render_body(table, head, rows) for head, rows in table.groups)
    caption_id = f"table-{table.name}"
    caption = f"{escape(table.caption)} {render_links(table.name)}"
    return (
        f'<div class="table" role="group" tabindex="0" aria-labelledby="{caption_id}">\n<table>\n'
        f'<caption id="{caption_id}"><div>{caption}</div></caption>\n'
        f"<thead>\n{_render_head(table.columns)}\n</thead>\n"
        f"{bodies}\n</table>\n</div>"
    )


def _render_body(table: Table, head: tuple[str, str] | None, rows: Sequence[Row]) -> str:
    lines = [f"<tr>{_render_cells(table, row)}</tr>" for row in rows]
    if head:
        text = f"<div>{escape(head[0])} {_render_verdict(head[1])}</div>"
        span = len(table.columns)
        lines.insert(0, f'<tr class="head"><th scope="rowgroup" colspan="{span}">{text}</th></tr>')
    return "<tbody>\n" + "\n".join(lines) + "\n</tbody>"


def _render_verdict(verdict: str) -> str:
    if not verdict:
        return ""
    return f'<span class="verdict" data-verdict="{escape(verdict)}">{escape(verdict)}</span>'


def _render_head(columns: Sequence[Column]) -> str:
    if not any(column.group for column in columns):
        return f"<tr>{''.join(_render_heading(c) for c in columns)}</tr>"
    top, below, seen = "", "", set()
    for column in columns:
        if not column.group:
            top += _render_heading(column, ' rowspan="2"')
            continue
        below += _render_heading(column)
        if column.group not in seen:
            seen.add(column.group)
            span = sum(other.group == column.group for other in columns)
            top += (
                f'<th scope="colgroup" colspan="{span}" class="group">{escape(column.group)}</th>'
            )
    return f"<tr>{top}</tr>\n<tr>{below}</tr>"


def _render_heading(column: Column, extra: str = "") -> str:
    return f'<th scope="col" class="{column.kind}"{extra}>{escape(column.label)}</th>'


def _render_cells(table: Table, row: Row) -> str:
    cells = []
    for index, column in enumerate(table.columns):
        text = escape(column.cell(row))
        if column.kind == "code" and text != DASH:
            text = f"<code>{text}</code>"
        if column.kind == "verdict":
            text = _render_verdict(column.cell(row))
        if column.detail is not None:
            text += f"<small>{escape(column.detail(row))}</small>"
        opening = 'th scope="row"' if index == 0 else "td"
        cells.append(f'<{opening} class="{column.kind}">{text}</{opening[:2]}>')
    return "".join(cells)


def render_links(name: str) -> str:
    """Return links to the files of a table."""
    links = (
        f'<a href="tables/{name}.{end}">{label}</a>'
        for end, label in (("csv", "CSV"), ("md", "Markdown"))
    )
    return f'<span class="links">{" ".join(links)}</span>'


def _round(value: object) -> object:
    return round(value, 6) if isinstance(value, float) else value


def _escape_pipe(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
