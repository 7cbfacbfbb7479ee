"""The table of how many rows every two subsets share."""

from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.records import Overlap
from nt_pkg.report.tables import Column, Row, Table
from nt_pkg.report.wording import DASH, show_count, show_ratio


def tabulate_overlaps(material: Material) -> Table | None:
    """Return a row for every two subsets, and for two draws of one, the most alike first."""
    if not material.overlaps:
        return None
    ordered = sorted(material.overlaps, key=lambda each: (-each.jaccard, each.a, each.b))
    rows = tuple(_row(each) for each in ordered)
    columns = (
        Column("a", "Subset"),
        Column("b", "And", show=lambda r: "itself, other seed" if r["a"] == r["b"] else r["b"]),
        Column("size_a", "Rows", "number", lambda r: show_count(r["size_a"])),
        Column("size_b", "Of the other", "number", lambda r: show_count(r["size_b"])),
        Column("shared", "In both", "number", lambda r: show_count(r["shared"])),
        Column("jaccard", "Jaccard", "number", lambda r: f"{r['jaccard']:.3f}"),
        Column("expected", "By chance", "number", lambda r: f"{r['expected']:,.1f}"),
        Column("lift", "Times chance", "number", _show_lift),
        Column("num_pairs", "Pairs", "number"),
    )
    caption = (
        "Rows that two subsets share, averaged over pairs of draws: of one seed, and for a subset "
        "with itself, of two. Jaccard: in both, of those in either. By chance: what two random "
        "draws of these sizes would share."
    )
    return Table(
        "overlap", caption, columns, rows, fold="Rows that every two subsets share, in numbers"
    )


def _row(each: Overlap) -> Row:
    return {
        **vars(each),
        "jaccard": each.jaccard,
        "lift": each.shared / each.expected if each.expected else None,
    }


def _show_lift(row: Row) -> str:
    return DASH if row["lift"] is None else show_ratio(row["lift"])


PART = Part(section="selectors", place=40, draw=tabulate_overlaps)
