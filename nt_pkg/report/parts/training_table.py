"""The table of training runs."""

from collections.abc import Sequence
from statistics import fmean

from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.parts._columns import student_columns
from nt_pkg.report.records import Run
from nt_pkg.report.tables import Column, Row, Table
from nt_pkg.report.wording import PLUS_MINUS, show_count, show_seconds
from nt_pkg.statistics.tests import average_seeds


def tabulate_runs(material: Material) -> Table | None:
    """Return the training runs, one row per group, averaged over seeds."""
    if not material.runs:
        return None
    groups: dict[tuple[str, str, str], list[Run]] = {}
    for run in material.runs:
        groups.setdefault((run.student, run.subset, run.format), []).append(run)
    ordered = sorted(groups.values(), key=_place_of)
    columns = (
        Column("subset", "Subset"),
        *student_columns([run.student for run in material.runs]),
        Column("format", "Format"),
        Column("num_seeds", "Seeds", "number"),
        Column("num_examples", "Examples", "number", lambda r: show_count(r["num_examples"])),
        Column("num_tokens", "Tokens seen", "number", lambda r: show_count(r["num_tokens"])),
        Column("num_steps", "Steps", "number", lambda r: show_count(r["num_steps"])),
        Column("final_loss", "Final loss", "number", _show_loss),
        Column("wall_seconds", "Time", "number", lambda r: show_seconds(r["wall_seconds"])),
        Column(
            "tokens_per_second", "Tokens/s", "number", lambda r: show_count(r["tokens_per_second"])
        ),
        Column("ranks", "Ranks", "number"),
        Column("zero_stage", "ZeRO", "number"),
    )
    return Table(
        "training",
        "Training runs; numbers are means over seeds.",
        columns,
        tuple(map(_average, ordered)),
    )


def _place_of(members: Sequence[Run]) -> tuple[object, ...]:
    first = members[0]
    return first.student, first.num_examples, first.subset, first.format


def _average(members: Sequence[Run]) -> Row:
    first = members[0]
    loss, error = average_seeds([run.final_loss for run in members])
    return {
        "subset": first.subset,
        "student": first.student,
        "format": first.format,
        "num_seeds": len(members),
        "num_examples": fmean(run.num_examples for run in members),
        "num_tokens": fmean(run.num_tokens for run in members),
        "num_steps": fmean(run.num_steps for run in members),
        "final_loss": loss,
        "final_loss_error": error,
        "wall_seconds": fmean(run.wall_seconds for run in members),
        "tokens_per_second": fmean(run.tokens_per_second for run in members),
        "ranks": ", ".join(sorted({str(run.world_size) for run in members})),
        "zero_stage": ", ".join(sorted({str(run.zero_stage) for run in members})),
    }


def _show_loss(row: Row) -> str:
    loss, error = row["final_loss"], row["final_loss_error"]
    return f"{loss:.3f}" if error is None else f"{loss:.3f} {PLUS_MINUS} {error:.3f}"


PART = Part(section="training", place=20, draw=tabulate_runs)
