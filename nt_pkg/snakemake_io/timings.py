"""What jobs took, from Snakemake's benchmark files `timings/<rule>/**.jsonl`."""

import json
import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

from nt_pkg.files.json_files import read_json
from nt_pkg.files.layout import shard_of
from nt_pkg.snakemake_io.dry_run import Job
from nt_pkg.snakemake_io.rule_graph import NAME
from nt_pkg.snakemake_io.stages import STAGES

# Parts of a timing's path that are not names in the catalogue.
_NOT_A_NAME = re.compile(
    r"seed\d+|\d+-of-\d+|(think|no_think|adaptive)(\.\d+-of-\d+)?|pools|teachers|annotators|students|benchmarks"
)


class Timings:
    """How long jobs took before."""

    def __init__(self, root: Path) -> None:
        """Read all of them."""
        self._folder = root.parent  # paths of jobs are relative to it
        self._by_path = {
            path: seconds
            for path in sorted(root.glob("*/**/*.jsonl"))
            if path.is_file() and (seconds := _seconds(path)) is not None
        }
        by_rule = defaultdict(list)
        for path, seconds in self._by_path.items():
            by_rule[path.relative_to(root).parts[0]].append(seconds)
        self._by_rule = {rule: statistics.fmean(values) for rule, values in by_rule.items()}

    def same(self, job: Job) -> float | None:
        """Return the seconds that the same job took last."""
        return self._by_path.get(self._folder / job.timing) if job.timing else None

    def shards(self, job: Job) -> float | None:
        """Return the mean seconds of the other shards of the same work."""
        if job.timing is None or shard_of(job.timing.stem)[1] == 1:
            return None
        place, of = self._folder / job.timing, re.compile(r"\d+-of-")
        mine = place.parent, of.sub("-of-", place.name)
        found = [
            seconds
            for path, seconds in self._by_path.items()
            if (path.parent, of.sub("-of-", path.name)) == mine
        ]
        return statistics.fmean(found) if found else None

    def estimate(self, job: Job) -> float | None:
        """Return the seconds that the job took last, else the mean of its rule, else None."""
        same = self.same(job)
        return self._by_rule.get(job.rule) if same is None else same


def _seconds(path: Path) -> float | None:
    """Return the seconds of a timing, None if a kill left it without any."""
    try:
        return float(json.loads(path.read_text().splitlines()[-1])["s"])
    except (ValueError, IndexError, KeyError, TypeError):
        return None


def seconds_per_stage(timings: Path, names: Set[str]) -> dict[str, float]:
    """Return the seconds that the jobs of each stage took, from Snakemake's benchmark files.

    Args:
        timings: folder of all rules, or of one.
        names: names of a study's catalogue entries; files of other studies' jobs do not count.
    """
    totals = dict.fromkeys(STAGES.values(), 0.0)
    for rule, seconds in _jobs(timings, names):
        totals[STAGES[rule]] += seconds
    return {stage: round(seconds, 1) for stage, seconds in totals.items()}


def mean_seconds(timings: Path, names: Set[str]) -> dict[str, float]:
    """Return the mean seconds of a job of each rule that ran before.

    Args:
        timings: folder of all rules.
        names: as for `seconds_per_stage`: a student of another study may be a thousand times as
            large.
    """
    found: dict[str, list[float]] = defaultdict(list)
    for rule, seconds in _jobs(timings, names):
        found[rule].append(seconds)
    return {rule: statistics.fmean(each) for rule, each in found.items()}


def rules_as_run(timings: Path, names: Set[str]) -> list[dict[str, Any]]:
    """Return rule, stage, num_jobs, seconds and reads of every rule that ran for a study.

    Args:
        timings: folder of all rules.
        names: as for `seconds_per_stage`. The report counts as one job, which is running.
    """
    jobs: Counter[str] = Counter()
    seconds: dict[str, float] = defaultdict(float)
    for rule, each in _jobs(timings, names):
        jobs[rule] += 1
        seconds[rule] += each
    if not jobs:
        return []
    jobs["build_report"] = 1
    graph = read_json(timings / NAME) if (timings / NAME).exists() else {}
    return [
        {
            "rule": rule,
            "stage": stage,
            "num_jobs": jobs[rule],
            "seconds": None if rule == "build_report" else round(seconds[rule], 1),
            "reads": [read for read in graph.get(rule, ()) if read in jobs],
        }
        for rule, stage in STAGES.items()
        if rule in jobs
    ]


def _jobs(timings: Path, names: Set[str]) -> Iterator[tuple[str, float]]:
    """Yield rule and seconds of each job, from its benchmark file."""
    for path in sorted(timings.rglob("*.jsonl")):
        parts = path.with_suffix("").parts
        at = next((at for at, part in enumerate(parts) if part in STAGES), None)
        if at is None:  # a rule outside the study, such as the one that trains the base student
            continue
        is_ours = all(part in names or _NOT_A_NAME.fullmatch(part) for part in parts[at + 1 :])
        if is_ours and (spent := _seconds(path)) is not None:
            yield parts[at], spent
