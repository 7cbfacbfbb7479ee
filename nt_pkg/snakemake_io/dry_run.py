"""What a dry run of Snakemake says: which jobs would run, why, and what they took before."""

import json
import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nt_pkg.plan.spec_diff import describe_differences

_BY_JOB = "Input files updated by another job"
# Snakemake's reasons that carry no detail worth showing, in plain words.
_PLAIN = {
    "Missing output files": "no output yet",
    "Incomplete output files": "was cut off",
    "Updated input files": "input edited or made anew",
    "Set of input files has changed since last execution": "other set of inputs",
    "Code has changed since last execution": "command of the rule edited",
    "Software environment definition has changed since last execution": "environment edited",
    "Forced execution": "forced",
}
_SPEC_CHANGED = "Params have changed since last execution"


@dataclass(frozen=True)
class Job:
    """One job of a dry run or of a run's log; `reason` is Snakemake's own text.

    `gpus` counts those of all its nodes.
    """

    rule: str
    is_checkpoint: bool
    wildcards: dict[str, str]
    outputs: tuple[str, ...]
    timing: Path | None
    gpus: int
    reason: str
    threads: int = 1
    resources: dict[str, str] = field(default_factory=dict)


def parse_jobs(text: str) -> list[Job]:
    """Return the jobs that Snakemake's output lists, targets included, in its order."""
    jobs = []
    # Jobs of a group are indented.
    block = r"^( *)(?:local)?(rule|checkpoint) (\w+):\n((?:\1    .*\n)*)"
    for _, kind, rule, body in re.findall(block, text, re.M):
        fields = dict(re.findall(r"^ +(\w+): (.*)$", body, re.M))
        jobs.append(
            Job(
                rule=rule,
                is_checkpoint=kind == "checkpoint",
                wildcards=dict(re.findall(r"(\w+)=([^,]*)(?:, |$)", fields.get("wildcards", ""))),
                outputs=_paths(fields.get("output", "")),
                timing=Path(fields["benchmark"]) if "benchmark" in fields else None,
                gpus=_num_gpus(fields.get("resources", "")),
                reason=fields.get("reason", "").strip(),
                threads=int(fields.get("threads", "1")),
                resources=_resources(fields.get("resources", "")),
            )
        )
    return jobs


def _num_gpus(resources: str) -> int:
    """Return the GPUs of a job: `gpu` is their number, `gres` their number per node."""
    found = dict(re.findall(r"(?:^|, )(gpu|nodes|gres)=(?:gpu:(?:\w+:)?)?(\d+)(?=,|$)", resources))
    if "gres" in found:
        return int(found["gres"]) * int(found.get("nodes", 1))
    return int(found.get("gpu", 0))


def gpu_type(resources: Mapping[str, str]) -> str | None:
    """Return the type of a job's GPUs, if it asks for one: `gpu_model`, or within `gres`."""
    in_gres = re.fullmatch(r"gpu:(.+):\d+", resources.get("gres", ""))
    return resources.get("gpu_model") or (in_gres[1] if in_gres else None)


def explain(job: Job, producers: dict[str, Job]) -> list[str]:
    """Return why a job would run, in plain words.

    Args:
        job: the job.
        producers: output path -> job, of the whole dry run.
    """
    causes = []
    for part in _parts(job.reason):
        name, _, detail = part.partition(": ")
        if name == _SPEC_CHANGED:
            causes.extend(_spec_changes(detail))
        elif name == _BY_JOB:
            rules = {producers[path].rule for path in _paths(detail) if path in producers}
            causes.append("follows " + ", ".join(sorted(rules)))
        else:
            causes.append(_PLAIN.get(name, name))
    # What is missing is made anyway; that its inputs are new as well says nothing more.
    return causes[:1] if causes[:1] == [_PLAIN["Missing output files"]] else causes


