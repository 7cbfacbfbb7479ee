"""What a study's jobs ask Slurm for, from a dry run or, without one, from the profile alone."""

import re
import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from nt_pkg.preflight import parse
from nt_pkg.preflight.facts import Request
from nt_pkg.preflight.profile import Profile, evaluate
from nt_pkg.snakemake_io.dry_run import Job

_NUMBERS = (
    "nodes",
    "mem_mb",
    "mem_mb_per_cpu",
    "tasks",
    "tasks_per_node",
    "tasks_per_gpu",
    "cpus_per_gpu",
    "runtime",
)
_ABSENT = (None, "", "None")
_GPU_NAMES = ("gpu", "gpus", "nvidia_gpu")
_SCALED = ("mem_mb", "mem_mb_per_cpu", "runtime")


def local_rules(texts: Iterable[str]) -> frozenset[str]:
    """Return the rules that Snakemake runs where it was started, from the text of the rules."""
    blocks = (re.findall(r"^localrules:\s*\n((?:[ \t]+.*\n?)+)", text, re.M) for text in texts)
    return frozenset(
        name for found in blocks for block in found for name in re.findall(r"\w+", block)
    )


def own_resources(texts: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return rule -> resource -> what the rule says of it, from the text of the rules."""
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
    jobs: Sequence[Job], local: frozenset[str], own: Mapping[str, Mapping[str, str]] | None = None
) -> list[Request]:
    """Return the different requests of a dry run's jobs, each with the number of its jobs.

    Args:
        jobs: of the dry run.
        local: rules whose jobs Slurm does not see.
        own: what rules say of their resources.
    """
    groups: dict[Request, list[Job]] = defaultdict(list)
    for job in jobs:
        if job.rule not in local and job.outputs:
            groups[from_resources(job.rule, job.resources, job.threads)].append(job)
    return [
        replace(
            request,
            num_jobs=len(group),
            own=(own or {}).get(request.rule, {}),
            owners=frozenset(owner for job in group for owner in _owner(job)),
        )
        for request, group in groups.items()
    ]


def from_profile(profile: Profile, rules: Iterable[str]) -> list[Request]:
    """Return what the profile alone says of each rule; what rules say themselves is not known."""
    found = []
    for rule in rules:
        names = {
            **(profile.get("default-resources") or {}),
            **(profile.get("set-resources", rule) or {}),
        }
        threads = evaluate(profile.get("set-threads", rule) or 1)
        found.append(from_resources(rule, names, int(threads or 1)))
    return found


def last_attempts(requests: Sequence[Request], profile: Profile) -> list[Request]:
    """Return what jobs ask for at their last retry, where it is scaled by `attempt`."""
    attempt = int(evaluate(profile.get("retries") or 0) or 0) + 1
    found = []
    for request in requests:
        scaled = {
            name: amount
            for name in _SCALED
            if (amount := _at_attempt(request, name, profile, attempt)) is not None
        }
        if scaled and attempt > 1:
            found.append(replace(request, attempt=attempt, **scaled))  # type: ignore[arg-type]
    return found


def _at_attempt(request: Request, name: str, profile: Profile, attempt: int) -> int | None:
    """Return a resource at a later attempt; None if it stays or cannot be told."""
    now = getattr(request, name)
    in_profile = profile.resource(request.rule, name)
    is_overridden = profile.get("set-resources", request.rule, name) is not None
    if not is_overridden and name in request.own:
        is_product = re.search(r"attempt \*|\* attempt|^(memory|minutes)\(", request.own[name])
        return now * attempt if is_product and now else None
    if "attempt" in str(in_profile) and evaluate(in_profile) == now:
        amount = evaluate(in_profile, attempt)
        return None if amount is None else int(amount)
    return None


def from_resources(rule: str, resources: Mapping[str, Any], threads: int) -> Request:
    """Return the request that the executor plugin makes of a job's resources."""
    known: dict[str, Any] = {}
    not_checked = []
    for name in _NUMBERS:
        if (value := resources.get(name)) not in _ABSENT:
            amount = evaluate(value)
            if amount is None:
                not_checked.append(name)
            else:
                known[name] = int(amount)
    gpus = 0
    for name in _GPU_NAMES:
        if (value := resources.get(name)) not in _ABSENT:
            amount = evaluate(value)
            gpus = max(gpus, int(amount or 0))
            not_checked += [name] if amount is None else []
    cpus = evaluate(resources.get("cpus_per_task", threads))
    extra = str(resources.get("slurm_extra") or "").strip("'\"")
    model, per_node = _text(resources, "gpu_model"), None
    gres = _text(resources, "gres")
    texts = [gres or "", *re.findall(r"--gres[= ](\S+)", extra)]
    texts += [f"gpu:{text}" for text in re.findall(r"--gpus-per-node[= ](\S+)", extra)]
    for each in parse.gpus(",".join(texts)):
        model, per_node = each.model or model, each.count
    if model and not gpus and per_node is None:
        gpus = 1  # the plugin's default
    return Request(
        rule=rule,
        partition=_text(resources, "slurm_partition"),
        account=_text(resources, "slurm_account"),
        qos=_text(resources, "qos"),
        constraint=_text(resources, "constraint"),
        gpus=gpus,
        gpu_model=model if gpus or per_node else None,
        gpus_per_node=per_node,
        gres=gres,
        cpus_per_task=int(cpus) if cpus is not None else threads,
        is_mpi=str(resources.get("mpi") or "") not in ("", "False", "None"),
        extra=extra,
        not_checked=tuple(not_checked),
        **known,
    )


def sbatch_arguments(request: Request, profile: Profile) -> list[str]:
    """Return the part of the plugin's `sbatch` call that decides whether the job can run."""
    found = []
    settings = {name: profile.get(f"slurm-{name}") for name in ("qos", "reservation")}
    gpu_job = bool(request.gpus) or "gpu" in (request.gres or "")
    per_gpu = request.tasks_per_gpu if request.tasks_per_gpu is not None else request.tasks
    pairs: list[tuple[str, Any]] = [
        ("--account", request.account),
        ("--partition", request.partition),
        ("--time", request.runtime),
        ("--constraint", request.constraint),
        ("--qos", settings["qos"] or request.qos),
        ("--reservation", settings["reservation"]),
        ("--mem-per-cpu", request.mem_mb_per_cpu),
        ("--mem", None if request.mem_mb_per_cpu else request.mem_mb),
        ("--nodes", request.nodes),
        ("--gres", request.gres),
        ("--gpus", _joined(request.gpu_model, request.gpus) if request.gpus else None),
        ("--ntasks-per-gpu", per_gpu if gpu_job else None),
        ("--ntasks", None if gpu_job or request.is_mpi else request.tasks or 1),
        ("--ntasks-per-node", request.tasks_per_node if request.is_mpi else None),
        ("--ntasks", request.tasks if request.is_mpi else None),
        ("--cpus-per-gpu", request.cpus_per_gpu if gpu_job else None),
    ]
    if not (gpu_job and request.cpus_per_gpu) and request.cpus_per_task > 0:
        pairs.append(("--cpus-per-task", request.cpus_per_task))
    found += [f"{name}={value}" for name, value in pairs if value]
    try:
        return found + shlex.split(request.extra)
    except ValueError:  # a quote that is not closed; Slurm will say so
        return found + request.extra.split()


def _joined(model: str | None, count: int) -> str:
    return f"{model}:{count}" if model else str(count)


def _text(resources: Mapping[str, Any], name: str) -> str | None:
    value = resources.get(name)
    text = str(value).strip("'\"") if value is not None else ""
    return text if text not in ("", "None", "<TBD>") else None


def _owner(job: Job) -> list[str]:
    """Return the entry of the configuration whose `runtime` says what a job runs on."""
    kinds = [kind for kind in ("student", "annotator", "teacher") if kind in job.wildcards]
    return [f"{kinds[0]}s.{job.wildcards[kinds[0]]}"] if kinds else []
