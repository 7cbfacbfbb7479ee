"""The table of all comparisons."""

from nt_pkg.report.effects import (
    show_effect,
    show_effect_error,
    show_effect_interval,
    show_effect_paper,
    show_level,
)
from nt_pkg.report.judging import CLAIMS, NO_CLAIM
from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.parts._columns import show_spread
from nt_pkg.report.tables import Column, Row, Table
from nt_pkg.report.wording import DASH, show_p_value, show_ratio


def tabulate_effects(material: Material) -> Table | None:
    """Return every comparison with its difference, interval, p value and verdict."""
    effects = material.effects
    if not effects:
        return None
    rows = tuple(
        {
            "name": e.name,
            "claim": e.claim,
            "contrast": e.contrast,
            "benchmark": e.benchmark,
            "difference": e.difference,
            "standard_error": e.standard_error,
            "low": e.interval[0] if e.interval else None,
            "high": e.interval[1] if e.interval else None,
            "num_seeds": e.num_seeds,
            "p_value": e.p_value,
            "p_value_raw": e.p_value_raw,
            "verdict": e.verdict,
            "tokens_ratio": e.tokens_ratio,
            "note": e.note,
            "basis": e.basis,
            "models": e.models,
            "family": e.family,
            "spread": e.spread,
            "degrees": e.degrees,
            "spread_alike": e.spread_alike,
            "level": e.level,
            "within": e.within,
            "paper": e.paper,
            "tokens": e.tokens,
            "tokens_error": e.tokens_error,
            "tokens_low": e.tokens_interval[0] if e.tokens_interval else None,
            "tokens_high": e.tokens_interval[1] if e.tokens_interval else None,
        }
        for e in effects
    )
    shown = {e.name: e for e in effects}
    has_tokens = any(e.tokens for e in effects)
    has_paper = any(row["paper"] is not None for row in rows)
    columns = (
        Column("name", "Comparison", show=lambda r: shown[r["name"]].title, detail=_describe_row),
        Column("verdict", "Verdict", "verdict"),
        Column(
            "difference",
            "Points, or \u00d7" if has_tokens else "Points",
            "number",
            lambda r: show_effect(shown[r["name"]]),
        ),
        Column(
            "low",
            "95 % interval",
            "number",
            lambda r: show_effect_interval(shown[r["name"]]),
            detail=lambda r: show_level(shown[r["name"]]),
        ),
        Column("standard_error", "s.e.", "number", lambda r: show_effect_error(shown[r["name"]])),
        *(
            [Column("paper", "Paper", "number", lambda r: show_effect_paper(shown[r["name"]]))]
            if has_paper
            else []
        ),
        Column("num_seeds", "Seeds", "number"),
        Column("spread", "Trainings", show=show_spread),
        Column("p_value", "p (Holm)", "number", lambda r: show_p_value(r["p_value"])),
        Column("tokens_ratio", "Tokens", "number", lambda r: show_ratio(r["tokens_ratio"])),
    )
    caption = (
        "Every comparison of the study, with its two sides below its name. Trainings: where the "
        "variance between them comes from, with its degrees of freedom. Tokens: mean length of "
        "the first side's answers divided by that of the second's"
        + ("; if the claim is about this ratio (\u00d7), the test is too." if has_tokens else ".")
        + f" {DASH}: not available."
    )
    # The table of claims already has most of its rows.
    fold = "All comparisons in numbers" if material.claims else ""
    return Table("effects", caption, columns, rows, fold=fold)


def _describe_row(row: Row) -> str:
    family = f"family: {row['family']}" if row["family"] not in (CLAIMS, NO_CLAIM, "") else ""
    parts = (row["contrast"], row["models"], family, row["note"])
    return "; ".join(part for part in parts if part)


PART = Part(section="effects", place=30, draw=tabulate_effects)
