"""Slurm's own answer to every different request, and which resource it is about.

`sbatch --test-only` submits nothing. Of a job that no node can take it says only that the
"configuration is not available"; asking again without each resource finds the one at fault.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

from nt_pkg.preflight.ask import execute
from nt_pkg.preflight.facts import Answer, Cluster, Finding, Level, Nodes, SlurmRequest
from nt_pkg.preflight.profile import Profile, shown, some
from nt_pkg.slurm.submit import submit_arguments

_CHECK = "sbatch --test-only"
_COMMAND = ("sbatch", "--test-only", "--wrap=true")
_MOST_ASKED, _MOST_EXPLAINED = 48, 12  # requests
# Errors that name their cause (texts of Slurm 22.05), and the resource behind it.
_ABOUT = (
    (r"invalid partition|partition name|partition not available|group not", "slurm_partition"),
    (r"invalid account", "slurm_account"),
    (r"invalid qos", "qos"),
    (r"invalid feature", "constraint"),
    (r"time limit|WallDuration", "runtime"),
    (r"memory required", "mem_mb"),
    (r"node count", "nodes"),
    (r"processors requested", "cpus_per_task"),
    (r"generic resource", "gres"),
    (r"unrecognized option|Invalid option", "slurm_extra"),
)
# Resource -> what is left out to test whether it is at fault.
_LEFT_OUT = {
    "gpu_model": ("gpu_model",),
    "gpu": ("gpu", "gpu_model", "gres", "tasks_per_gpu", "cpus_per_gpu"),
    "nodes": ("nodes",),
    "cpus_per_task": ("cpus_per_task", "cpus_per_gpu"),
    "mem_mb": ("mem_mb", "mem_mb_per_cpu"),
    "constraint": ("constraint",),
    "runtime": ("runtime",),
    "qos": ("qos",),
    "slurm_extra": ("slurm_extra",),
    "slurm_partition": ("slurm_partition",),
}
_AMOUNTS = ("gpu", "cpus_per_task", "mem_mb", "runtime")
_PASSING = r"busy|timed out|contact|no answer"


@dataclass(frozen=True)
class Asked:
    """Requests that are the same to Slurm, the command for them, and its answer."""

    requests: tuple[SlurmRequest, ...]
    command: tuple[str, ...]
    answer: Answer

    @property
    def request(self) -> SlurmRequest:
        """Return the first of them."""
        return self.requests[0]

    @property
    def why(self) -> str:
        """Return Slurm's error without the names of its programs."""
        lines = [line.strip() for line in self.answer.error.splitlines() if line.strip()]
        return "; ".join(
            re.sub(r"^(sbatch: )?(error: )?(allocation failure: )?", "", line) for line in lines[:3]
        )

    @property
    def num_cpus(self) -> int | None:
        """Return the CPUs that Slurm would give it."""
        found = re.search(r"using (\d+) processors", self.answer.error)
        return int(found[1]) if found else None


def ask_about(
    requests: Sequence[SlurmRequest], profile: Profile, pool: Executor
) -> tuple[list[Asked], list[Finding]]:
    """Return Slurm's answers, and the findings on requests that the plugin itself would refuse."""
    commands: dict[tuple[str, ...], list[SlurmRequest]] = defaultdict(list)
    found: dict[str, Finding] = {}
    for request in requests:
        try:
            commands[_command(request, profile)].append(request)
        except ValueError as error:
            todo = f"edit set-resources.{request.rule} in {shown(profile.path)}"
            text = f"{request.title}: the plugin: {error}"
            found.setdefault(str(error), Finding("FAIL", _CHECK, text, todo))
    chosen = list(commands.items())[:_MOST_ASKED]
    if left := len(commands) - len(chosen):
        found[""] = Finding("warn", _CHECK, f"{left} more requests were not checked")
    answers = list(pool.map(lambda each: execute(each[0]), chosen))
    return [
        Asked(tuple(alike), command, answer)
        for (command, alike), answer in zip(chosen, answers, strict=True)
    ], list(found.values())


def refusals(
    asked: Sequence[Asked], cluster: Cluster, profile: Profile, pool: Executor
) -> list[Finding]:
    """Judge Slurm's answers; a request of a later attempt gives at most a warning."""
    found, num_explained = [], 0
    good = [each for each in asked if each.answer.is_good and each.request.attempt == 1]
    if good:
        num_jobs = sum(request.num_jobs for each in good for request in each.requests)
        text = f"{len(good)} different requests of {num_jobs} jobs are accepted"
        found.append(Finding("ok", _CHECK, text))
    for each in asked:
        if each.answer.is_good:
            continue
        blamed = next((key for words, key in _ABOUT if re.search(words, each.why, re.I)), None)
        keys = [blamed] if blamed else []
        if not blamed and num_explained < _MOST_EXPLAINED:
            keys, num_explained = _blamed(each.request, profile, pool), num_explained + 1
        found.append(_refusal(each, keys, cluster, profile))
    return found


