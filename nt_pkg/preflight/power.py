"""Check of what the comparisons of a study can see, before its runs are paid for."""

from collections.abc import Sequence
from pathlib import Path

from nt_pkg.config.study import Study
from nt_pkg.cost.gpu_hours import Forecasts
from nt_pkg.plan.power import foresee, say_limits, say_prospect
from nt_pkg.preflight.facts import Finding
from nt_pkg.snakemake_io.dry_run import Job
from nt_pkg.snakemake_io.timings import Timings


def power(study: Study, folder: Path, jobs: Sequence[Job]) -> list[Finding]:
    """Say what each comparison of accuracies can see, and warn where that is not enough.

    Args:
        study: the checked study.
        folder: where finished runs may be.
        jobs: of the whole study, for the GPU-hours of more seeds.
    """
    prospects = foresee(study, folder)
    if not prospects:
        return []
    forecasts = Forecasts(jobs, study, Timings(folder / "timings"), folder)
    limits = say_limits(prospects, forecasts.hours_of_a_seed())
    found = [Finding("warn", "power", each.text, each.todo) for each in limits]
    said = "; ".join(map(say_prospect, prospects))
    text = f"with 80 % power, in points: {said}"
    return [*found, Finding("ok", "power", text, "python -m scripts.plan has this as a table")]
