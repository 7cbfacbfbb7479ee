"""Say what a study would run, why, and what it would cost, before anything runs.

    python -m scripts.plan                                   # the demo
    python -m scripts.plan --configfile config/real_rows.yaml
    python -m scripts.plan sft                               # one stage
    python -m scripts.plan --profile profiles/slurm          # on a cluster, with GPU-hours

Everything behind the program's name goes to Snakemake's dry run.
"""

import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from nt_pkg.dry_run import Job, Timings, by_output, explain, parse_jobs, unneeded_if_equal
from nt_pkg.launcher import STAGES

ROOT = Path(__file__).resolve().parent.parent
LOCAL = ROOT / "profiles" / "local"
_NUM_NAMES = 4  # names of one kind in a line
_NOT_SHOWN = ("num_shards", "kind")
_IMPLIED = ("pool", "teacher")  # by a subset


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = [sys.executable, "-m", "snakemake", *arguments, "-n", "-s", str(ROOT / "Snakefile")]
    profiles = _profiles(arguments)
    if not profiles:
        command += ["--profile", str(LOCAL)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.stdout.write(done.stdout)
        return done.returncode
    jobs = [job for job in parse_jobs(done.stdout) if job.rule in STAGES]
    if not jobs and "Nothing to be done" not in done.stdout:
        sys.stdout.write(done.stdout)  # another command than a plan, such as --lint
        return 0
    # Jobs on this machine hold none of the GPUs that they would ask a cluster for.
    is_cluster = any(Path(each).resolve() != LOCAL for each in profiles)
    sys.stdout.write(render(jobs, Timings(Path("timings")), is_cluster))
    return 0


def _profiles(arguments: Sequence[str]) -> list[str]:
    """Return the profiles that are named among Snakemake's arguments."""
    found = []
    for at, each in enumerate(arguments):
        name, equals, value = each.partition("=")
        if name in ("--profile", "--workflow-profile"):
            found.append(value if equals else " ".join(arguments[at + 1 : at + 2]))
    return found


def render(jobs: Sequence[Job], timings: Timings, is_cluster: bool = False) -> str:
    """Return the plan as text, with GPU-hours if the jobs run on a cluster."""
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
    gpu_hours = _gpu_hours(jobs, timings) if is_cluster else ""
    lines += ["", f"{len(jobs)} jobs, {_about(jobs, timings)} one after the other{gpu_hours}"]
    if unneeded := unneeded_if_equal(jobs):
        lines.append(
            f"{len(unneeded)} of them ({_about(unneeded, timings)}) only follow a selection: they "
            "are left out if it picks the same ids again and nothing else changed for them"
        )
    if untimed := sorted({job.rule for job in jobs if timings.estimate(job) is None}):
        lines.append(f"never timed here, so not in the sum: {', '.join(untimed)}")
    return "\n".join(lines) + "\n"


def _about(jobs: Sequence[Job], timings: Timings) -> str:
    known = [seconds for job in jobs if (seconds := timings.estimate(job)) is not None]
    if not known:
        return "?"
    seconds = sum(known)
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def _gpu_hours(jobs: Sequence[Job], timings: Timings) -> str:
    seconds = sum(job.gpus * (timings.estimate(job) or 0.0) for job in jobs)
    return f", {seconds / 3600:.2f} GPU-hours" if any(job.gpus for job in jobs) else ""


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
