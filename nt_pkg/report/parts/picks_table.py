"""What one subset picked and another did not: counts, and a page of rows side by side."""

from collections.abc import Sequence
from itertools import zip_longest

from nt_pkg.report.browser import Block, Entry, Page
from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Drawn, Part
from nt_pkg.report.parts._rows import (
    describe_trace,
    find_words,
    label_blocks,
    list_strategies,
    shown,
    trace_blocks,
)
from nt_pkg.report.records import Pick, PickedTrace
from nt_pkg.report.tables import Column, Table
from nt_pkg.report.wording import show_count, show_plural


def show_picks(material: Material) -> list[Drawn] | None:
    """Return counts of every compared pair of subsets, and rows that only one of them picked."""
    if not material.picks:
        return None
    rows = tuple(
        {
            "a": pick.a,
            "b": pick.b,
            "seed": pick.seed,
            "only_a": pick.num_only_a,
            "only_b": pick.num_only_b,
            "both": pick.num_both,
        }
        for pick in material.picks
    )
    columns = (
        Column("a", "A"),
        Column("b", "B"),
        Column("seed", "Seed", "number"),
        Column("only_a", "Only A picked", "number", lambda r: show_count(r["only_a"])),
        Column("only_b", "Only B picked", "number", lambda r: show_count(r["only_b"])),
        Column("both", "Both", "number", lambda r: show_count(r["both"])),
    )
    caption = "Rows that one subset of a comparison picked and the other did not, at one seed."
    fold = "What one subset picked and another did not, in numbers"
    table = Table("picks", caption, columns, rows, fold=fold)
    page = _page(material)
    return [table, page] if page.entries else [table]


def _page(material: Material) -> Page:
    entries = [entry for pick in material.picks for entry in _entries(pick)]
    traces = [each.trace for pick in material.picks for each in (*pick.only_a, *pick.only_b)]
    return Page(
        "picks",
        "What A picked and B did not",
        f"{show_plural(len(material.picks), 'pair')} of subsets that the study compares; rows side "
        "by side with their labels and their place and score in the selection. Rows are drawn at "
        "random from those that only one side has; what stands side by side is no pair otherwise.",
        entries,
        (("pair", "Subsets"), ("strategies", "Strategy")),
        find_words(material, traces),
    )


def _entries(pick: Pick) -> list[Entry]:
    found = []
    for at, (a, b) in enumerate(zip_longest(pick.only_a, pick.only_b), 1):
        sides = [(0, pick.a, a), (1, pick.b, b)]
        present = [each.trace for each in (a, b) if each is not None]
        tags = {
            "pair": [f"{pick.a} against {pick.b}"],
            "strategies": sorted({name for each in present for name in list_strategies(each)}),
        }
        numbers = (pick.num_only_a, pick.num_only_b)
        blocks = [
            block for side, name, row in sides for block in _blocks(side, name, row, numbers[side])
        ]
        head = f"{pick.a} against {pick.b}: rows {at}"
        found.append(Entry(head, f"seed {pick.seed}", tags, blocks))
    return found


def _blocks(side: int, name: str, picked: PickedTrace | None, num: int) -> Sequence[Block]:
    if picked is None:
        said = (
            f"All {show_plural(num, 'such row')} stand above." if num else "There is no such row."
        )
        return [Block(f"Only {name}", said, side)]
    trace = picked.trace
    place = f"place {picked.rank + 1:,}, score {picked.score:.4g}"
    return [
        Block(f"Only {name}", f"{place}\n{describe_trace(trace)}", side),
        *([] if trace.question is None else [Block("Question", shown(trace.question), side)]),
        *trace_blocks(trace, side),
        *label_blocks(trace, side),
    ]


PART = Part(section="selectors", place=50, draw=show_picks)
