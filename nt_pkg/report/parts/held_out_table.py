"""The table of losses on examples that no student was trained on."""

from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.parts._columns import student_columns
from nt_pkg.report.tables import Column, Table
from nt_pkg.report.wording import show_count


def tabulate_held_out(material: Material) -> Table | None:
    """Return the loss before and after every training that measured it."""
    known = [(run, run.held_out) for run in material.runs if run.held_out]
    if not known:
        return None
    rows = tuple(
        {
            "subset": run.subset,
            "student": run.student,
            "format": run.format,
            "seed": run.seed,
            "num_examples": held.num_examples,
            "num_loss_tokens": held.num_loss_tokens,
            "loss_before": held.loss_before,
            "loss_after": held.loss_after,
            "change": held.loss_after - held.loss_before,
        }
        for run, held in known
    )
    columns = (
        Column("subset", "Subset"),
        *student_columns([run.student for run, _ in known]),
        Column("format", "Format"),
        Column("seed", "Seed", "number"),
        Column("num_examples", "Held out", "number", lambda r: show_count(r["num_examples"])),
        Column("num_loss_tokens", "Tokens", "number", lambda r: show_count(r["num_loss_tokens"])),
        Column("loss_before", "Before", "number", lambda r: f"{r['loss_before']:.3f}"),
        Column("loss_after", "After", "number", lambda r: f"{r['loss_after']:.3f}"),
        Column("change", "Change", "number", lambda r: f"{r['change']:+.3f}"),
    )
    caption = (
        "Loss per response token on examples that no student was trained on. Runs of one student "
        "and format have the same examples; losses of different formats are not comparable. One "
        "training each: it has no error, so a difference between subsets here is none yet."
    )
    return Table("held_out", caption, columns, rows)


PART = Part(section="training", place=5, draw=tabulate_held_out)
