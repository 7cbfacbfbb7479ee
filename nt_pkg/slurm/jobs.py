"""What jobs request from Slurm and learn from it: placement, time left, and requeueing.

All functions are pure except `show_job`, `requeue` and `warn_before_end`, which call
`scontrol`.
"""

import logging
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

logger = logging.getLogger(__name__)
_IN_OWN_STEP = "NT_IN_OWN_STEP"
_NUM_LINES = 20  # shown of a task that failed
# srun's message about failed tasks: node, tasks, how they ended.
_ENDED = re.compile(r"srun: error: (\S+): tasks? ([\d,-]+): (.+)")
_POLL_SECONDS = 600.0  # an administrator may change the limit of a running job


class Machines(Protocol):
    """The machines of a job; `Runtime` and `EngineRuntime` of the configuration match it."""

    @property
    def nodes(self) -> int:
        """Return the number of nodes."""

    @property
    def gpu(self) -> int:
        """Return the GPUs over all nodes."""

    @property
    def num_tasks(self) -> int:
        """Return the processes that Slurm places."""


# Resources of snakemake-executor-plugin-slurm, without `slurm_extra`: it belongs to the
# profile, and a value there would replace ours.
_OF_TASKS = ("mpi", "tasks", "tasks_per_node", "tasks_per_gpu")
# Resources for jobs with GPUs that a profile may set in `default-resources`.
_GPU_FACTS = {"slurm_partition": "gpu_partition", "constraint": "gpu_constraint", "qos": "gpu_qos"}
PLACEMENT = ("nodes", "gpu", "gpu_model", "gres", *_OF_TASKS, *_GPU_FACTS)


