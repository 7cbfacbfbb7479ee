"""The table of other readings of the same answers: macro averages and other graders."""

from collections.abc import Iterator, Mapping, Sequence

from nt_pkg.report.cells import average_readings, group_scores
from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.parts._columns import format_column, student_columns, subset_column
from nt_pkg.report.records import Reading, Score
from nt_pkg.report.tables import Column, Row, Table
from nt_pkg.report.wording import DASH, show_accuracy, show_percent, show_points

MICRO = "micro"


def tabulate_readings(material: Material) -> Table | None:
    """Return macro averages and other graders next to the accuracy used everywhere else."""
    groups = sorted(group_scores(material.scores), key=lambda group: tuple(group[0].values()))
    rows = tuple(row for names, members in groups for row in _read(names, members))
    if not any(row["reading"] != MICRO for row in rows):
        return None
    columns = (
        subset_column(),
        *student_columns([score.student for score in material.scores]),
        format_column(),
        Column("benchmark", "Benchmark"),
        Column("mode", "Mode"),
        Column("reading", "Reading"),
        Column(
            "accuracy",
            "Accuracy, %",
            "number",
            lambda r: show_accuracy(r["accuracy"], r["standard_error"]),
        ),
        Column("difference", "Against micro", "number", lambda r: show_points(r["difference"])),
        Column("no_answer", "No answer, %", "number", lambda r: show_percent(r["no_answer"])),
    )
    caption = (
        "The same answers, read in other ways. Micro: the mean over questions, as everywhere else "
        "on this page; macro: the mean of the means of groups; the others are the graders of "
        f"the benchmark's authors or of other harnesses. {DASH}: not measured separately."
    )
    fold = "Other readings: macro averages and other graders"
    return Table("readings", caption, columns, rows, fold=fold)


def _read(names: Mapping[str, str], members: Sequence[Score]) -> Iterator[Row]:
    first = members[0]
    found = {MICRO: [Reading(score.accuracy, score.standard_error) for score in members]}
    rates: dict[str, list[float | None]] = {MICRO: [score.no_answer_rate for score in members]}
    for level, own in first.macro.items():
        name = f"macro over {own.num_groups} groups of {level}"
        found[name] = [score.macro[level] for score in members]
    for other in first.alternatives:
        found[f"grader {other}"] = [score.alternatives[other] for score in members]
    micro, _ = average_readings(found[MICRO])
    for reading, entries in found.items():
        accuracy, error = average_readings(entries)
        known = [
            rate
            for rate in rates.get(reading, [entry.no_answer_rate for entry in entries])
            if rate is not None
        ]
        yield {
            **names,
            "reading": reading,
            "accuracy": accuracy,
            "standard_error": error,
            "difference": None if reading == MICRO else accuracy - micro,
            "no_answer": sum(known) / len(known) if known else None,
        }


PART = Part(section="scores", place=30, draw=tabulate_readings)
