"""What happens around all jobs of one start: nobody else works on these results meanwhile."""

import fcntl
import logging
import re
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

logger = logging.getLogger(__name__)
_COMMAND_SECONDS = 60.0
_POLL_SECONDS = 2.0
_SHOW_SECONDS = 30.0
_held: list[IO[str]] = []  # a lock ends with its file


def hold_results(folder: Path) -> None:
    """Keep a second controller out of a folder of results until this process ends, however it ends.

    Raises:
        RuntimeError: another one works there.
    """
    folder.mkdir(exist_ok=True)
    lock = (folder / ".lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise RuntimeError(
            f"another Snakemake works on {folder.resolve()}: wait for it or stop it"
        ) from None
    _held.append(lock)


def unnoted_outputs(logs: Path) -> list[Path]:
    """Return the outputs that are there of jobs that no controller has seen the end of.

    Snakemake 9.27 marks the outputs of a job under way, and keeps a record of the job when it has
    ended. A cluster's job takes the mark away itself, but the record is the controller's: if that
    was killed, a later start takes the outputs for good, and a later edit of the job's params for
    none. The caller marks them again.

    Args:
        logs: folder of Snakemake's logs (.snakemake/log).
    """
    open_jobs: dict[str, list[str]] = {}
    for log in sorted(logs.glob("*.snakemake.log"), reverse=True):
        text = log.read_text(errors="replace")
        if re.search(r"^Complete log\(s\): ", text, re.M):
            break  # it ended by itself, and has looked at those before it
        for job, outputs in _open_jobs(text).items():
            open_jobs[f"{log.name} {job}"] = outputs
    paths = (Path(each) for outputs in open_jobs.values() for each in outputs)
    return sorted({path for path in paths if path.exists()})


def _open_jobs(text: str) -> dict[str, list[str]]:
    """Return job -> outputs of the jobs of a log that have no end in it."""
    found: dict[str, list[str]] = {}
    outputs: list[str] | None = None
    for line in text.splitlines():
        if re.match(r"\s*(local)?(rule|checkpoint) \w+:$", line):
            outputs = []
        elif re.match(r"\s*Error in ", line):
            outputs = None
        elif outputs is not None and (match := re.match(r"\s+output: (.+)", line)):
            outputs = match[1].split(", ")
        elif outputs is not None and (match := re.match(r"\s+jobid: (\d+)$", line)):
            found[match[1]] = outputs
            outputs = None
        elif match := re.match(r"Finished jobid: (\d+)", line):
            found.pop(match[1], None)
    return found


def end_leftovers(prefix: str, folder: Path, say: Callable[[str], None] = logger.warning) -> int:
    """End the Slurm jobs that a killed controller left behind in a folder, and return their number.

    Their outputs would be deleted and made again beside them: Snakemake knows only jobs that it
    started itself. They are asked to stop, so what has checkpoints writes one; returns when all are
    gone, so nothing runs twice. Call it under `hold_results`: then no other controller has jobs.

    Args:
        prefix: of the names of all jobs that controllers start.
        folder: where they run.
        say: shows a line.

    Raises:
        RuntimeError: Slurm does not answer, so that it is not known what runs.
    """
    jobs = _leftovers(prefix, folder)
    if not jobs:
        return 0
    say(
        f"ending {len(jobs)} Slurm jobs of an earlier start in {folder}, so that none runs twice "
        f"(they continue at their last checkpoint): {' '.join(jobs)}"
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
