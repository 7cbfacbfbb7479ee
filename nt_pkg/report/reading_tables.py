"""Tables of other readings of the same answers: macro averages, others' graders, further groups."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nt_pkg.report.cells import average_seeds
from nt_pkg.report.tables import Column, Row, Table
from nt_pkg.report.wording import DASH, show_accuracy, show_percent, show_points, sort_naturally

Record = Mapping[str, Any]

_NAMES = ("student", "subset", "format", "benchmark", "mode")
# Longer lists of groups (SuperGPQA has 72 fields and 285 subfields) stay in the score files.
MAX_GROUPS = 20


def tabulate_readings(scores: Sequence[Record]) -> Table | None:
    """Return macro averages and others' graders beside the accuracy that all else rests on."""
    rows = [row for names, members in _cells(scores) for row in _readings(names, members)]
    if not any(row["reading"] != "micro" for row in rows):
        return None
    columns = (
        *_identity(scores),
        Column("reading", "Reading"),
        Column("accuracy", "Accuracy, %", "number", _show_accuracy),
        Column("difference", "Against micro", "number", lambda r: show_points(r["difference"])),
        Column("no_answer", "No answer, %", "number", lambda r: show_percent(r["no_answer"])),
    )
    caption = (
        "The same answers read otherwise. Micro: the mean over questions, as everywhere else on "
        "this page; macro: the mean over groups of their means; the others are the graders of the "
        f"benchmark's authors or of other harnesses. {DASH}: not measured by itself."
    )
    return Table("readings", caption, columns, tuple(rows))


def tabulate_levels(scores: Sequence[Record]) -> Table | None:
    """Return accuracy by group of every further level of a benchmark, such as its difficulty."""
    rows = tuple(
        {
            **names,
            **{"level": level, "group": group, "num": members[0]["by_level"][level][group]["num"]},
            **_average([member["by_level"][level][group] for member in members]),
        }
        for names, members in _cells(scores)
        for level, groups in (members[0].get("by_level") or {}).items()
        if 1 < len(groups) <= MAX_GROUPS
        for group in sort_naturally(sorted(groups))
    )
    if not rows:
        return None
    columns = (
        *_identity(scores),
        Column("level", "Level"),
        Column("group", "Group"),
        Column("num", "Questions", "number"),
        Column("accuracy", "Accuracy, %", "number", _show_accuracy),
    )
    caption = (
        f"Accuracy by further groups of questions; levels of more than {MAX_GROUPS} groups are in "
        "the score files."
    )
    return Table("levels", caption, columns, rows)


def _cells(scores: Sequence[Record]) -> Iterator[tuple[dict[str, Any], list[Record]]]:
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for score in scores:
        groups.setdefault(tuple(score[name] for name in _NAMES), []).append(score)
    for key, members in sorted(groups.items(), key=lambda item: item[0]):
        yield dict(zip(_NAMES, key, strict=True)), members


def _readings(names: Mapping[str, Any], members: Sequence[Record]) -> Iterator[Row]:
    micro = _average(members)
    found = {"micro": list(members)}
    for level in members[0].get("macro") or {}:
        number = members[0]["macro"][level]["num_groups"]
        found[f"macro over {number} groups of {level}"] = [m["macro"][level] for m in members]
    for other in members[0].get("alternatives") or {}:
        found[f"grader {other}"] = [m["alternatives"][other] for m in members]
    for reading, entries in found.items():
        own = _average(entries)
        rates = [entry.get("no_answer_rate") for entry in entries]
        known = [rate for rate in rates if rate is not None]
        yield {
            **{**names, "reading": reading, **own},
            "difference": None if reading == "micro" else own["accuracy"] - micro["accuracy"],
            "no_answer": sum(known) / len(known) if known else None,
        }


def _average(entries: Sequence[Record]) -> dict[str, Any]:
    """Return accuracy over seeds with its error; one seed has the error over questions."""
    accuracy, error = average_seeds([float(entry["accuracy"]) for entry in entries])
    own = entries[0].get("standard_error")
    return {"accuracy": accuracy, "standard_error": own if error is None else error}


def _identity(scores: Sequence[Record]) -> tuple[Column, ...]:
    is_one = len({score["student"] for score in scores}) < 2
    return (
        Column("subset", "Subset"),
        *(() if is_one else (Column("student", "Student"),)),
        Column("format", "Format"),
        Column("benchmark", "Benchmark"),
        Column("mode", "Mode"),
    )


def _show_accuracy(row: Row) -> str:
    return show_accuracy(row["accuracy"], row["standard_error"])
