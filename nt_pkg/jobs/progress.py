"""The line that a job logs at its start, and progress lines while it runs."""

import json
import logging
import os
import platform
import sys
import time
from pathlib import Path

from nt_pkg import __version__
from nt_pkg.files.json_files import digest
from nt_pkg.jobs import usage
from nt_pkg.jobs.command import CleanFormatter

logger = logging.getLogger("nt")


def start_job(name: str, spec: str = "") -> None:
    """Set up logging, and log what runs where; `run_command` logs at the end what it used.

    Call `ready` when imports are done and work begins.
    """
    usage.begin(name)
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        force=True,
    )
    [handler] = logging.getLogger().handlers
    handler.setFormatter(CleanFormatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger.info(
        "%s nt_pkg %s host %s spec %s",
        name,
        __version__,
        platform.node(),
        digest(spec) if spec else "-",
    )


def ready(name: str, threads: int = 1, started: float | None = None) -> None:
    """Record how long the launch and the imports of the job took.

    The launcher passes the time of the launch (NT_JOB_STARTED, seconds since the epoch) and the
    file for the record (NT_JOB_TIMES, to which all jobs of one invocation append). Without these
    variables nothing is recorded.

    Args:
        name: the script.
        threads: cores that the job occupied meanwhile.
        started: when this part of the start-up began; by default when the job was launched.
    """
    now = time.time()
    # The shell may use the decimal mark of the user's language, or leave the variable empty.
    launched = os.environ.get("NT_JOB_STARTED", "").replace(",", ".")
    begun = started if started is not None else float(launched or now)
    logger.info("%s ready after %.2f s", name, now - begun)
    if target := os.environ.get("NT_JOB_TIMES"):
        line = json.dumps({"script": name, "startup_s": round(now - begun, 3), "threads": threads})
        with Path(target).open("a") as file:
            file.write(line + "\n")


_BAR = 24  # characters
_FIRST_SECONDS = 10.0


class Progress:
    """Rate and time left: a bar that is redrawn on a terminal, otherwise lines of a log.

    The first line appears after at most ten seconds, the others every `every_seconds`.
    """

    def __init__(self, what: str, total: int, done: int = 0, every_seconds: float = 10.0) -> None:
        """Start counting `total` pieces, of which `done` were finished before."""
        self._what, self._total, self._done = what, total, done
        self._is_shown = sys.stderr.isatty()
        self._every = 0.2 if self._is_shown else every_seconds
        self._wait = min(self._every, _FIRST_SECONDS)
        self._begun = self._last = time.monotonic()
        self._new = self._tokens = 0
        if done:
            logger.info("%s: %d of %d were done before", what, done, total)

    def add(self, count: int, note: str = "", tokens: int = 0) -> None:
        """Count finished pieces and their tokens; write a line if one is due."""
        self._done += count
        self._new += count
        self._tokens += tokens
        now = time.monotonic()
        if now - self._last < self._wait and self._done < self._total:
            return
        self._last, self._wait = now, self._every
        seconds = max(now - self._begun, 1e-9)
        rate = self._new / seconds
        if self._tokens:
            note = f", {self._tokens / seconds:.0f} tokens/s{note}"
        left = (self._total - self._done) / max(rate, 1e-9)
        state = f"{self._done} of {self._total}, {rate:.1f}/s, {left:.0f} s left{note}"
        if not self._is_shown:
            logger.info("%s: %s", self._what, state)
            return
        full = _BAR * self._done // max(self._total, 1)
        end = "\n" if self._done >= self._total else ""
        # Return to the start of the line and clear it, because the old text may be longer.
        sys.stderr.write(f"\r\x1b[2K{self._what} [{'#' * full:.<{_BAR}}] {state}{end}")
        sys.stderr.flush()
