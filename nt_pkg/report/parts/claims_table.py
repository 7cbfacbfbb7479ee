"""The table of claims and their comparisons."""

from nt_pkg.report.effects import (
    show_effect,
    show_effect_error,
    show_effect_interval,
    show_effect_paper,
    show_level,
)
from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.parts._columns import show_spread
from nt_pkg.report.tables import Column, Row, Table
from nt_pkg.report.wording import DASH, show_p_value


def tabulate_claims(material: Material) -> Table | None:
    """Return the comparisons of every claim, ours next to the paper's, under the claim."""
    claims = material.claims
    if not claims:
        return None
    rows = tuple(
        {
            **{"claim": claim.name, "text": claim.text, "claim_verdict": claim.verdict},
            **{"part": part.name, "contrast": part.contrast, "benchmark": part.benchmark},
            **{"verdict": part.verdict, "difference": part.difference, "paper": part.paper},
            **{"p_value": part.p_value, "within": part.within, "tokens": part.tokens},
            **{"tokens_ratio": part.tokens_ratio, "says": part.claim, "basis": part.basis},
            **{"spread": part.spread, "degrees": part.degrees, "models": part.models},
            **{"family": part.family, "note": part.note},
        }
        for claim in claims
        for part in claim.parts
    )
    shown = {part.name: part for claim in claims for part in claim.parts}
    columns = (
        Column(
            "part",
            "Part",
            show=lambda r: str(r["says"] or shown[r["part"]].title),
            detail=_say_contrast,
        ),
        Column("verdict", "Verdict", "verdict"),
        Column("difference", "Ours", "number", lambda r: show_effect(shown[r["part"]])),
        Column("paper", "Paper", "number", lambda r: show_effect_paper(shown[r["part"]])),
        Column("error", "s.e.", "number", lambda r: show_effect_error(shown[r["part"]])),
        Column(
            "interval",
            "95 % interval",
            "number",
            lambda r: show_effect_interval(shown[r["part"]]),
            detail=lambda r: show_level(shown[r["part"]]),
        ),
        Column("p_value", "p (Holm)", "number", lambda r: show_p_value(r["p_value"])),
        Column("spread", "Trainings", show=show_spread),
    )
    caption = (
        "The claims and their comparisons: our difference and the paper's, in "
        "points, or for a claim about lengths the ratio of tokens (\u00d7). A claim is "
        "supported if all its comparisons are; p values are corrected over the claims. "
        f"{DASH}: not measured, or not stated by the paper."
    )
    return Table("claims", caption, columns, rows, _head_claim)


def _head_claim(row: Row) -> tuple[str, str]:
    return f"{row['claim']}. {row['text'].rstrip('.')}.", str(row["claim_verdict"])


def _say_contrast(row: Row) -> str:
    margin = f"within {100 * row['within']:g} points" if row["within"] is not None else ""
    where = "" if row["benchmark"] in row["contrast"] else row["benchmark"]
    return "; ".join(filter(None, [row["contrast"], where, margin, row["models"], row["note"]]))


PART = Part(section="effects", place=20, draw=tabulate_claims)
