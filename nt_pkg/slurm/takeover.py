"""Guards one start: no other controller works on the same results at the same time."""

import logging
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from nt_pkg.jobs.locks import lock

logger = logging.getLogger(__name__)
_COMMAND_SECONDS = 60.0
_POLL_SECONDS = 2.0
_SHOW_SECONDS = 30.0
_held: list[IO[str]] = []  # a lock ends with its file


def hold_results(folder: Path) -> None:
    """Lock a folder of results against other controllers until this process ends in any way.

    Raises:
        RuntimeError: another controller works there.
    """
    folder.mkdir(exist_ok=True)
    file = (folder / ".lock").open("w")
    if not lock(file, waits=False):
        file.close()
        raise RuntimeError(f"another Snakemake works on {folder.resolve()}: wait for it or stop it")
    _held.append(file)


def end_leftovers(prefix: str, folder: Path, say: Callable[[str], None] = logger.warning) -> int:
    """End the Slurm jobs that a killed controller left behind in a folder, and return their number.

    Otherwise Snakemake would delete and rebuild their outputs while they run, as it knows only jobs
    that it started. The jobs are asked to stop, so trainings write a checkpoint. Returns when all
    are gone, so nothing runs twice. Call it under `hold_results`, so no other controller has jobs.

    Args:
        prefix: of the names of all jobs that controllers start.
        folder: where they run.
        say: shows a line.

    Raises:
        RuntimeError: Slurm does not answer, so running jobs are unknown.
    """
    jobs = _leftovers(prefix, folder)
    if not jobs:
        return 0
    say(
        f"ending {len(jobs)} Slurm jobs of an earlier start in {folder}, so that none runs twice "
        f"(they continue from their last checkpoint): {' '.join(jobs)}"
    )
    _ask("scancel", *jobs)
    shown = time.monotonic()
    while left := _leftovers(prefix, folder):
        time.sleep(_POLL_SECONDS)
        if time.monotonic() - shown > _SHOW_SECONDS:
            shown = time.monotonic()
            say(f"waiting for the end of jobs {' '.join(left)}")
    return len(jobs)


def _leftovers(prefix: str, folder: Path) -> list[str]:
    listed = _ask("squeue", "--me", "--noheader", "--format=%i|%j|%Z")
    return leftovers(listed, prefix, folder)


def leftovers(listed: str, prefix: str, folder: Path) -> list[str]:
    """Return the ids of a controller's jobs from lines `id|name|working folder` of squeue."""
    found = []
    for line in listed.splitlines():
        job, _, rest = line.partition("|")
        name, _, place = rest.partition("|")
        if name.startswith(f"{prefix}_") and Path(place).resolve() == folder.resolve():
            found.append(job)
    return found


def _ask(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_COMMAND_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(_no_answer(command, str(error))) from error
    if done.returncode:
        raise RuntimeError(_no_answer(command, done.stderr.strip()))
    return done.stdout


def _no_answer(command: Sequence[str], why: str) -> str:
    return (
        f"`{' '.join(command[:2])}` failed ({why}), so it is not known which jobs of an earlier "
        "start still run: start again when Slurm answers"
    )
