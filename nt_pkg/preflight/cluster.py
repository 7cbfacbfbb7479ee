"""Checks of a cluster: does it answer, keep accounts, and know the names in the profile."""

import re
from collections.abc import Mapping
from datetime import datetime

from nt_pkg.preflight.facts import Answer, Cluster, Finding
from nt_pkg.preflight.profile import Profile

COMMANDS = ("sinfo", "scontrol", "sbatch", "squeue", "scancel", "srun", "sacct", "sacctmgr")
_LONGEST_POLL_SECONDS = 180  # constant of the executor plugin
_CLOCK_SECONDS = 10.0


def commands(there: Mapping[str, bool]) -> list[Finding]:
    """Judge which of Slurm's commands are on PATH."""
    missing = [name for name in COMMANDS if not there.get(name)]
    if not missing:
        return [Finding("ok", "commands", f"{len(COMMANDS)} Slurm commands are there")]
    return [
        Finding(
            "FAIL",
            "commands",
            f"not on PATH: {', '.join(missing)}",
            "run this on a login node; the executor plugin calls all of them (often: `module load "
            "slurm`)",
        )
    ]


def controller(answers: Mapping[str, Answer]) -> list[Finding]:
    """Judge whether the controller answered `sinfo`, `scontrol` and `squeue`."""
    found = []
    silent = [name for name, answer in answers.items() if not answer.is_good]
    if silent:
        found.append(
            Finding(
                "FAIL",
                "controller",
                f"`{'`, `'.join(silent)}` gave no answer: {answers[silent[0]].why}",
                "try it by hand; if it fails too, Slurm is down or overloaded: wait, or ask the "
                "administrators",
            )
        )
    slowest = max((answer.seconds for answer in answers.values()), default=0.0)
    if not found and slowest > 3:
        found.append(
            Finding(
                "warn",
                "controller",
                f"it took {slowest:.1f} s to answer",
                "the controller is busy: lower max-jobs-per-timespan and jobs in the profile",
            )
        )
    return found or [Finding("ok", "controller", f"answers in {slowest:.1f} s")]


def clock(controller_time: datetime | None, here: datetime) -> list[Finding]:
    """Judge the clock of this machine against the controller's."""
    if controller_time is None:
        return []
    seconds = abs((controller_time - here).total_seconds())
    if seconds <= _CLOCK_SECONDS:
        return [Finding("ok", "clock", f"within {max(1, round(seconds))} s of the controller's")]
    return [
        Finding(
            "warn",
            "clock",
            f"{seconds:.0f} s off the controller's",
            "ask the administrators for NTP: Snakemake compares times of files, and Slurm refuses "
            "credentials that are minutes off",
        )
    ]


def accounting(cluster: Cluster, sacct: Answer, profile: Profile) -> list[Finding]:
    """Judge whether jobs' ends can be seen, by the status command of the profile."""
    command = profile.get("slurm-status-command") or "sacct"
    key = profile.where("slurm-status-command")
    found = []
    if not sacct.is_good or (cluster.config is not None and not cluster.has_accounting):
        cost = "no GPU or memory accounting, and no fall-back when the controller is away"
        reason = sacct.why if not sacct.is_good else "no slurmdbd"
        if command == "sacct":
            found.append(
                Finding(
                    "FAIL",
                    "accounting",
                    f"sacct does not work ({reason}) and is the status command: jobs would be "
                    "waited for for ever",
                    f"set {key}: squeue",
                )
            )
        else:
            found.append(
                Finding(
                    "warn",
                    "accounting",
                    f"sacct does not work ({reason}): {cost}; a controller that is away for "
                    "minutes can lose sight of jobs",
                    "go on, and start the study again if it waits for jobs that are gone; or ask "
                    "for slurmdbd",
                )
            )
    elif command == "sacct":
        found.append(
            Finding(
                "warn",
                "accounting",
                "the status command is sacct; with plugin 2.8 cancelled jobs are then waited for "
                "for ever",
                f"set {key}: squeue",
            )
        )
    else:
        found.append(Finding("ok", "accounting", "sacct works; status by squeue"))
    return found + (_min_job_age(cluster) if command == "squeue" else [])


def _min_job_age(cluster: Cluster) -> list[Finding]:
    text = (cluster.config or {}).get("MinJobAge", "")
    seconds = re.match(r"\d+", text)
    if not seconds:
        return []
    age = int(seconds[0])
    if age > _LONGEST_POLL_SECONDS:
        return [Finding("ok", "MinJobAge", f"{age} s")]
    return [
        Finding(
            "FAIL",
            "MinJobAge",
            f"{age} s: squeue forgets ended jobs sooner than the plugin asks "
            f"(every {_LONGEST_POLL_SECONDS} s), and waits for them for ever",
            "set slurm-status-command: sacct in the profile if sacct works, or ask the "
            "administrators for MinJobAge=600 in slurm.conf",
        )
    ]
