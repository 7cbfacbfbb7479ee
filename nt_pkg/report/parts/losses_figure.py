"""The figure of training losses."""

from nt_pkg.report.canvas import SERIES, Chart, label_below, make_panels
from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.tables import Row

MAX_POINTS = 60


def draw_losses(material: Material) -> Chart | None:
    """Return training loss against step, one line per run, one panel per student and format."""
    shown = [run for run in material.runs if run.loss_curve]
    if not shown:
        return None
    places = sorted({(run.student, run.format) for run in shown})
    sizes = sorted({run.num_examples for run in shown})
    figure, panels = make_panels(len(places), sharey=True)
    rows: list[Row] = []
    for axes, place in zip(panels, places, strict=True):
        for run in shown:
            if (run.student, run.format) != place:
                continue
            curve = run.loss_curve[:: -(-len(run.loss_curve) // MAX_POINTS)]
            axes.plot(
                [step for step, _ in curve],
                [loss for _, loss in curve],
                color=SERIES[sizes.index(run.num_examples) % len(SERIES)],
                linewidth=0.9,
                alpha=0.75,
                label=f"{run.num_examples:,} examples",
            )
            rows += [
                {
                    "student": run.student,
                    "subset": run.subset,
                    "format": run.format,
                    "seed": run.seed,
                    "num_examples": run.num_examples,
                    "step": step,
                    "loss": loss,
                }
                for step, loss in curve
            ]
        is_one = len({student for student, _ in places}) == 1
        axes.set_title(place[1] if is_one else f"{place[0]}: {place[1]}")
        axes.set_xlabel("optimiser step")
    panels[0].set_ylim(bottom=0)  # shared
    panels[0].set_ylabel("loss per target token")
    label_below(figure, panels)
    ends = ", ".join(
        f"{name} {min(values):.2f} to {max(values):.2f}"
        for name in sorted({run.format for run in shown})
        if (values := [run.final_loss for run in shown if run.format == name])
    )
    return Chart(
        "losses",
        f"Training loss of {len(shown)} runs, one thin line each. Losses of different formats are "
        "not comparable, because their targets differ.",
        f"Line chart of training losses by format. Final losses: {ends}.",
        figure,
        rows,
    )


PART = Part(section="training", place=10, draw=draw_losses)
