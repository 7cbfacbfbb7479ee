"""Asks Slurm, with a limit on every answer."""

import getpass
import grp
import os
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from nt_pkg.preflight import parse
from nt_pkg.preflight.facts import Answer, Cluster

SECONDS = 10.0  # for one answer of Slurm
# Variables that would change what Slurm's commands print, or make a job of a step.
_KEPT = ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS")


def execute(command: Sequence[str], seconds: float | None = None) -> Answer:
    """Return what a command says; one that takes too long is ended."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SLURM_", "SBATCH_", "SRUN_", "SACCT_", "SINFO_", "SQUEUE_"))
        or name in _KEPT
    }
    seconds, begun = seconds or SECONDS, time.monotonic()
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**environment, "LC_ALL": "C"},
            text=True,
            errors="replace",
        )
    except OSError as error:
        return Answer(None, "", f"{command[0]}: {error.strerror}")
    try:
        out, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        _end(process)
        text = f"no answer within {seconds:.0f} s"
        return Answer(None, "", text, time.monotonic() - begun)
    return Answer(process.returncode, out, errors, time.monotonic() - begun)


def _end(process: subprocess.Popen[str]) -> None:
    """End a process that took too long; one that the kernel holds is left alone."""
    process.terminate()
    for signal in (process.kill, lambda: None):
        try:
            process.communicate(timeout=3)
        except subprocess.TimeoutExpired:
            signal()
        else:
            return


def ask(pool: ThreadPoolExecutor) -> dict[str, Future[Answer]]:
    """Start all questions to Slurm at once."""
    user = getpass.getuser()
    association = ("sacctmgr", "-nP", "show", "assoc", f"user={user}")
    questions: dict[str, tuple[str, ...]] = {
        "scontrol show config": parse.CONFIG,
        "scontrol show partition": parse.PARTITIONS,
        "sinfo": parse.NODES,
        "squeue": ("squeue", "-h", "-u", user, "-o", "%A"),
        "sacct": ("sacct", "-nPX", "-u", user, "-S", "now-1hours", "-o", "JobID"),
        "associations": (*association, f"format={parse.ASSOCIATION_FIELDS}"),
        "qos": parse.QOS,
        "sshare": ("sshare", "-U", "-h", "-P", "-o", "Account"),
    }
    return {name: pool.submit(execute, command) for name, command in questions.items()}


def facts_of(asked: dict[str, Future[Answer]]) -> Cluster:
    """Return what Slurm's answers say."""
    said = {name: future.result() for name, future in asked.items()}

    def text(name: str) -> str | None:
        return said[name].out if said[name].is_good else None

    config = parse.config(text("scontrol show config") or "") or None
    partitions, nodes = text("scontrol show partition"), text("sinfo")
    associations, qos = text("associations"), text("qos")
    name = (config or {}).get("ClusterName")
    groups = set()
    for number in os.getgroups():
        try:
            groups.add(grp.getgrgid(number).gr_name)
        except KeyError:
            continue
    return Cluster(
        config=config,
        partitions=parse.partitions(partitions) if partitions else None,
        nodes=parse.nodes(nodes) if nodes else None,
        associations=None if associations is None else parse.associations(associations, name),
        qos=None if qos is None else parse.qos(qos),
        groups=frozenset(groups) if os.getuid() else frozenset(),
    )
