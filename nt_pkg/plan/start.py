"""What Snakemake's main process does besides planning: what it refuses, and what it records."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from nt_pkg.assets.fetch import fetched_spec, local_root
from nt_pkg.cost.training import misfits
from nt_pkg.files import layout
from nt_pkg.files.content import foreign_files
from nt_pkg.files.json_files import read_json
from nt_pkg.jobs.full_disk import end_when_full
from nt_pkg.jobs.work_dir import forget_finished
from nt_pkg.packing.positions import check_positions
from nt_pkg.plan.study_plan import Plan
from nt_pkg.slurm.takeover import end_leftovers, hold_results
from nt_pkg.snakemake_io.dry_run import gpu_type
from nt_pkg.snakemake_io.forced import forced_outputs
from nt_pkg.snakemake_io.restore import bring_back, incomplete, is_pass
from nt_pkg.snakemake_io.rule_graph import keep_rule_graph
from nt_pkg.snakemake_io.under_way import UnderWay


def cannot_run_yet(plan: Plan, gpu: str | None, is_overwritten: bool) -> list[str]:
    """Return what a start would refuse; a dry run calls no hook, so it reports this instead.

    Args:
        plan: the jobs of the study.
        gpu: type of the site's GPUs, if the profile names it.
        is_overwritten: whether the profile asks for other GPUs for trainings.
    """
    lines = [*plan.missing_commits(), *out_of_place(plan, Path())]
    if is_overwritten:
        return lines
    gpus = {
        run["student"]: gpu
        for run in plan.sft()
        if plan.study.students[run["student"]].runtime.gpu
        and not layout.artifact(layout.TRAINING, **run).exists()
    }
    return [*lines, *misfits(plan.study, gpus, Path())]


def out_of_place(plan: Plan, folder: Path) -> list[str]:
    """Return a line on each student whose positions do not allow its training, and a fix.

    A student is skipped if it was not fetched and the configuration says nothing of its positions;
    it is looked at when it is fetched.

    Args:
        plan: the jobs of the study.
        folder: where assets lie.
    """
    found = []
    for name in sorted({run["student"] for run in plan.sft()}):
        try:
            check_positions(
                _known_config(plan, name, folder),
                plan.study.students[name].training.max_example_tokens,
            )
        except ValueError as error:
            found.append(f"students.{name} cannot be trained: {error}")
    return found


def _known_config(plan: Plan, student: str, folder: Path) -> Mapping[str, Any]:
    """Return the config.json of a student, or otherwise what the configuration says of it."""
    entry = plan.study.students[student]
    place = folder / "assets" / "students" / student
    if not entry.source.is_remote:
        place = local_root(entry.source)
    elif fetched_spec(place) != json.loads(plan.asset_spec("students", student)):
        return entry.architecture or {}  # what lies there is of another model
    path = place / "config.json"
    found: Mapping[str, Any] = read_json(path) if path.is_file() else entry.architecture or {}
    return found


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
    if refused := [*plan.missing_commits(), *out_of_place(plan, Path())]:
        raise RuntimeError("\n".join(refused))
    if strangers := in_the_way(workflow.dag.needrun_jobs()):
        raise RuntimeError("\n".join(strangers))
    if not is_pass():
        hold_results(Path(layout.RESULTS))
    if workflow.executor_plugin.name == "slurm":
        gpus = gpus_of_trainings(plan, workflow.dag.needrun_jobs())
        if too_big := misfits(plan.study, gpus, Path()):
            raise RuntimeError("\n".join(too_big))
        if not is_pass():
            end_leftovers(workflow.executor_settings.jobname_prefix, Path.cwd(), say)
    if not is_pass():
        # Of what an earlier start made, only what it has not noticed may be put back.
        forget_finished(keep=under_way.open - forced_outputs(workflow))
    end_when_full()
    bring_back(incomplete(workflow.dag), say)
    under_way.begin()
    plan.digests.keep()
    if not is_pass():
        keep_rule_graph(workflow.dag, Path("timings"))


def end() -> None:
    """Do what is needed after the last job, however the start ended."""
    if not is_pass():
        forget_finished()


def in_the_way(jobs: Iterable[Any]) -> list[str]:
    """Return a line on each folder that a job will make again and that holds files of the user."""
    folders = [Path(str(path)) for job in jobs for path in job.output if Path(str(path)).is_dir()]
    found = {folder: foreign_files(folder) for folder in folders}
    return [
        f"{folder} will be made again and holds files that this project did not write, such as "
        f"{files[0]}: move them elsewhere"
        for folder, files in found.items()
        if files
    ]


def gpus_of_trainings(plan: Plan, jobs: Iterable[Any]) -> dict[str, str | None]:
    """Return student -> type of GPUs of the trainings among jobs, if it is known."""
    students = plan.study.students
    return {
        job.wildcards.student: gpu_type({n: str(value) for n, value in job.resources.items()})
        for job in jobs
        if job.rule.name == "train" and students[job.wildcards.student].runtime.gpu
    }
