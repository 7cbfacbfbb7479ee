"""Show what a study would run, why, and what it would cost, before anything runs.

    python -m scripts.plan                                   # the demo, as profiles/local has it
    python -m scripts.plan --configfile config/real_rows.yaml
    python -m scripts.plan sft                               # one stage
    python -m scripts.plan --profile profiles/slurm          # on a cluster, with GPU-hours

All arguments go to Snakemake's dry run; put targets first. With a
cluster's profile it also shows how many GPU-hours each stage and model would take, and whether each
student's training fits on the GPUs it asks for. It ends with the differences that the comparisons
of the study can see.
"""

import os
import re
import shutil
import sys
import textwrap
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from nt_pkg.config.load import read_study
from nt_pkg.config.study import Study
from nt_pkg.cost import disk
from nt_pkg.cost.gpu_hours import ASSUMED_GPU, Forecasts, hours_text
from nt_pkg.cost.ranges import Ranges
from nt_pkg.files.foreign_text import say
from nt_pkg.jobs.command import run_command
from nt_pkg.plan.power import foresee, say_prospects
from nt_pkg.plan.reasons import by_output, explain, unneeded_if_equal
from nt_pkg.plan.validate import load_study
from nt_pkg.snakemake_io.arguments import read_command_line
from nt_pkg.snakemake_io.dry_run import Job, dry_run
from nt_pkg.snakemake_io.stages import STAGES
from nt_pkg.snakemake_io.timings import Timings

ROOT = Path(__file__).resolve().parent.parent
LOCAL = ROOT / "profiles" / "local"
_NUM_NAMES = 3  # names of one kind in a line; more are only counted
_NOT_SHOWN = ("num_shards", "kind", "part")
_IMPLIED = ("pool", "teacher")  # by a subset


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = ["-s", str(ROOT / "Snakefile")]
    if not any(each.startswith(("--profile", "--workflow-profile")) for each in arguments):
        options += ["--profile", str(LOCAL)]
    options += arguments  # last, because targets may stand behind `--`
    try:
        given = read_command_line(options)
        study = load_study(read_study(given.configfiles, given.overrides))
    except ValueError as error:
        sys.exit(f"error: {error}")
    done = dry_run(options, os.environ)
    if done.status or not done.is_plan:  # or the command is not a plan, such as --lint
        say(done.said.rstrip())
        return done.status
    jobs = [job for job in done.jobs if job.rule in STAGES]
    # Jobs on this machine do not use the GPUs that they would request from a cluster.
    is_cluster = any(each.resolve() != LOCAL for each in given.profiles)
    notes = "".join(f"{note}\n" for note in done.notes)
    timings = Timings(given.folder / "timings")
    text = notes + render(jobs, timings, study if is_cluster else None, given.folder)
    if any(STAGES[job.rule] in ("sft", "evals") for job in jobs):
        forecasts = Forecasts(jobs if is_cluster else [], study, timings, given.folder)
        seen = say_prospects(foresee(study, given.folder), forecasts.hours_of_a_seed())
        text += "".join(f"{line}\n" for line in ["", *seen] if seen)
    width = shutil.get_terminal_size().columns
    say((wrapped(text, width) if sys.stdout.isatty() else text).rstrip())
    return 0


def wrapped(text: str, width: int) -> str:
    """Return a plan with its lines wrapped at a width, indented to the column of reasons."""
    lines = []
    for line in text.splitlines():
        row = re.match(r"\w+ +\w+ +\d+ +(\S+ \w+|\?)  ", line)
        indent = " " * (row.end() if row else 4)
        lines += textwrap.wrap(
            line, width, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
        ) or [""]
    return "\n".join(lines) + "\n"