def _refusal(each: Asked, keys: Sequence[str], cluster: Cluster, profile: Profile) -> Finding:
    request, why = each.request, each.why or each.answer.why
    text = f"{request.title}: {why}"
    level: Level = "FAIL" if request.attempt == 1 else "warn"
    if each.answer.status is None or re.search(_PASSING, why, re.I):
        return Finding("warn", _CHECK, text, f"try it by hand: {' '.join(each.command)}")
    nodes = [n for n in cluster.nodes or () if n.partition in cluster.partitions_of(request)]
    if "configuration is not available" in why:
        if keys:
            asked = dict(request.resources)
            values = {
                "gpu": request.gpus,
                "gpu_model": request.gpu_model,
                "cpus_per_task": _num_cpus(request),
            }
            without = (f"without {key} {values.get(key) or asked.get(key)}" for key in keys)
            text += f"; it would be accepted {', or '.join(without)}"
        text += f"; partition {request.get('slurm_partition') or '(default)'} has "
        text += "; ".join(n.text for n in nodes) or "no nodes"
        if _may_come_back(request, keys, nodes):
            return Finding(
                "warn", _CHECK, text, "if these nodes would suffice, jobs wait until they come back"
            )
    edits = [
        f"{'lower' if key in _AMOUNTS else 'edit'} {_where(request, key, profile)}"
        f"{_choices(key, cluster)}"
        for key in keys
    ] or [f"edit set-resources.{request.rule} in {shown(profile.path)}"]
    return Finding(level, _CHECK, text, f"{', or '.join(edits)}; try: {' '.join(each.command)}")


def _may_come_back(request: SlurmRequest, keys: Sequence[str], nodes: Sequence[Nodes]) -> bool:
    """Return whether nodes that are down or drained have what Slurm lacks."""
    num_nodes = request.number("nodes") or 1
    away = [each for each in nodes if not each.is_usable]
    if len(away) == len(nodes):
        return bool(nodes)
    for each in away:
        cpus, mem_mb, gres, _ = each.shape
        has = {
            "nodes": sum(each.count for each in nodes) >= num_nodes,
            "mem_mb": int(mem_mb) >= (request.number("mem_mb") or 0),
            "cpus_per_task": int(cpus) >= _num_cpus(request),
            "gpu": _num_gpus(gres) >= request.gpus / num_nodes,
            "gpu_model": bool(request.gpu_model and request.gpu_model in gres),
        }
        if keys and all(has.get(key, True) for key in keys):
            return True
    return False


def _num_cpus(request: SlurmRequest) -> int:
    """Return the CPUs of a task."""
    by_gpu = (request.number("cpus_per_gpu") or 0) * request.gpus
    return by_gpu or request.number("cpus_per_task") or request.threads


def _num_gpus(gres: str) -> int:
    return sum(map(int, re.findall(r"gpu(?::[^:,(]+)?:(\d+)", gres)))


def _where(request: SlurmRequest, key: str, profile: Profile) -> str:
    if key == "qos" and profile.get("slurm-qos"):
        return profile.where("slurm-qos")
    return profile.where_resource(request, key)


def _choices(key: str, cluster: Cluster) -> str:
    there: dict[str, Callable[[], set[str]]] = {
        "slurm_partition": lambda: set(cluster.partitions or ()),
        "slurm_account": lambda: {each.account for each in cluster.associations or ()},
        "qos": lambda: set(cluster.qos or ()),
        "constraint": lambda: (
            {each for n in cluster.nodes or () for each in n.shape[-1].split(",")} - {"(null)"}
        ),
    }
    known = sorted(there[key]()) if key in there else []
    return f" (here: {some(known)})" if known else ""


def _blamed(request: SlurmRequest, profile: Profile, pool: Executor) -> list[str]:
    """Return the resources that Slurm would accept the job without, each one alone."""
    asked, tries = dict(request.resources), {}
    for key, names in _LEFT_OUT.items():
        less = {name: value for name, value in asked.items() if name not in names}
        if key == "gpu_model" and "gres" in asked:
            less["gres"] = re.sub(r"gpu:.+:(?=\d+$)", "gpu:", asked["gres"])
        threads = 1 if key == "cpus_per_task" else request.threads
        changed = replace(request, resources=tuple(less.items()), threads=threads)
        if (less, threads) != (asked, request.threads):
            try:
                tries[key] = _command(changed, profile)
            except ValueError:  # the plugin refuses the job, so Slurm is not asked
                continue
    answers = pool.map(execute, tries.values())
    found = [key for key, answer in zip(tries, answers, strict=True) if answer.is_good]
    return [key for key in found if key != "gpu" or "gpu_model" not in found]


def _command(request: SlurmRequest, profile: Profile) -> tuple[str, ...]:
    settings: Mapping[str, str | None] = {
        name: profile.get(f"slurm-{name}") for name in ("qos", "reservation")
    }
    return (*_COMMAND, *submit_arguments(dict(request.resources), request.threads, settings))
