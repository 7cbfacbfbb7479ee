"""The executor plugin's `sbatch` call for a job, made by the plugin's own code."""

import shlex
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

# They name the job and its files, and do not decide whether it can run.
_ASIDE = ("--parsable", "--job-name", "--output", "--export=ALL", "--comment")


class _Resources(dict[str, Any]):
    """Resources as Snakemake's jobs have them."""

    __getattr__ = dict.__getitem__


def submit_arguments(
    resources: Mapping[str, str], threads: int, settings: Mapping[str, Any]
) -> list[str]:
    """Return the part of the plugin's `sbatch` call that decides whether a job can run.

    Args:
        resources: the job's resources, as in a dry run.
        threads: the job's threads.
        settings: `qos` and `reservation` of the profile, if it has them.

    Raises:
        ValueError: the plugin would refuse the job; the message says why.
    """
    from snakemake_interface_common.exceptions import WorkflowError

    try:  # it looks for Slurm's commands when it is imported
        from snakemake_executor_plugin_slurm.submit_string import get_submit_command
        from snakemake_executor_plugin_slurm.utils import set_gres_string
    except (ImportError, OSError, WorkflowError) as error:
        raise ValueError(f"it cannot be imported: {error}") from None

    known = _Resources(
        {name: int(value) if value.isdecimal() else value for name, value in resources.items()}
    )
    pairs = (("-A", known.get("slurm_account")), ("-p", known.get("slurm_partition")))
    account, partition = (
        f"{key} {shlex.quote(str(value))}" if value else "" for key, value in pairs
    )
    names = dict.fromkeys(("run_uuid", "slurm_logfile", "comment_str"), "-")
    params = {**names, "account": account, "partition": partition, "workdir": ""}
    chosen = SimpleNamespace(
        requeue=False,
        no_requeue=False,
        qos=settings.get("qos"),
        reservation=settings.get("reservation"),
    )
    job = SimpleNamespace(resources=known, threads=threads)
    try:
        words = shlex.split(get_submit_command(job, params, chosen) + set_gres_string(job))
    except (WorkflowError, TypeError, ValueError) as error:
        raise ValueError(str(error)) from None
    return [word for word in words[1:] if word not in (*_ASIDE, "-")]
