"""The table of verdicts next to the truth, where it is known."""

from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.records import Effect
from nt_pkg.report.tables import Column, Row, Table
from nt_pkg.report.truth import BY_DESIGN, MANY_ERRORS, OUTCOMES, say_outcome
from nt_pkg.report.wording import DASH, PLUS_MINUS, show_percent, show_points, show_ratio


def tabulate_truth(material: Material) -> Table | None:
    """Return every verdict whose truth is known, or was known of another world."""
    if not material.judged:
        return None
    effects = {effect.name: effect for effect in material.effects}
    rows = tuple(
        {
            **vars(each),
            **{"difference": effects[each.name].difference},
            **{"tokens_ratio": effects[each.name].tokens_ratio},
            **{"worth": say_outcome(each)},
        }
        for each in material.judged
    )
    columns = (
        Column("name", "Comparison", show=lambda r: effects[r["name"]].title),
        Column("verdict", "Verdict", "verdict"),
        Column("difference", "Here", "number", lambda r: _show_own(r, effects[r["name"]])),
        Column("value", "Truth", "number", lambda r: _show_true(r, effects[r["name"]])),
        Column("num_seeds", "Its seeds", "number", _show_seeds),
        Column("worth", "So the verdict is"),
    )
    meaning = "; ".join(f"{name}: {what}" for name, what in OUTCOMES.items())
    caption = (
        f"Verdicts next to the truth, a difference in points or a ratio (\u00d7) {PLUS_MINUS} "
        "standard error. It was measured with many seeds of its own, or is zero by design where "
        "both sides are chosen without a look at the rows. A truth nearer to zero than "
        f"{MANY_ERRORS:g} of its standard errors counts as zero. {meaning}. {DASH}: not known."
    )
    return Table("truth", caption, columns, rows)


def _show_own(row: Row, effect: Effect) -> str:
    return show_ratio(row["tokens_ratio"]) if effect.tokens else show_points(row["difference"])


def _show_true(row: Row, effect: Effect) -> str:
    if row["value"] is None:
        return DASH
    if row["source"] == BY_DESIGN:
        return show_points(row["value"])
    value, error = (
        (show_ratio(row["value"]), show_ratio(row["error"]))
        if effect.tokens
        else (show_points(row["value"]), show_percent(row["error"]))
    )
    return f"{value} {PLUS_MINUS} {error}"


def _show_seeds(row: Row) -> str:
    if row["source"] == BY_DESIGN:
        return "by design"
    return str(row["num_seeds"] or DASH)


PART = Part(section="effects", place=25, draw=tabulate_truth)
