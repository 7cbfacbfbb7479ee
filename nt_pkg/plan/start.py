"""What Snakemake's main process does besides planning: what it refuses, and what it records."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from nt_pkg.cost.training import misfits
from nt_pkg.files import layout
from nt_pkg.plan.study_plan import Plan
from nt_pkg.slurm.takeover import end_leftovers, hold_results
from nt_pkg.snakemake_io.dry_run import gpu_type
from nt_pkg.snakemake_io.rule_graph import keep_rule_graph
from nt_pkg.snakemake_io.under_way import UnderWay


def cannot_run_yet(plan: Plan, gpu: str | None, is_overwritten: bool) -> list[str]:
    """Return what a start would refuse; a dry run calls no hook, so it reports this instead.

    Args:
        plan: the jobs of the study.
        gpu: type of the site's GPUs, if the profile names it.
        is_overwritten: whether the profile asks for other GPUs for trainings.
    """
    lines = plan.missing_commits()
    if is_overwritten:
        return lines
    gpus = {
        run["student"]: gpu
        for run in plan.sft()
        if plan.study.students[run["student"]].runtime.gpu
        and not layout.artifact(layout.TRAINING, **run).exists()
    }
    return [*lines, *misfits(plan.study, gpus, Path())]


def start(workflow: Any, plan: Plan, under_way: UnderWay, say: Callable[[str], None]) -> None:
    """Do what is needed before the first job.

    Args:
        workflow: Snakemake's workflow.
        plan: the jobs of the study.
        under_way: the record of running jobs, updated during the start.
        say: shows a line.

    Raises:
        RuntimeError: the study cannot run, or not now.
    """
    if unknown := plan.missing_commits():
        raise RuntimeError("\n".join(unknown))
    hold_results(Path(layout.RESULTS))
    if workflow.executor_plugin.name == "slurm":
        gpus = gpus_of_trainings(plan, workflow.dag.needrun_jobs())
        if too_big := misfits(plan.study, gpus, Path()):
            raise RuntimeError("\n".join(too_big))
        end_leftovers(workflow.executor_settings.jobname_prefix, Path.cwd(), say)
    under_way.begin()
    plan.digests.keep()
    keep_rule_graph(workflow.dag, Path("timings"))


def gpus_of_trainings(plan: Plan, jobs: Iterable[Any]) -> dict[str, str | None]:
    """Return student -> type of GPUs of the trainings among jobs, if it is known."""
    students = plan.study.students
    return {
        job.wildcards.student: gpu_type({n: str(value) for n, value in job.resources.items()})
        for job in jobs
        if job.rule.name == "train" and students[job.wildcards.student].runtime.gpu
    }
