"""The table of scores that changed since an earlier report."""

from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.tables import Column, Row, Table
from nt_pkg.report.wording import (
    PLUS_MINUS,
    name_run,
    show_accuracy,
    show_interval,
    show_p_value,
    show_plural,
    show_points,
)

MOST_CHANGED = 20  # more rows than these are folded


def tabulate_scores(material: Material) -> Table | None:
    """Return the averages over seeds that changed."""
    changes = material.changes
    if changes is None or not changes.scores:
        return None
    columns = (
        Column(
            "subset",
            "Run",
            show=lambda r: name_run(r["subset"], r["format"]),
            detail=_describe_seeds,
        ),
        Column("benchmark", "Benchmark", detail=lambda r: r["mode"]),
        *(
            Column(
                side,
                label,
                "number",
                lambda r, side=side: show_accuracy(r[side], r[f"{side}_error"]),  # type: ignore[misc]
                detail=lambda r, side=side: _show_tokens(r[f"{side}_tokens"]),  # type: ignore[misc]
            )
            for side, label in (("before", "Before"), ("now", "Now"))
        ),
        Column(
            "difference",
            "Points",
            "number",
            lambda r: show_points(r["difference"]),
            detail=_show_own_interval,
        ),
        Column("verdict", "Change", "verdict", detail=_describe_test),
        Column("causes", "What was different"),
    )
    caption = (
        f"Scores that changed: accuracy in per cent {PLUS_MINUS} standard error, averaged over the "
        "seeds that both reports have, and mean tokens. "
        f"{changes.num_averages - len(changes.scores):,} more averages are unchanged."
    )
    rows = tuple(vars(each) for each in changes.scores)
    fold = f"All {len(rows):,} averages that changed" if len(rows) > MOST_CHANGED else ""
    return Table("changes-scores", caption, columns, rows, fold=fold)


def _describe_seeds(row: Row) -> str:
    return f"{row['student']}; {row['num_changed']} of {show_plural(row['num_seeds'], 'seed')}"


def _show_tokens(tokens: float | None) -> str:
    return "no tokens" if tokens is None else f"{tokens:,.1f} tokens"


def _show_own_interval(row: Row) -> str:
    return "" if row["low"] is None else show_interval((row["low"], row["high"]))


def _describe_test(row: Row) -> str:
    if row["p_value"] is None:
        return ""
    shown = show_p_value(row["p_value"])
    return f"p {'' if shown.startswith('<') else '= '}{shown}, over {row['basis']}"


PART = Part(section="changes", place=20, draw=tabulate_scores)
