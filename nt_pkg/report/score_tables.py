"""Tables about scores: effects, accuracies, rates and categories."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nt_pkg.report.cells import Cell, Group
from nt_pkg.report.effects import (
    Effect,
    show_effect,
    show_effect_error,
    show_effect_interval,
    show_effect_paper,
)
from nt_pkg.report.tables import Column, Row, Table
from nt_pkg.report.wording import (
    DASH,
    PLUS_MINUS,
    show_accuracy,
    show_count,
    show_p_value,
    show_percent,
    show_ratio,
    sort_modes,
    sort_naturally,
)

Record = Mapping[str, Any]
ONE_SEED = "\u2020"


def tabulate_effects(effects: Sequence[Effect]) -> Table | None:
    """Return every comparison with its difference, interval, p value and verdict."""
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
        Column("name", "Comparison", detail=_describe_row),
        Column("verdict", "Verdict", "verdict"),
        Column(
            "difference",
            "Points, or \u00d7" if has_tokens else "Points",
            "number",
            lambda r: show_effect(shown[r["name"]]),
        ),
        Column("low", "95 % interval", "number", lambda r: show_effect_interval(shown[r["name"]])),
        Column("standard_error", "s.e.", "number", lambda r: show_effect_error(shown[r["name"]])),
        *(
            [Column("paper", "Paper", "number", lambda r: show_effect_paper(shown[r["name"]]))]
            if has_paper
            else []
        ),
        Column("num_seeds", "Seeds", "number"),
        *([Column("basis", "Over")] if len({row["basis"] for row in rows}) > 1 else []),
        Column("p_value", "p (Holm)", "number", lambda r: show_p_value(r["p_value"])),
        Column("tokens_ratio", "Tokens", "number", lambda r: show_ratio(r["tokens_ratio"])),
    )
    caption = (
        "Every comparison of the study; what is subtracted from what stands under its name. "
        "Tokens: "
        "length of the first side's answers over the second's"
        + ("; where the claim is about it (\u00d7), the test is too." if has_tokens else ".")
        + f" {DASH}: not available."
    )
    return Table("effects", caption, columns, rows)


def tabulate_scores(cells: Sequence[Cell], benchmark: str, chance: Mapping[str, float]) -> Table:
    """Return accuracy and answer length of every run group on one benchmark, modes side by side."""
    inside = [cell for cell in cells if cell.benchmark == benchmark]
    modes = sort_modes(sorted({cell.mode for cell in inside}))
    rows: list[Row] = []
    if benchmark in chance:
        guess = {f"{mode}_accuracy": chance[benchmark] for mode in modes}
        rows.append(
            {**dict.fromkeys(("student", "format", "size")), "subset": "uniform guess", **guess}
        )
    for group, members in _group_cells(inside).items():
        row: dict[str, Any] = dict(zip(("student", "subset", "format"), group, strict=True))
        row |= {"size": members[0].size or None, "num_seeds": members[0].num_seeds}
        for cell in members:
            row |= {
                f"{cell.mode}_accuracy": cell.accuracy,
                f"{cell.mode}_standard_error": cell.standard_error,
                f"{cell.mode}_num_seeds": cell.num_seeds,
                f"{cell.mode}_tokens": cell.mean_tokens,
            }
        rows.append(row)
    columns = [
        Column("subset", "Subset", show=_name_subset),
        *_student_column(inside),
        Column("format", "Format", show=_name_format),
        Column("size", "Examples", "number", lambda r: show_count(r["size"])),
    ]
    for mode in modes:
        columns += [
            Column(f"{mode}_accuracy", "accuracy", "number", _show_mode_accuracy(mode), mode),
            Column(f"{mode}_tokens", "tokens", "number", _show_mode_tokens(mode), mode),
        ]
    return Table(
        f"scores-{benchmark}",
        f"{benchmark}: accuracy in per cent on {inside[0].num_questions:,} questions, mean "
        f"{PLUS_MINUS} "
        f"standard error over seeds, and mean tokens of an answer, by mode."
        + (
            f" {ONE_SEED} one seed: standard error over questions."
            if any(cell.num_seeds == 1 for cell in inside)
            else ""
        ),
        tuple(columns),
        tuple(rows),
    )


def tabulate_rates(cells: Sequence[Cell]) -> Table:
    """Return how often answers were cut, missing, without reasoning or failed, for every cell."""
    fields = ("student", "subset", "format", "benchmark", "mode", "size", "num_seeds")
    numbers = ("num_questions", "accuracy", "standard_error", "question_error")
    lengths = ("mean_tokens", "median_tokens")
    rates = ("truncation_rate", "no_answer_rate", "thinking_rate", "num_failed")
    rows = tuple(
        {field: getattr(cell, field) for field in (*fields, *numbers, *lengths, *rates)}
        for cell in cells
    )
    columns = (
        Column("subset", "Subset", show=_name_subset),
        *_student_column(cells),
        Column("format", "Format", show=_name_format),
        Column("benchmark", "Benchmark"),
        Column("mode", "Mode"),
        Column("num_seeds", "Seeds", "number"),
        Column("accuracy", "Accuracy, %", "number", lambda r: show_percent(r["accuracy"])),
        Column(
            "median_tokens", "Median tokens", "number", lambda r: show_count(r["median_tokens"])
        ),
        Column("truncation_rate", "Cut, %", "number", lambda r: show_percent(r["truncation_rate"])),
        Column(
            "no_answer_rate", "No answer, %", "number", lambda r: show_percent(r["no_answer_rate"])
        ),
        Column(
            "thinking_rate", "Reasoned, %", "number", lambda r: show_percent(r["thinking_rate"])
        ),
        Column("num_failed", "Failed", "number"),
    )
    caption = (
        "How answers ended: cut at the token limit, without an answer that could be read, with a "
        "reasoning part. Cut and unreadable answers count as wrong unless the answer was complete."
    )
    return Table("rates", caption, columns, rows)


def tabulate_categories(cells: Sequence[Cell]) -> Table | None:
    """Return accuracy by category of question for every cell that has categories."""
    rows = tuple(
        {
            **{f: getattr(cell, f) for f in ("student", "subset", "format", "benchmark", "mode")},
            "category": name,
            "num": cell.by_category[name][0],
            "accuracy": cell.by_category[name][1],
            "standard_error": cell.by_category[name][2],
        }
        for cell in cells
        for name in sort_naturally(sorted(cell.by_category))
    )
    if not rows:
        return None
    columns = (
        Column("category", "Category"),
        Column("benchmark", "Benchmark"),
        *_student_column(cells),
        Column("subset", "Subset", show=_name_subset),
        Column("format", "Format", show=_name_format),
        Column("mode", "Mode"),
        Column("num", "Questions", "number"),
        Column(
            "accuracy",
            "Accuracy, %",
            "number",
            lambda r: show_accuracy(r["accuracy"], r["standard_error"]),
        ),
    )
    return Table("categories", "Accuracy by category of question.", columns, rows)


def _group_cells(cells: Sequence[Cell]) -> dict[Group, list[Cell]]:
    groups: dict[Group, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.group, []).append(cell)
    return groups


def _student_column(cells: Sequence[Cell]) -> tuple[Column, ...]:
    is_one = len({cell.student for cell in cells}) < 2
    return () if is_one else (Column("student", "Student"),)


def _name_subset(row: Row) -> str:
    return "as it came" if row["subset"] == "none" else str(row["subset"])


def _name_format(row: Row) -> str:
    return DASH if row["format"] in ("none", None) else str(row["format"])


def _describe_row(row: Row) -> str:
    parts = (row["contrast"], row["note"])
    return "; ".join(part for part in parts if part)


def _show_mode_accuracy(mode: str) -> Callable[[Row], str]:
    def show(row: Row) -> str:
        text = show_accuracy(row.get(f"{mode}_accuracy"), row.get(f"{mode}_standard_error"))
        return text + (ONE_SEED if row.get(f"{mode}_num_seeds") == 1 else "")

    return show


def _show_mode_tokens(mode: str) -> Callable[[Row], str]:
    return lambda row: show_count(row.get(f"{mode}_tokens"))
