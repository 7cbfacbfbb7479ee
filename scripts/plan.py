"""Say what a study would run, why, and what it would cost, before anything runs.

    python -m scripts.plan                                   # the demo
    python -m scripts.plan --configfile config/real_rows.yaml
    python -m scripts.plan sft                               # one stage
    python -m scripts.plan --profile profiles/slurm          # on a cluster, with GPU-hours

Everything behind the program's name goes to Snakemake's dry run. With a cluster's profile it also
says whether each student's training fits on the GPUs it asks for, and what it would cost.
"""

import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path

from nt_pkg.config import Study, load_study, read_yaml
from nt_pkg.dry_run import (
    Job,
    Timings,
    by_output,
    explain,
    gpu_type,
    parse_jobs,
    unneeded_if_equal,
)
from nt_pkg.forecast import MFU, Cost, Need, cost, need
from nt_pkg.launcher import STAGES

ROOT = Path(__file__).resolve().parent.parent
LOCAL = ROOT / "profiles" / "local"
_NUM_NAMES = 4  # names of one kind in a line
_NOT_SHOWN = ("num_shards", "kind")
_IMPLIED = ("pool", "teacher")  # by a subset


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = [sys.executable, "-m", "snakemake", "-n", "-s", str(ROOT / "Snakefile")]
    profiles = _profiles(arguments)
    if not profiles:
        command += ["--profile", str(LOCAL)]
    command += arguments  # last, because targets may stand behind `--`
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.stdout.write(done.stdout)
        return done.returncode
    jobs = [job for job in parse_jobs(done.stdout) if job.rule in STAGES]
    if not jobs and "Nothing to be done" not in done.stdout:
        sys.stdout.write(done.stdout)  # another command than a plan, such as --lint
        return 0
    sys.stdout.writelines(re.findall(r"^note: .*\n", done.stdout, re.M))
    # Jobs on this machine hold none of the GPUs that they would ask a cluster for.
    is_cluster = any(Path(each).resolve() != LOCAL for each in profiles)
    folder = Path(*_values(arguments, "--directory", "-d")[-1:])
    study = load_study(read_yaml(_configuration(arguments))) if is_cluster else None
    sys.stdout.write(render(jobs, Timings(folder / "timings"), study, folder))
    return 0


def _profiles(arguments: Sequence[str]) -> list[str]:
    """Return the profiles that are named among Snakemake's arguments."""
    return _values(arguments, "--profile", "--workflow-profile")


def _configuration(arguments: Sequence[str]) -> list[Path]:
    """Return the configuration files of a plan; values behind --config are not looked at."""
    named = _values(arguments, "--configfile", "--configfiles", several=True)
    return [ROOT / "config" / "config.yaml", *map(Path, named)]


def _values(arguments: Sequence[str], *options: str, several: bool = False) -> list[str]:
    """Return what is behind options among Snakemake's arguments."""
    found = []
    for at, each in enumerate(arguments):
        name, equals, value = each.partition("=")
        if name not in options:
            continue
        following = [value] if equals else list(arguments[at + 1 :])
        values = list(takewhile(lambda text: not text.startswith("-"), following))
        found += values if several else values[:1]
    return found


def render(
    jobs: Sequence[Job], timings: Timings, study: Study | None = None, folder: Path = Path()
) -> str:
    """Return the plan as text.

    Args:
        jobs: that would run.
        timings: what jobs took before.
        study: if the jobs run on a cluster: the checked study, for what they need of its GPUs.
        folder: where results and assets lie.
    """
    if not jobs:
        return "nothing to be done\n"
    lines = [f"{'stage':12} {'rule':16} {'jobs':>5} {'about':>8}  why"]
    producers = by_output(jobs)
    for rule, stage in STAGES.items():
        same_cause: dict[str, list[Job]] = defaultdict(list)
        for job in jobs:
            if job.rule == rule:
                same_cause["; ".join(explain(job, producers))].append(job)
        for cause, group in same_cause.items():
            lines.append(
                f"{stage:12} {rule:16} {len(group):5} {_about(group, timings):>8}  "
                f"{cause} ({_names(group)})"
            )
    needs, costs = _trainings(jobs, study, folder) if study else ({}, {})
    gpu_hours = _gpu_hours(jobs, timings, costs) if study else {}
    total = f", {sum(gpu_hours.values()):,.2f} GPU-hours" if gpu_hours else ""
    lines += ["", f"{len(jobs)} jobs, {_about(jobs, timings)} one after the other{total}"]
    if gpu_hours:
        each = ", ".join(f"{stage} {hours:,.2f}" for stage, hours in gpu_hours.items() if hours)
        lines.append(f"GPU-hours by stage: {each or 'none is known'}")
    if unneeded := unneeded_if_equal(jobs):
        lines.append(
            f"{len(unneeded)} of them ({_about(unneeded, timings)}) only follow a selection: they "
            "are left out if it picks the same ids again and nothing else changed for them"
        )
    unknown = (job for job in jobs if timings.estimate(job) is None and id(job) not in costs)
    if untimed := sorted({job.rule for job in unknown}):
        lines.append(f"never timed here, so not in the sum: {', '.join(untimed)}")
    return "\n".join([*lines, *_needs(jobs, needs, costs)]) + "\n"


