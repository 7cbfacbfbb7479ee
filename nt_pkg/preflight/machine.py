"""Checks of the login node: the environment, its limits, and whether this is a job already."""

import os
import re
import resource
import shutil
import sys
from collections.abc import Mapping
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
    """The surroundings of this process; limits are soft limits, None if there is no limit."""

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
    python = ".".join(map(str, machine.python))
    found, bin_folder = [], machine.prefix / "bin"
    if machine.python < (3, 11):
        found.append(Finding("FAIL", "environment", f"Python {python}", "use 3.11 (`make setup`)"))
    for name, (least, below) in _NEEDED.items():
        version = machine.versions.get(name)
        if version and least <= tuple(map(int, re.findall(r"\d+", version)[:3])) < below:
            continue
        wanted = f">={'.'.join(map(str, least))},<{'.'.join(map(str, below))}"
        what = f"{version} is not tested with this workflow" if version else "is not installed"
        todo = f"{bin_folder}/python -m pip install '{name}{wanted}'"
        found.append(Finding("FAIL", "environment", f"{name} {what}", todo))
    if not found:
        versions = ", ".join(f"{name} {machine.versions[name]}" for name in _NEEDED)
        found.append(Finding("ok", "environment", f"Python {python}, {versions}"))
    if machine.has_venv and machine.prefix.resolve() != machine.venv.resolve():
        venv = shown(machine.venv)
        text = f"this runs in {machine.prefix}, not in the project's {venv}"
        todo = f"use {venv}/bin/python -m scripts.preflight, or name the environment in VENV"
        found.append(Finding("warn", "environment", text, todo))
    own_bin = bin_folder.resolve()  # .venv is a link, and PATH may name either
    if machine.snakemake is None or machine.snakemake.parent.resolve() != own_bin:
        text = f"`snakemake` on PATH is {machine.snakemake or 'missing'}"
        found.append(Finding("warn", "environment", text, f'export PATH="{bin_folder}:$PATH"'))
    return found


def inside_job(machine: Machine) -> list[Finding]:
    """Judge whether this process runs inside a job."""
    if "SLURM_JOB_ID" not in machine.environment:
        return []
    text = (
        "SLURM_JOB_ID is set: Snakemake would end with this job's time limit, and settings of the "
        "job leak into those it submits"
    )
    todo = "start from a login node (in tmux or screen), or `unset ${!SLURM_*} ${!SBATCH_*}` first"
    return [Finding("warn", "inside a job", text, todo)]


def moved_configuration(machine: Machine, without: Answer) -> list[Finding]:
    """Judge a Slurm that is found only through SLURM_CONF.

    Args:
        machine: facts.
        without: what sinfo says when the variable is not set.
    """
    place = machine.environment.get("SLURM_CONF")
    if not place or without.is_good:
        return []
    text = (
        f"Slurm is found only through this variable ({without.why}); the executor plugin removes "
        "all SLURM_ variables from its jobs, whose `srun` then fails"
    )
    todo = f"ask for /etc/slurm/slurm.conf on all nodes (a link to {place}), or a configless Slurm"
    return [Finding("FAIL", "SLURM_CONF", text, todo)]


def limits(machine: Machine, propagated: str | None) -> list[Finding]:
    """Judge the limits of this shell.

    Args:
        machine: facts.
        propagated: PropagateResourceLimits of the cluster.
    """
    passed = "; Slurm passes it on to jobs" if "NONE" not in (propagated or "NONE").upper() else ""
    found = []
    for name, least, letter, unit, size in (
        ("NOFILE", 1024, "n", "open files", 1),
        ("AS", 16, "v", "GiB of virtual memory", 2**30),
        ("DATA", 16, "d", "GiB of data", 2**30),
        ("CPU", 24, "t", "hours of CPU time, then Snakemake is killed", 3600),
        ("NPROC", 256, "u", "processes", 1),
    ):
        limit = machine.limits.get(name)
        if limit is not None and limit < least * size:
            text = f"at most {limit / size:g} {unit}{passed if name != 'CPU' else ''}"
            todo = f"raise it with `ulimit -{letter}`, or ask the administrators"
            found.append(Finding("warn", "ulimit", text, todo))
    return found or [Finding("ok", "ulimit", "no limit is too low")]