def placement(machines: Machines, site: Mapping[str, str]) -> dict[str, int | str]:
    """Return the resources that place a job, without those that it does not need.

    On one node the plugin starts the job's command in a separate step. With `mpi` it does not,
    and the command starts its tasks with `srun`. The plugin only checks whether `mpi` exists,
    so it must be absent on one node.

    Args:
        machines: what the job runs on.
        site: the facts of a cluster in its profile: slurm_partition, constraint and qos of
            jobs without GPUs; gpu_partition, gpu_constraint, gpu_qos and gpu_type of the others.
    """
    nodes, gpu, tasks = machines.nodes, machines.gpu, machines.num_tasks
    gpu_type = site.get("gpu_type")
    found: dict[str, int | str] = {"nodes": nodes}
    for resource, fact in _GPU_FACTS.items():
        if value := (site.get(fact) if gpu else None) or site.get(resource):
            found[resource] = value
    if nodes == 1:
        if gpu:
            found |= {"gpu": gpu, **({"gpu_model": gpu_type} if gpu_type else {})}
        return found
    # Per node, because a total may be spread unevenly; the plugin refuses one task per node, but
    # as many tasks as nodes are spread evenly anyway.
    shape = {"tasks_per_node": tasks // nodes} if tasks > nodes else {"tasks": tasks}
    found |= {"mpi": "srun", **shape}
    if gpu:
        # Unless it is 0, the plugin takes `tasks` of a job with GPUs for tasks per GPU.
        kind = f"gpu:{gpu_type}" if gpu_type else "gpu"
        found |= {"gres": f"{kind}:{gpu // nodes}", "tasks_per_gpu": 0}
    return found


def spread(
    machines_of: Callable[[Any], Machines], site: Mapping[str, str]
) -> dict[str, Callable[[Any], int | str | None]]:
    """Return `PLACEMENT` as functions of a job's wildcards; None means that a job lacks it."""

    def resource(key: str) -> Callable[[Any], int | str | None]:
        return lambda wildcards: placement(machines_of(wildcards), site).get(key)

    return {key: resource(key) for key in PLACEMENT}


def growing(first: int | Callable[[Any], int], most: str | None) -> Callable[[Any, int], int]:
    """Return a resource that grows with every attempt, as a function of wildcards and attempt.

    Args:
        first: its amount at the first attempt, or a function of wildcards that gives it.
        most: the most that the cluster has; None: no limit.
    """

    def amount(wildcards: Any, attempt: int) -> int:
        wanted = attempt * (first(wildcards) if callable(first) else first)
        return min(wanted, int(most)) if most else wanted

    return amount


@dataclass(frozen=True)
class Command:
    """A command line, and the environment variables to add for it."""

    argv: tuple[str, ...]
    env: Mapping[str, str]


def srun(
    nodes: int, tasks: int, gpus_per_node: int, cpus_per_task: int, *more: str
) -> tuple[str, ...]:
    """Return the beginning of a command line that places tasks in this job.

    All options are explicit, because the plugin removes those of sbatch from the environment. If a
    task fails, the others are killed.
    """
    return (
        "srun",
        f"--nodes={nodes}",
        f"--ntasks={tasks}",
        f"--ntasks-per-node={tasks // nodes}",
        f"--cpus-per-task={cpus_per_task}",
        *((f"--gpus-per-node={gpus_per_node}",) if gpus_per_node else ()),
        "--kill-on-bad-exit=1",
        *more,
    )


def first_failure(lines: Sequence[str]) -> str:
    """Return which rank failed first, how, and its last lines, from the output of srun --label.

    When one rank fails, the others are killed or lose their connections, so the last lines of the
    output do not show the cause.
    """
    ended = next((found for line in lines if (found := _ENDED.search(line))), None)
    if ended is None:
        return "\n".join(["The last lines:", *list(lines)[-_NUM_LINES:]])
    node, tasks, how = ended.groups()
    rank = int(re.split("[,-]", tasks)[0])
    own = [line for line in lines if re.match(rf"\s*0*{rank}: ", line)]
    return "\n".join(
        [f"Rank {rank} on {node} ended first: {how}. Its last lines:", *own[-_NUM_LINES:]]
    )


def enter_own_step(machines: Machines, threads: int, module: str, argv: Sequence[str]) -> None:
    """Restart this program as the leader of its own step, if it is in a job of one node.

    Slurm signals only the leader of each step: at the end of its time, before a preemption, at
    scancel. The leader of the executor plugin's step is Snakemake, which forwards
    nothing. Does nothing outside a job, or over several nodes, where the tasks are leaders.

    Args:
        machines: what the job runs on.
        threads: cores of the job.
        module: the program, as `python -m` takes it.
        argv: its arguments.
    """
    if not os.environ.get("SLURM_JOB_ID") or machines.nodes > 1 or os.environ.get(_IN_OWN_STEP):
        return
    if not shutil.which("srun"):  # within a container, say
        logger.warning(
            "no srun here: if this job is stopped, it can only continue from its last checkpoint"
        )
        return
    command = srun(1, 1, machines.gpu, threads, "--overlap", sys.executable, "-m", module, *argv)
    # The options of the outer step must not be defaults of this one.
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "SRUN_"))}
    job = {"SLURM_JOB_ID": os.environ["SLURM_JOB_ID"], _IN_OWN_STEP: "1"}
    os.execvpe(command[0], command, kept | job)


@dataclass(frozen=True)
class JobFacts:
    """The facts of a job in `scontrol show job`; times are seconds, None if there is no limit."""

    state: str
    is_batch: bool
    may_requeue: bool
    num_restarts: int
    limit_seconds: int | None
    left_seconds: int | None


