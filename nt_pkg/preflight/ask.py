"""Asks Slurm, with a time limit on every answer."""

import getpass
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from nt_pkg.preflight import parse
from nt_pkg.preflight.facts import Answer, Cluster

SECONDS = 10.0  # for one answer of Slurm
# Variables that would change the output of Slurm's commands, or turn a job into a step.
_KEPT = ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS")
_CHANGING = ("SLURM_", "SBATCH_", "SRUN_", "SACCT_", "SINFO_", "SQUEUE_")


def execute(command: Sequence[str], seconds: float | None = None) -> Answer:
    """Return the answer of a command; stop one that takes too long."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_CHANGING) or name in _KEPT
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
    """End a process that took too long; do not wait for one that the kernel blocks."""
    process.terminate()
    for signal in (process.kill, lambda: None):
        try:
            process.communicate(timeout=3)
        except subprocess.TimeoutExpired:
            signal()
        else:
            return


def ask(pool: ThreadPoolExecutor) -> dict[str, Answer]:
    """Ask Slurm everything at once."""
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
    return dict(zip(questions, pool.map(execute, questions.values()), strict=True))


def facts_of(said: Mapping[str, Answer]) -> Cluster:
    """Return the facts in Slurm's answers."""
    text = {name: answer.out for name, answer in said.items() if answer.is_good}
    config = parse.config(text.get("scontrol show config", "")) or None
    associations, qos = text.get("associations"), text.get("qos")
    name = (config or {}).get("ClusterName")
    return Cluster(
        config=config,
        partitions=parse.partitions(text.get("scontrol show partition", "")) or None,
        nodes=parse.nodes(text.get("sinfo", "")) or None,
        associations=None if associations is None else parse.associations(associations, name),
        qos=None if qos is None else parse.qos(qos),
    )
