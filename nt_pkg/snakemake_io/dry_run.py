"""A dry run of Snakemake: which jobs would run and why, as data."""

import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nt_pkg.jobs.shell import cache_home
from nt_pkg.snakemake_io.events import Event, asking, environment, events_in


@dataclass(frozen=True)
class Reason:
    """Why Snakemake would run a job.

    Attributes:
        is_forced: the user forces it.
        is_cut_off: it was interrupted.
        missing: its missing outputs.
        updated: its inputs that are newer than its outputs and have changed.
        updated_by_job: its inputs that another job of the plan writes.
        is_input_set_changed: it has other inputs than last time.
        is_command_changed: its rule has another command.
        is_environment_changed: its rule has another environment.
        old_params: last time's params that differ now.
        new_params: the new values of those params.
    """

    is_forced: bool = False
    is_cut_off: bool = False
    missing: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    updated_by_job: tuple[str, ...] = ()
    is_input_set_changed: bool = False
    is_command_changed: bool = False
    is_environment_changed: bool = False
    old_params: tuple[str, ...] = ()
    new_params: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """One job of a dry run. `gpus` counts those of all its nodes."""

    rule: str
    is_checkpoint: bool
    wildcards: dict[str, str]
    outputs: tuple[str, ...]
    timing: Path | None
    gpus: int
    reason: Reason = Reason()
    threads: int = 1
    resources: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DryRun:
    """The result of a command with `-n`.

    Attributes:
        status: of the command.
        said: everything it printed.
        is_plan: whether it planned anything; `--lint` and others do not.
        jobs: those that would run, including targets, each after those that it needs.
        notes: what a start would refuse.
    """

    status: int
    said: str
    is_plan: bool
    jobs: tuple[Job, ...]
    notes: tuple[str, ...]


def dry_run(
    arguments: Sequence[str], variables: Mapping[str, str], cwd: Path | None = None
) -> DryRun:
    """Return what Snakemake would do.

    Args:
        arguments: of Snakemake, with the Snakefile and the profile; `-n` is added.
        variables: the environment.
        cwd: where it is started.
    """
    with tempfile.TemporaryDirectory(prefix="nt-") as folder:
        path = Path(folder, "events.jsonl")
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", "-n", *asking(arguments, path)],
            cwd=cwd,
            env={**environment(variables), **cache_home(variables, Path(folder, "cache"))},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        events = list(events_in(path.read_text())) if path.exists() else []
    return DryRun(
        status=done.returncode,
        said=done.stdout,
        is_plan=any(event["event"] == "begun" for event in events),
        jobs=tuple(planned_jobs(events)),
        notes=tuple(dict.fromkeys(e["text"] for e in events if e["event"] == "note")),
    )


def planned_jobs(events: Sequence[Event]) -> list[Job]:
    """Return the jobs of a plan, including targets, each after those that it needs."""
    return [
        job_from(data) for event in events if event["event"] == "planned" for data in event["jobs"]
    ]


def job_from(data: Mapping[str, Any]) -> Job:
    """Return a job from its data in an event."""
    reason: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in data["reason"].items()
    }
    return Job(
        rule=data["rule"],
        is_checkpoint=data["is_checkpoint"],
        wildcards=data["wildcards"],
        outputs=tuple(data["outputs"]),
        timing=None if data["timing"] is None else Path(data["timing"]),
        gpus=_num_gpus(data["resources"]),
        reason=Reason(**reason),
        threads=data["threads"],
        resources=data["resources"],
    )


def _num_gpus(resources: Mapping[str, str]) -> int:
    """Return the GPUs of a job: `gpu` is their number, `gres` their number per node."""
    if per_node := re.fullmatch(r"gpu:(?:.+:)?(\d+)", resources.get("gres", "")):
        return int(per_node[1]) * int(resources.get("nodes", 1))
    gpus = resources.get("gpu", "")
    return int(gpus) if gpus.isdigit() else 0


def gpu_type(resources: Mapping[str, str]) -> str | None:
    """Return the type of a job's GPUs, if it asks for one: `gpu_model`, or within `gres`."""
    in_gres = re.fullmatch(r"gpu:(.+):\d+", resources.get("gres", ""))
    return resources.get("gpu_model") or (in_gres[1] if in_gres else None)
