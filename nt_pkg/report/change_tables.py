"""What changed since an earlier report, as one sentence and as tables."""

from nt_pkg.report.changes import Changes
from nt_pkg.report.made import say_number
from nt_pkg.report.tables import Column, Row, Table
from nt_pkg.report.wording import (
    DASH,
    PLUS_MINUS,
    show_accuracy,
    show_count,
    show_interval,
    show_list,
    show_p_value,
    show_percent,
    show_plural,
    show_points,
)

ARROW = "\u2192"
_MOST_NAMED = 3  # verdicts that the headline spells out


def say_changes(changes: Changes, earlier: str) -> str:
    """Return what changed in one sentence.

    Args:
        changes: what changed.
        earlier: how the user calls the earlier report.
    """
    parts = [_say_scores(changes), _say_verdicts(changes), _say_picks(changes)]
    for change in ("came", "went"):
        number = sum(row["num_scores"] for row in changes.runs if row["change"] == change)
        parts.append(f"{show_plural(number, 'score')} {change}" if number else "")
    return f"Since the earlier report ({earlier}): {'; '.join(filter(None, parts))}."


def tabulate_changes(changes: Changes) -> list[Table]:
    """Return the tables of what changed; one without rows is left out."""
    made = (
        _tabulate_verdicts(changes),
        _tabulate_scores(changes),
        _tabulate_made(changes),
        _tabulate_runs(changes),
    )
    return [table for table in made if table.rows]


def _say_scores(changes: Changes) -> str:
    if not changes.num_changed:
        return f"none of {show_plural(changes.num_scores, 'score')} changed"
    text = f"{changes.num_changed:,} of {show_plural(changes.num_scores, 'score')} changed"
    beyond = sum(row["verdict"] in ("above", "below") for row in changes.scores)
    told = f"{beyond or 'none'} by more than chance"
    if all(row["p_value"] is None for row in changes.scores):
        told = "too few questions to tell it from chance"
    many = f"{len(changes.scores):,} of {show_plural(changes.num_averages, 'average')} over seeds, "
    has_seeds = changes.num_averages < changes.num_scores
    return f"{text} ({many if has_seeds else ''}{told})"


def _say_verdicts(changes: Changes) -> str:
    other = [r for r in changes.verdicts if "not asked" not in (r["before"], r["now"])]
    if not changes.num_verdicts:
        return ""
    if not other:
        moved = f", {changes.num_moved:,} with another difference" if changes.num_moved else ""
        return f"none of {show_plural(changes.num_verdicts, 'verdict')}{moved}"
    named = [f"{r['name']} from {r['before']} to {r['now']}" for r in other[:_MOST_NAMED]]
    more = len(other) - len(named)
    named += [f"{more:,} more"] if more else []
    return f"{len(other):,} of {show_plural(changes.num_verdicts, 'verdict')}: {show_list(named)}"


def _say_picks(changes: Changes) -> str:
    other = [row for row in changes.made if row["stage"] == "subsets" and row["number"]]
    if not other:
        return ""
    return f"{len(other):,} of {show_plural(changes.num_subsets, 'subset')} picked other rows"


def _tabulate_verdicts(changes: Changes) -> Table:
    columns = (
        Column("name", "Comparison or claim", detail=lambda r: r["note"]),
        Column("before", "Before", "verdict", detail=lambda r: _show_difference(r, "before")),
        Column("now", "Now", "verdict", detail=lambda r: _show_difference(r, "now")),
    )
    same = changes.num_verdicts - sum(
        "not asked" not in (row["before"], row["now"]) for row in changes.verdicts
    )
    caption = (
        f"Verdicts that changed, with the difference in points {PLUS_MINUS} standard error. "
        f"{same:,} more stand as they were, {changes.num_moved:,} of them with another difference."
    )
    return Table("changes-verdicts", caption, columns, changes.verdicts)


def _tabulate_scores(changes: Changes) -> Table:
    columns = (
        Column("subset", "Run", show=_name_run, detail=_describe_seeds),
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
        Column("causes", "What differs behind it"),
    )
    caption = (
        f"Scores that changed: accuracy in per cent {PLUS_MINUS} standard error, averaged over the "
        "seeds that both reports have, and mean tokens. "
        f"{changes.num_averages - len(changes.scores):,} more averages are what they were."
    )
    return Table("changes-scores", caption, columns, changes.scores)


def _tabulate_made(changes: Changes) -> Table:
    columns = (
        Column("what", "What", detail=say_number),
        Column("stage", "Stage"),
        Column("differences", "Differs in", show=_show_differences),
        Column("result", "Comes to", show=lambda r: r["result"].replace("->", ARROW) or DASH),
    )
    caption = "What was made otherwise. What only follows from it is not listed."
    return Table("changes-made", caption, columns, changes.made)


def _tabulate_runs(changes: Changes) -> Table:
    columns = (
        Column("subset", "Run", show=_name_run, detail=lambda r: r["student"]),
        Column("change", "Change", show=_say_one_sided),
        Column("seeds", "Seeds", "number"),
        Column("benchmarks", "Benchmarks", detail=lambda r: r["modes"]),
        Column("num_scores", "Scores", "number", lambda r: show_count(r["num_scores"])),
    )
    caption = "Scores that only one of the two reports has. They take no part in the rest."
    return Table("changes-runs", caption, columns, changes.runs)


def _name_run(row: Row) -> str:
    return "as it came" if row["subset"] == "none" else f"{row['subset']} / {row['format']}"


def _describe_seeds(row: Row) -> str:
    return f"{row['student']}; {row['num_changed']} of {show_plural(row['num_seeds'], 'seed')}"


def _say_one_sided(row: Row) -> str:
    return row["change"] if row["is_whole"] else f"{row['change']}, others of it stayed"


def _show_tokens(tokens: float | None) -> str:
    return "no tokens" if tokens is None else f"{tokens:,.1f} tokens"


def _show_own_interval(row: Row) -> str:
    return "" if row["low"] is None else show_interval((row["low"], row["high"]))


def _describe_test(row: Row) -> str:
    if row["p_value"] is None:
        return ""
    shown = show_p_value(row["p_value"])
    return f"p {'' if shown.startswith('<') else '= '}{shown}, over {row['basis']}"


def _show_difference(row: Row, side: str) -> str:
    difference, error = row[f"{side}_difference"], row[f"{side}_error"]
    if difference is None or error is None:
        return "" if difference is None else show_points(difference)
    return f"{show_points(difference)} {PLUS_MINUS} {show_percent(error)}"


def _show_differences(row: Row) -> str:
    return str(row["differences"]).replace("->", ARROW) or DASH