def unneeded_if_equal(jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs that are left out if every checkpoint writes the bytes it wrote before.

    Snakemake looks at what follows again when a checkpoint has run. Its first output holds the
    result, the others say how it was made and change with its spec.
    """
    producers = by_output(jobs)
    found: dict[int, Job] = {}
    while True:
        new = {
            id(job): job
            for job in jobs
            if id(job) not in found and _only_through_checkpoints(job, producers, found)
        }
        if not new:
            return [job for job in jobs if id(job) in found]
        found.update(new)


def by_output(jobs: Iterable[Job]) -> dict[str, Job]:
    """Return output path -> the job that writes it."""
    return {path: job for job in jobs for path in job.outputs}


class Timings:
    """What jobs took before, from Snakemake's benchmark files `timings/<rule>/**.jsonl`."""

    def __init__(self, root: Path) -> None:
        """Read all of them."""
        self._folder = root.parent  # that paths of jobs begin at
        self._by_path = {
            path: _seconds(path) for path in sorted(root.glob("*/**/*.jsonl")) if path.is_file()
        }
        by_rule = defaultdict(list)
        for path, seconds in self._by_path.items():
            by_rule[path.relative_to(root).parts[0]].append(seconds)
        self._by_rule = {rule: statistics.fmean(values) for rule, values in by_rule.items()}

    def same(self, job: Job) -> float | None:
        """Return the seconds the same job took last."""
        return self._by_path.get(self._folder / job.timing) if job.timing else None

    def shards(self, job: Job) -> float | None:
        """Return the mean of what other shards of the same took."""
        if job.timing is None or "shard" not in job.wildcards:
            return None
        place = (self._folder / job.timing).parent
        found = [seconds for path, seconds in self._by_path.items() if path.parent == place]
        return statistics.fmean(found) if found else None

    def estimate(self, job: Job) -> float | None:
        """Return the seconds the same job took last, else the mean of its rule, else None."""
        same = self.same(job)
        return self._by_rule.get(job.rule) if same is None else same


def _seconds(path: Path) -> float:
    return float(json.loads(path.read_text().splitlines()[-1])["s"])


def _only_through_checkpoints(
    job: Job, producers: dict[str, Job], unneeded: dict[int, Job]
) -> bool:
    name, _, detail = job.reason.partition(": ")
    if name != _BY_JOB or len(_parts(job.reason)) != 1 or job.is_checkpoint:
        return False
    for path in _paths(detail):
        producer = producers.get(path)
        if producer is None:
            return False
        may_stay = producer.is_checkpoint and path == producer.outputs[0]
        if not may_stay and id(producer) not in unneeded:
            return False
    return True


def _resources(text: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in re.split(r", (?=[A-Za-z_]\w*=)", text) if part)
    return {name: value for name, _, value in pairs}


def _paths(text: str) -> tuple[str, ...]:
    return tuple(path for path in text.split(", ") if path)


def _parts(reason: str) -> list[str]:
    starts = "|".join(map(re.escape, [*_PLAIN, _BY_JOB, _SPEC_CHANGED]))
    return [part for part in re.split(rf"(?:^|; )(?={starts})", reason.strip()) if part]


def _spec_changes(detail: str) -> list[str]:
    """Return `key: old -> new` for every key of a spec that changed."""
    before, _, now = detail.partition(" now: ")
    old, new = _specs(before), _specs(now)
    if len(old) != 1 or len(new) != 1:
        return ["spec changed"]
    return describe_differences(old[0], new[0])


def _specs(text: str) -> list[dict[str, Any]]:
    """Return the JSON objects among the quoted params of one side of a change."""
    found = []
    for quoted in re.findall(r"'((?:[^'\\]|\\.)*)'", text):
        try:
            value = json.loads(quoted.replace("\\'", "'").replace("\\\\", "\\"))
        except json.JSONDecodeError:
            continue  # a param that is no spec
        if isinstance(value, dict):
            found.append(value)
    return found