def _about(jobs: Sequence[Job], timings: Timings) -> str:
    known = [seconds for job in jobs if (seconds := timings.estimate(job)) is not None]
    if not known:
        return "?"
    seconds = sum(known)
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def _trainings(
    jobs: Sequence[Job], study: Study, folder: Path
) -> tuple[dict[str, Need | str], dict[int, Cost]]:
    """Return what each student needs (or why that is not known), and id of a job -> its cost."""
    needs: dict[str, Need | str] = {}
    costs = {}
    for job in jobs:
        if job.rule != "train" or not job.gpus:
            continue
        student = job.wildcards["student"]
        if student not in needs:
            try:
                needs[student] = need(study, student, folder, gpu_type(job.resources))
            except ValueError as error:
                needs[student] = str(error)
        needed = needs[student]
        if isinstance(needed, Need) and (found := cost(study, job.wildcards, folder, needed)):
            costs[id(job)] = found
    return needs, costs


def _gpu_hours(
    jobs: Sequence[Job], timings: Timings, costs: Mapping[int, Cost]
) -> dict[str, float]:
    """Return GPU-hours by stage: as the same job took, else as forecast, else as its rule took."""
    hours: dict[str, float] = {}
    for job in jobs:
        if not job.gpus:
            continue
        seconds = job.gpus * (timings.estimate(job) or 0.0)
        if id(job) in costs and not timings.has(job):
            seconds = costs[id(job)].gpu_seconds
        stage = STAGES[job.rule]
        hours[stage] = hours.get(stage, 0.0) + seconds / 3600
    return hours


def _needs(
    jobs: Sequence[Job], needs: Mapping[str, Need | str], costs: Mapping[int, Cost]
) -> list[str]:
    """Return the part of the plan on the trainings' GPUs, two or more lines a student."""
    lines = []
    for student, needed in needs.items():
        if isinstance(needed, str):
            lines.append(f"{student}: {needed}")
            continue
        words = {True: "fits", False: "DOES NOT FIT", None: "profile names no known gpu_type"}
        lines.append(f"{student}: {words[needed.fits]}: {needed.text}")
        if needed.fits is False:
            lines.append(f"  {needed.todo}")
        mine = (job for job in jobs if job.wildcards.get("student") == student)
        same = Counter(costs[id(job)] for job in mine if id(job) in costs)
        for each, count in sorted(same.items(), key=lambda pair: pair[0].tokens):
            how = "as measured" if each.is_measured else f"at {MFU:.0%} of the peak, not measured"
            runs = f"{count} run{'s' if count > 1 else ''}"
            lines.append(
                f"  {runs} of {each.tokens / 1e6:,.1f} million tokens: "
                f"{each.gpu_seconds / 3600:,.1f} GPU-hours each, {how}"
            )
    return ["", *lines] if lines else []


def _names(jobs: Sequence[Job]) -> str:
    """Return which entries of the catalogue a group of jobs is about."""
    values: dict[str, list[str]] = defaultdict(list)
    for job in jobs:
        for name, value in job.wildcards.items():
            implied = name in _IMPLIED and "subset" in job.wildcards
            if name not in _NOT_SHOWN and not implied and value not in values[name]:
                values[name].append(value)
    shown = []
    for name, found in values.items():
        more = f" and {len(found) - _NUM_NAMES} more" if len(found) > _NUM_NAMES else ""
        ordered = sorted(found, key=lambda value: (len(value) if value.isdigit() else 0, value))
        shown.append(f"{name} {' '.join(ordered[:_NUM_NAMES])}{more}")
    return ", ".join(shown)


if __name__ == "__main__":
    sys.exit(main())
