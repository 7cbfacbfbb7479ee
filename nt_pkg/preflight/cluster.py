"""Checks of a cluster: does it answer, and can Snakemake see the ends of jobs?"""

import re
from collections.abc import Mapping

from nt_pkg.preflight.facts import PLACEHOLDER, Answer, Cluster, Finding
from nt_pkg.preflight.profile import Profile, shown, some

COMMANDS = ("sinfo", "scontrol", "sbatch", "squeue", "scancel", "srun", "sacct", "sacctmgr")
_LONGEST_POLL_SECONDS = 180  # constant of the executor plugin


def commands(there: Mapping[str, bool]) -> list[Finding]:
    """Judge which of Slurm's commands are on PATH."""
    missing = [name for name in COMMANDS if not there.get(name)]
    if not missing:
        return [Finding("ok", "commands", f"all {len(COMMANDS)} Slurm commands are available")]
    todo = (
        "run this on a login node; the executor plugin calls all of them (often: `module load "
        "slurm`)"
    )
    return [Finding("FAIL", "commands", f"not on PATH: {', '.join(missing)}", todo)]


def controller(answers: Mapping[str, Answer]) -> list[Finding]:
    """Judge whether the controller answered `sinfo`, `scontrol` and `squeue`."""
    silent = [name for name, answer in answers.items() if not answer.is_good]
    if silent:
        text = f"`{'`, `'.join(silent)}` gave no answer: {answers[silent[0]].why}"
        todo = (
            "try it by hand; if that fails too, Slurm is down or overloaded: wait, or ask the "
            "administrators"
        )
        return [Finding("FAIL", "controller", text, todo)]
    slowest = max((answer.seconds for answer in answers.values()), default=0.0)
    if slowest > 3:
        todo = "the controller is busy: lower max-jobs-per-timespan and jobs in the profile"
        return [Finding("warn", "controller", f"it took {slowest:.1f} s to answer", todo)]
    return [Finding("ok", "controller", f"answers in {slowest:.1f} s")]


def accounting(cluster: Cluster, sacct: Answer, profile: Profile) -> list[Finding]:
    """Judge whether the profile's status command can see the ends of jobs."""
    command = profile.get("slurm-status-command") or "sacct"
    todo = f"set {profile.where('slurm-status-command')}: squeue"
    has_database = (cluster.config or {}).get("AccountingStorageType", "").endswith("slurmdbd")
    if not sacct.is_good or (cluster.config is not None and not has_database):
        reason = sacct.why if not sacct.is_good else "no slurmdbd"
        text = f"sacct does not work ({reason})"
        if command == "sacct":
            text += " and is the status command: Snakemake would wait for jobs forever"
            return [Finding("FAIL", "accounting", text, todo)]
        text += (
            ": no GPU or memory accounting, and no fallback when the controller does not answer; "
            "if it is silent for minutes, Snakemake can lose track of jobs"
        )
        todo = "continue; if the study waits for jobs that have ended, start it again"
        found = [Finding("warn", "accounting", text, todo)]
    elif command == "sacct":
        text = "the status command is sacct; plugin 2.8 then waits forever for cancelled jobs"
        return [Finding("warn", "accounting", text, todo)]
    else:
        found = [Finding("ok", "accounting", "sacct works; status by squeue")]
    return found + _min_job_age(cluster)


def _min_job_age(cluster: Cluster) -> list[Finding]:
    seconds = re.match(r"\d+", (cluster.config or {}).get("MinJobAge", ""))
    if not seconds:
        return []
    age = int(seconds[0])
    if age > _LONGEST_POLL_SECONDS:
        return [Finding("ok", "MinJobAge", f"{age} s")]
    text = (
        f"{age} s: squeue forgets ended jobs sooner than the plugin asks (every "
        f"{_LONGEST_POLL_SECONDS} s), and it waits for them forever"
    )
    todo = (
        "set slurm-status-command: sacct in the profile if sacct works, or ask the administrators "
        "for MinJobAge=600 in slurm.conf"
    )
    return [Finding("FAIL", "MinJobAge", text, todo)]


def placeholders(profile: Profile, cluster: Cluster) -> list[Finding]:
    """Judge whether the profile is filled in."""
    found = []
    for where, value in profile.placeholders():
        hint = ""
        if "partition" in where and cluster.partitions:
            hint = f" (here: {some(sorted(cluster.partitions))})"
        elif "account" in where and cluster.associations is not None:
            mine = sorted({each.account for each in cluster.associations})
            hint = f" (here: {some(mine)})" if mine else " (none are known for you)"
        todo = f"edit {where}{hint}, or delete the line if your site needs none"
        found.append(Finding("FAIL", "profile", f"{value} is not filled in", todo))
    return found or [Finding("ok", "profile", f"{shown(profile.path)} has no {PLACEHOLDER}")]
