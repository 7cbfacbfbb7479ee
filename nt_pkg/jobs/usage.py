"""What a job used, in the last line of its log: CPU time and memory, its children included.

The job knows, however it was started: as a process, from the warm interpreter, or by Slurm. What
watches from outside sees another process, or nothing of a job that is over in half a second.
"""

import logging
import re
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from nt_pkg.files.foreign_text import read_end

logger = logging.getLogger("nt")
_LINE = re.compile(r" used ([0-9.]+) s of CPU, ([0-9.]+) MiB in its largest process$", re.MULTILINE)
_MAX_RSS_BYTES = 1 if sys.platform == "darwin" else 1024
_begun: list[str] = []  # the job that this process does


class Usage(NamedTuple):
    """Seconds of CPU of a job and of the children that it waited for, and its peak memory.

    `mib` is of the largest of these processes. In the warm interpreter it counts the libraries of
    all jobs, which are there once.
    """

    cpu_seconds: float
    mib: float


def begin(name: str) -> None:
    """Note which job this process does."""
    _begun[:] = [name]


@contextmanager
def counted() -> Iterator[None]:
    """Log at the end what a command used, if it says that it does a job."""
    _begun.clear()
    try:
        yield
    finally:
        for name in _begun:
            used = _used()
            line = "%s used %.2f s of CPU, %.1f MiB in its largest process"
            logger.info(line, name, used.cpu_seconds, used.mib)


def read_usage(log: Path) -> Usage | None:
    """Return what the last job of a log used; None if the log does not say."""
    try:
        text = read_end(log)
    except OSError:
        return None
    found = _LINE.findall(text)
    return Usage(*map(float, found[-1])) if found else None


def _used() -> Usage:
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    most = max(each.ru_maxrss for each in both) * _MAX_RSS_BYTES / 2**20
    return Usage(sum(each.ru_utime + each.ru_stime for each in both), most)