def render(
    jobs: Sequence[Job], timings: Timings, study: Study | None = None, folder: Path = Path()
) -> str:
    """Return the plan as text.

    Args:
        jobs: the jobs that would run.
        timings: how long jobs took before.
        study: the checked study if jobs run on a cluster, to estimate their use of GPUs.
        folder: folder of results and assets.
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
    lines += ["", *_sums(jobs, timings)]
    if study:
        forecasts = Forecasts(jobs, study, timings, folder)
        if hours := forecasts.hours(forecasts.jobs):
            lines[-1] += f", {hours_text(hours)} GPU-hours"
        if table := forecasts.table():
            lines += ["", *table, *forecasts.notes()]
        if ranges := Ranges(jobs, study, forecasts, folder).lines():
            lines += ["", *ranges]
        if table := disk.lines(disk.needed(jobs, study, folder), disk.free_at(folder)):
            lines += ["", *table]
        lines += _needs(jobs, forecasts)
    return "\n".join(lines) + "\n"


def _sums(jobs: Sequence[Job], timings: Timings) -> list[str]:
    """Return the total time of the jobs, one after the other; the last line has all of them."""
    lines = []
    if unneeded := unneeded_if_equal(jobs):
        lines.append(
            f"{len(unneeded)} jobs ({_about(unneeded, timings)}) only follow a selection: they are "
            "left out if it picks the same ids again and nothing else changed for them"
        )
    untimed = sorted({job.rule for job in jobs if timings.estimate(job) is None})
    if untimed and len(untimed) < len({job.rule for job in jobs}):
        lines.append(f"never timed here, so not in the sum: {', '.join(untimed)}")
    known = _about(jobs, timings)
    total = "none of them timed here yet" if known == "?" else f"{known} one after the other"
    return [*lines, f"{len(jobs)} job{'s' if len(jobs) > 1 else ''}, {total}"]


def _about(jobs: Sequence[Job], timings: Timings) -> str:
    known = [seconds for job in jobs if (seconds := timings.estimate(job)) is not None]
    if not known:
        return "?"
    seconds = sum(known)
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def _needs(jobs: Sequence[Job], forecasts: Forecasts) -> list[str]:
    """Return the part of the plan on the trainings' GPUs, two or more lines per student."""
    lines = [""] if forecasts.needs else []
    condition = f" if its GPUs are {ASSUMED_GPU.upper()}" if forecasts.is_assumed else ""
    for student, needed in forecasts.needs.items():
        if isinstance(needed, str):
            lines.append(f"{student}: {needed}")
            continue
        words = {True: "fits", False: "DOES NOT FIT", None: "the memory of its GPUs is not known"}
        lines.append(f"{student}: {words[needed.fits]}{condition}: {needed.text}")
        if needed.fits is False:
            lines.append(f"  {needed.todo}")
        mine = (job for job in jobs if job.rule == "train" and job.wildcards["student"] == student)
        costs = Counter(found for job in mine if job.gpus and (found := forecasts.of(job).cost))
        for each, count in sorted(costs.items(), key=lambda pair: pair[0].tokens):
            runs = f"{count} run{'s' if count > 1 else ''}"
            hours = hours_text(each.gpu_seconds / 3600)
            wait = ""
            if each.balance:
                wait = f", {100 * (1 - each.balance):.0f} % of it waiting for the slowest rank"
            lines.append(
                f"  {runs} of {each.tokens / 1e6:,.1f} million tokens: {hours} GPU-hours each{wait}"
            )
    return lines


def _names(jobs: Sequence[Job]) -> str:
    """Return the entries of the catalogue that a group of jobs belongs to."""
    values: dict[str, list[str]] = defaultdict(list)
    for job in jobs:
        for name, value in job.wildcards.items():
            implied = name in _IMPLIED and "subset" in job.wildcards
            if name not in _NOT_SHOWN and not implied and value not in values[name]:
                values[name].append(value)
    parts = []
    for name, found in values.items():
        ordered = sorted(found, key=lambda value: (len(value) if value.isdigit() else 0, value))
        is_short = len(found) <= _NUM_NAMES
        parts.append(f"{name} {' '.join(ordered)}" if is_short else f"{len(found)} {name}s")
    return ", ".join(parts)


if __name__ == "__main__":
    sys.exit(run_command(main))
