"""The table of what else differs between the sides of a comparison."""

from collections.abc import Callable

from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.records import Side
from nt_pkg.report.tables import Column, Row, Table
from nt_pkg.report.wording import DASH, show_count, show_percent

_COLUMNS: tuple[tuple[str, str, Callable[[float | None], str]], ...] = (
    ("truncation_rate", "Cut, %", show_percent),
    ("no_answer_rate", "No answer, %", show_percent),
    ("tokens", "Tokens", show_count),
    ("tokens_complete", "Tokens, not cut", show_count),
    ("num_examples", "Examples", show_count),
    ("train_tokens", "Tokens trained on", show_count),
    ("train_steps", "Steps", show_count),
)


def tabulate_sides(material: Material) -> Table | None:
    """Return rates, lengths and trainings of both sides of every comparison, side by side."""
    rows = tuple(
        {
            **{"name": effect.name, "title": effect.title, "contrast": effect.contrast},
            **{f"a_{key}": value for key, value in vars(effect.a).items()},
            **{f"b_{key}": value for key, value in vars(effect.b).items()},
        }
        for effect in material.effects
        if effect.a != Side() or effect.b != Side()
    )
    if not rows:
        return None
    columns = [Column("title", "Comparison", detail=lambda row: str(row["contrast"]))]
    for key, label, show in _COLUMNS:
        if any(row[f"{side}_{key}"] is not None for row in rows for side in "ab"):
            columns.append(Column(f"a_{key}", label, "number", _show_both(key, show)))
    caption = (
        "What else differs between the two sides, first | second: answers that were cut or "
        "unreadable, mean tokens of an answer with and without cut ones, and per training its "
        f"examples, tokens and steps. {DASH}: not trained here, or no such answer."
    )
    fold = "What else differs between the sides"
    return Table("sides", caption, tuple(columns), rows, fold=fold)


def _show_both(key: str, show: Callable[[float | None], str]) -> Callable[[Row], str]:
    return lambda row: f"{show(row[f'a_{key}'])} | {show(row[f'b_{key}'])}"


PART = Part(section="effects", place=40, draw=tabulate_sides)
