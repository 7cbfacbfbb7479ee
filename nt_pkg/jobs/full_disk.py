"""A full disk is named, and ends a study that could not even write down that it failed."""

import contextlib
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from nt_pkg.files import layout
from nt_pkg.files.foreign_text import say

_FULL_BYTES = 1 << 20  # less than this is nothing
_LOOK_SECONDS = 10.0
_FULL_SECONDS = 30.0  # somebody may be making room, or a job its last file
_END_SECONDS = 20.0
_OF_MAIN_PROCESS = (".", layout.RESULTS, "logs", ".snakemake")


def say_full(what: str, folder: Path = Path()) -> str:
    """Return what to do about a full disk, which stopped something in a folder."""
    places = full_places(folder=folder) or ["a file system is full, or a quota is used up"]
    return (
        f"no space left ({what}): {'; '.join(places)}. Make room, and run the same command again: "
        "nothing that is finished is lost. `python -m scripts.plan` says how much a study needs"
    )


def full_places(names: Sequence[str] = (), folder: Path = Path()) -> list[str]:
    """Return a line on each full file system, of those with folders that a study writes to.

    Args:
        names: the folders; by default all that are written to.
        folder: where the workflow runs.
    """
    work = os.environ.get("NT_WORK", "work")
    found: dict[int, str] = {}
    for name in names or (*_OF_MAIN_PROCESS, work, tempfile.gettempdir()):
        try:
            at, device = os.statvfs(folder / name), (folder / name).stat().st_dev
        except OSError:
            continue
        free = at.f_bavail * at.f_frsize
        if free < _FULL_BYTES or (at.f_files and not at.f_favail):
            what = f"{free:,} bytes" if free < _FULL_BYTES else "no inodes"
            found.setdefault(
                device, f"the file system of {(folder / name).absolute()} has {what} left"
            )
    return list(found.values())


def end_when_full(
    is_full: Callable[[], Sequence[str]] = lambda: full_places(_OF_MAIN_PROCESS),
    end: Callable[[], None] | None = None,
    look_seconds: float = _LOOK_SECONDS,
    full_seconds: float = _FULL_SECONDS,
) -> threading.Thread:
    """Watch the disk, and end this process once it has been full for a while.

    Snakemake notes the end of each job in a file. If it cannot, it waits for that job for ever.

    Args:
        is_full: what is full now.
        end: ends the process.
        look_seconds: time between two looks.
        full_seconds: how long a disk has to be full.
    """

    def watch() -> None:
        seconds, waiting = 0.0, threading.Event()
        while seconds < full_seconds:
            waiting.wait(look_seconds)
            seconds = seconds + look_seconds if is_full() else 0.0
        (end or _end)()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def _end() -> None:
    """Ask Snakemake to end, and end it if it does not listen; its jobs on this machine end too."""
    with contextlib.suppress(OSError):  # the log is on the full disk
        say(f"error: {say_full('the study ends')}", sys.stderr)
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(_END_SECONDS)
    os._exit(1)