def job_facts(text: str) -> JobFacts:
    """Return the facts in the output of `scontrol show job ID`.

    Raises:
        ValueError: it is not such an output.
    """
    found: dict[str, str] = {}
    for key, value in re.findall(r"(?:^|\s)(\w+)=(\S*)", text):
        found.setdefault(key, value)  # free text, such as a comment, comes later
    if "JobState" not in found:
        raise ValueError(f"not the output of scontrol show job: {text[:200]!r}")
    limit = _seconds(found.get("TimeLimit", ""))
    ran = _seconds(found.get("RunTime", "")) or 0
    return JobFacts(
        state=found["JobState"],
        is_batch=found.get("BatchFlag") != "0",
        may_requeue=found.get("Requeue") == "1",
        num_restarts=int(found.get("Restarts", 0)),
        limit_seconds=limit,
        left_seconds=None if limit is None else limit - ran,
    )


def _seconds(text: str) -> int | None:
    """Return the seconds of days-hours:minutes:seconds, or None for words such as UNLIMITED."""
    found = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d+):(\d+)", text)
    if not found:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((24 * days + hours) * 60 + minutes) * 60 + seconds


def why_not_requeued(facts: JobFacts, num_new: int) -> str:
    """Return why a job that was stopped by a signal must not be requeued, or "".

    A running job was only warned, before the end of its time or a preemption, and would count as
    failed. In any other state Slurm is ending it: either somebody cancelled it, or Slurm itself
    requeues it. Every start has to make progress, so a job cannot be requeued forever.
    """
    if facts.state != "RUNNING":
        return f"Slurm is ending the job, its state is {facts.state}"
    if not facts.is_batch:
        return "it was not submitted with sbatch"
    if not facts.may_requeue:
        return "it was submitted without --requeue"
    if num_new < 1:
        return "this start made no progress"
    return ""


def requeue(num_new: int) -> bool:
    """Ask Slurm to requeue this job; return whether it will.

    Args:
        num_new: steps or rows that this start of the job has added.
    """
    facts = show_job()
    if facts is None:
        return False
    if reason := why_not_requeued(facts, num_new):
        logger.info("job %s is not requeued: %s", os.environ["SLURM_JOB_ID"], reason)
        return False
    if _scontrol("requeue") is None:
        return False
    logger.info(
        "job %s is requeued after %d restarts: Slurm starts it again when resources are free",
        os.environ["SLURM_JOB_ID"],
        facts.num_restarts,
    )
    return True


def show_job() -> JobFacts | None:
    """Return Slurm's facts of the job that this process is in, or None outside a job."""
    text = _scontrol("show", "job")
    try:
        return None if text is None else job_facts(text)
    except ValueError as error:
        logger.warning("%s", error)
        return None


def _scontrol(*arguments: str) -> str | None:
    """Return scontrol's output for this job, or None if there is no job or no answer."""
    job = os.environ.get("SLURM_JOB_ID")
    if not job:
        return None
    command = ["scontrol", *arguments, job]
    try:
        return subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=60
        ).stdout
    except subprocess.CalledProcessError as error:
        logger.warning("%s: %s", " ".join(command), error.stderr.strip())
    except (OSError, subprocess.TimeoutExpired) as error:
        logger.warning("%s: %s", " ".join(command), error)
    return None


def lead_seconds(facts: JobFacts, wanted: int) -> float:
    """Return how long before its end a job is warned; a short job must not stop at once."""
    return min(float(wanted), (facts.limit_seconds or 0) / 10)


def warn_before_end(wanted: int, warn: Callable[[], None], over: threading.Event) -> None:
    """Call `warn` once, `wanted` seconds before this job's time is over; stop if `over` is set.

    Slurm's own warning (`--signal`) reaches the processes that it started. On one node that is the
    plugin's Snakemake, which does not pass it on, so a job watches its time itself.
    """
    while not over.is_set():
        facts = show_job()
        wait = 60.0 if facts is None else _POLL_SECONDS
        if facts is not None and facts.left_seconds is not None:
            left = facts.left_seconds - lead_seconds(facts, wanted)
            if left <= 0:
                logger.info("the job's time is over in %d s", facts.left_seconds)
                return warn()
            wait = min(wait, left)
        over.wait(wait)
    return None
