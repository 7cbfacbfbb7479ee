"""What a study's jobs request from Slurm, from a dry run."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from nt_pkg.preflight.facts import SlurmRequest
from nt_pkg.preflight.profile import Profile
from nt_pkg.snakemake_io.dry_run import Job

# Resources that the executor plugin passes to Slurm.
_OF_SLURM = re.compile(
    "slurm_(account|partition|extra|cluster)|clusters?|qos|constraint|runtime|nodes|gres|mpi|"
    "mem_mb(_per_cpu)?|gpu(_model)?|tasks(_per_node|_per_gpu)?|cpus_per_(task|gpu)"
)
_ABSENT = ("", "None", "<TBD>")
# Resources that rules and profiles multiply by `attempt`, and the profile's maximum of each.
_GROWING = {"mem_mb": "most_mem_mb", "mem_mb_per_cpu": "", "runtime": "most_minutes"}


def local_rules(texts: Iterable[str]) -> frozenset[str]:
    """Return the rules that Snakemake runs on its own node, from the text of the rules."""
    blocks = (re.findall(r"^localrules:\s*\n((?:[ \t]+.*\n?)+)", text, re.M) for text in texts)
    return frozenset(
        name for found in blocks for block in found for name in re.findall(r"\w+", block)
    )


def own_resources(texts: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return rule -> resource -> its expression in the rule, from the text of the rules."""
    found: dict[str, dict[str, str]] = {}
    for text in texts:
        blocks = re.findall(r"^(?:rule|checkpoint) (\w+):\n((?:[ \t]+.*\n|\n)+)", text, re.M)
        for rule, body in blocks:
            section = re.search(r"^    resources:\n((?:        .*\n)+)", body, re.M)
            lines = section[1] if section else ""
            found[rule] = dict(re.findall(r"^        (\w+)=(.*?),?$", lines, re.M))
            if "**placed(" in lines:  # rules/common.smk
                found[rule] |= {"nodes": "runtime.nodes", "gpu": "runtime.gpu"}
    return found


def from_jobs(
    jobs: Sequence[Job], local: frozenset[str], own: Mapping[str, Mapping[str, str]]
) -> list[SlurmRequest]:
    """Return the different requests of a dry run's jobs, each with the number of its jobs.

    Args:
        jobs: the jobs of the dry run.
        local: rules whose jobs Slurm does not see.
        own: the resources that rules set, as written.
    """
    groups: dict[SlurmRequest, list[Job]] = defaultdict(list)
    for job in jobs:
        if job.rule not in local and job.outputs:
            asked = _of_slurm(job.resources)
            groups[SlurmRequest(job.rule, asked, job.threads, job.gpus)].append(job)
    return [
        replace(
            request,
            num_jobs=len(group),
            own=own.get(request.rule, {}),
            owners=frozenset(owner for job in group for owner in _owner(job)),
        )
        for request, group in groups.items()
    ]


def last_attempts(requests: Sequence[SlurmRequest], profile: Profile) -> list[SlurmRequest]:
    """Return the requests of jobs at their last retry, if they grow with `attempt`."""
    attempt = int(profile.get("retries") or 0) + 1
    found = []
    for request in requests:
        more = {}
        for name, most in _GROWING.items():
            now = request.number(name)
            if now and _grows(request, name, profile):
                cap = str(profile.get("default-resources", most) or "")
                more[name] = str(min(now * attempt, int(cap)) if cap.isdecimal() else now * attempt)
        asked = _of_slurm({**dict(request.resources), **more})
        if attempt > 1 and asked != request.resources:
            found.append(replace(request, resources=asked, attempt=attempt))
    return found


def _grows(request: SlurmRequest, name: str, profile: Profile) -> bool:
    """Return whether a resource is multiplied by `attempt`, in the profile or in the rule."""
    text = profile.get("set-resources", request.rule, name)
    if text is None:
        text = request.own.get(name, profile.get("default-resources", name))
    return bool(re.search(r"attempt \*|\* attempt|^(memory|minutes)\(", str(text)))


def _of_slurm(resources: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    cleaned = ((name, str(value).strip("'\"")) for name, value in resources.items())
    return tuple(
        sorted(
            (name, value)
            for name, value in cleaned
            if _OF_SLURM.fullmatch(name) and value not in _ABSENT
        )
    )


def _owner(job: Job) -> list[str]:
    """Return the entry of the configuration whose `runtime` sets the resources of a job."""
    kinds = [kind for kind in ("student", "annotator", "teacher") if kind in job.wildcards]
    return [f"{kinds[0]}s.{job.wildcards[kinds[0]]}"] if kinds else []
