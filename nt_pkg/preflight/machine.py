"""Checks of the login node: the environment, its limits, and what is on it already."""

import os
import re
import resource
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from nt_pkg.preflight.facts import Answer, Finding
from nt_pkg.preflight.profile import shown

_PLUGIN = "snakemake-executor-plugin-slurm"
_JOBSTEP = "snakemake-executor-plugin-slurm-jobstep"
# Distribution -> (least, below), and why.
_NEEDED: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "snakemake": ((9, 27), (10,)),
    _PLUGIN: ((2, 8), (2, 9)),
    _JOBSTEP: ((0, 6), (1,)),
}


@dataclass(frozen=True)
class Machine:
    """What this process finds around it; limits are soft ones, None where there is none."""

    python: tuple[int, ...]
    prefix: Path
    venv: Path
    has_venv: bool
    snakemake: Path | None
    versions: Mapping[str, str | None]
    limits: Mapping[str, int | None] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


def this_machine(root: Path) -> Machine:
    """Return the facts of this process."""
    limits = {}
    for name in ("NOFILE", "AS", "DATA", "CPU", "NPROC"):
        soft = resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[0]
        limits[name] = None if soft == resource.RLIM_INFINITY else soft
    found = shutil.which("snakemake")
    venv = root / os.environ.get("VENV", ".venv")
    return Machine(
        python=sys.version_info[:3],
        prefix=Path(sys.prefix),
        venv=venv,
        has_venv=(venv / "bin" / "python").exists(),
        snakemake=Path(found) if found else None,
        versions={name: _version(name) for name in _NEEDED},
        limits=limits,
        environment={
            name: os.environ[name]
            for name in ("SLURM_JOB_ID", "SLURM_CLUSTERS", "SLURM_CONF", "HF_HUB_OFFLINE")
            if name in os.environ
        },
    )


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def environment(machine: Machine) -> list[Finding]:
    """Judge interpreter and packages."""
    found = []
    if machine.python < (3, 11):
        text = f"Python {'.'.join(map(str, machine.python))}"
        found.append(Finding("FAIL", "environment", text, "use 3.11 or newer (`make setup`)"))
    for name, (least, below) in _NEEDED.items():
        version = machine.versions.get(name)
        wanted = f">={'.'.join(map(str, least))},<{'.'.join(map(str, below))}"
        if version is None:
            todo = f"{machine.prefix}/bin/python -m pip install '{name}{wanted}'"
            found.append(Finding("FAIL", "environment", f"{name} is not installed", todo))
        elif not least <= tuple(map(int, re.findall(r"\d+", version)[:3])) < below:
            todo = f"{machine.prefix}/bin/python -m pip install '{name}{wanted}'"
            text = f"{name} {version} was not tried with this workflow"
            found.append(Finding("FAIL", "environment", text, todo))
    if machine.has_venv and machine.prefix.resolve() != machine.venv.resolve():
        found.append(
            Finding(
                "warn",
                "environment",
                f"this runs in {machine.prefix}, not in the project's {shown(machine.venv)}",
                f"use {shown(machine.venv)}/bin/python -m scripts.preflight, or name the "
                "environment in VENV",
            )
        )
    own_bin = (machine.prefix / "bin").resolve()  # .venv is a link, and PATH may name either
    if machine.snakemake is None or machine.snakemake.parent.resolve() != own_bin:
        text = f"`snakemake` on PATH is {machine.snakemake or 'missing'}"
        todo = f'export PATH="{machine.prefix}/bin:$PATH"'
        found.append(Finding("warn", "environment", text, todo))
    if not any(each.level == "FAIL" for each in found):
        python = ".".join(map(str, machine.python))
        versions = ", ".join(f"{name} {machine.versions[name]}" for name in _NEEDED)
        found.insert(0, Finding("ok", "environment", f"Python {python}, {versions}"))
    return found


def inside_job(machine: Machine) -> list[Finding]:
    """Judge whether this runs in a job itself."""
    if "SLURM_JOB_ID" not in machine.environment:
        return []
    return [
        Finding(
            "warn",
            "inside a job",
            "SLURM_JOB_ID is set: Snakemake would end with this job's time limit, and count "
            "against its memory; settings of the job leak into those it submits",
            "start from a login node (in tmux or screen), or `unset ${!SLURM_*} ${!SBATCH_*}` "
            "first in a job of days",
        )
    ]


def moved_configuration(machine: Machine, without: Answer) -> list[Finding]:
    """Judge a Slurm that is found by SLURM_CONF only.

    Args:
        machine: facts.
        without: what sinfo says when the variable is not set.
    """
    if "SLURM_CONF" not in machine.environment or without.is_good:
        return []
    return [
        Finding(
            "FAIL",
            "SLURM_CONF",
            f"Slurm is found by this variable only ({without.why}); the executor plugin takes all "
            "SLURM_ variables away from its jobs, whose `srun` then fails",
            "ask for /etc/slurm/slurm.conf on all nodes (a link to "
            f"{machine.environment['SLURM_CONF']} will do), or for a configless Slurm",
        )
    ]


def limits(machine: Machine, propagated: str | None) -> list[Finding]:
    """Judge the limits of this shell.

    Args:
        machine: facts.
        propagated: PropagateResourceLimits of the cluster.
    """
    to_jobs = (
        "; Slurm passes it on to jobs" if propagated and "NONE" not in propagated.upper() else ""
    )
    gib = 2**30
    rules: Sequence[tuple[str, int, str, Callable[[int], str]]] = (
        ("NOFILE", 1024, "n", lambda n: f"{n} open files"),
        ("AS", 16 * gib, "v", lambda n: f"{n / gib:.1f} GiB of virtual memory"),
        ("DATA", 16 * gib, "d", lambda n: f"{n / gib:.1f} GiB of data"),
        ("CPU", 24 * 3600, "t", lambda n: f"{n} s of CPU time, then Snakemake is killed"),
        ("NPROC", 256, "u", lambda n: f"{n} processes"),
    )
    found = []
    for name, least, letter, say in rules:
        limit = machine.limits.get(name)
        if limit is not None and limit < least:
            todo = f"raise it with `ulimit -{letter}`, or ask the administrators"
            passed = to_jobs if name != "CPU" else ""
            found.append(Finding("warn", "ulimit", f"at most {say(limit)}{passed}", todo))
    return found or [Finding("ok", "ulimit", "no limit in the way")]
