"""One start of a server within a job: its processes on all nodes, from the start to the end."""

import contextlib
import logging
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence

import httpx2

from nt_pkg.engines._only_ours import challenge
from nt_pkg.files.foreign_text import keep_secret, printable
from nt_pkg.jobs.warm_interpreter import die_with_parent
from nt_pkg.slurm.jobs import Command

logger = logging.getLogger(__name__)
_NUM_LINES = 60  # of each node, shown when the server has died; vLLM ends with long traces
_POLL_SECONDS = 1.0
_SAY_SECONDS = 30.0
# Together less than Slurm's KillWait, 30 s unless a site has changed it.
_END_SECONDS = 10.0


class ServerDied(Exception):
    """A process of the server has ended, or it answers no more; the text says what is known."""


class ServerProcess:
    """The processes of a server, one per node; the first one answers requests.

    They end with `close`, and also if this process is killed. Their output goes to the log.
    """

    def __init__(
        self, commands: Sequence[Command], environment: Mapping[str, str], key: str
    ) -> None:
        """Start them.

        Args:
            commands: one per node.
            environment: variables of all of them.
            key: secret that is cut out of what they print.
        """
        self._environment, self._key = environment, key
        keep_secret(key)
        self._processes: list[subprocess.Popen[str]] = []
        self._lines: list[deque[str]] = []
        self._readers: list[threading.Thread] = []
        try:
            for rank, command in enumerate(commands):
                self._start(rank, command)
        except BaseException:
            self.close()
            raise

    def _start(self, rank: int, command: Command) -> None:
        process = subprocess.Popen(
            command.argv,
            env={**os.environ, **self._environment, **command.env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
        lines: deque[str] = deque(maxlen=_NUM_LINES)
        reader = threading.Thread(target=self._read, args=(rank, process, lines), daemon=True)
        self._processes.append(process)
        self._lines.append(lines)
        self._readers.append(reader)
        reader.start()

    def _read(self, rank: int, process: subprocess.Popen[str], lines: deque[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            said = printable(line.rstrip())
            lines.append(said)
            logger.info("server %d: %s", rank, said)

    def check(self) -> None:
        """Return if all processes run.

        Raises:
            ServerDied: one has ended.
        """
        for rank, process in enumerate(self._processes):
            if (status := process.poll()) is not None:
                self._readers[rank].join(1.0)
                how = signal.Signals(-status).name if status < 0 else f"status {status}"
                said = "\n".join(self._lines[rank]) or "nothing"
                raise ServerDied(
                    f"the server's process {rank} of {len(self._processes)} has ended with "
                    f"{how}; its last lines:\n{said}"
                )

    def wait_until_healthy(self, url: str, minutes: float) -> None:
        """Return once the server answers.

        Args:
            url: its address.
            minutes: after which it is given up.

        Raises:
            ServerDied: it has ended.
            ValueError: it took too long.
        """
        begun = said = time.monotonic()
        while not _is_healthy(url, self._key):
            self.check()
            now = time.monotonic()
            if now - begun > 60 * minutes:
                last = "\n".join(line for lines in self._lines for line in lines)
                raise ValueError(
                    f"the server is not ready after {minutes:g} min: raise "
                    f"`runtime.start_minutes`; its last lines:\n{last}"
                )
            if now - said >= _SAY_SECONDS:
                said = now
                logger.info(
                    "the server is starting: %.0f s of at most %.0f", now - begun, 60 * minutes
                )
            time.sleep(_POLL_SECONDS)
        logger.info("the server is ready after %.0f s", time.monotonic() - begun)

    def close(self) -> None:
        """End all processes: first with SIGTERM, on which srun ends its step, then with SIGKILL."""
        for how in (signal.SIGTERM, signal.SIGKILL):
            for process in self._processes:
                _signal_group(process, how)
            ends = time.monotonic() + _END_SECONDS
            for process in self._processes:
                try:
                    process.wait(max(0.0, ends - time.monotonic()))
                except subprocess.TimeoutExpired:
                    continue
        for reader in self._readers:
            reader.join(1.0)
        logger.info("the server has ended")


def _end_with_parent() -> None:
    die_with_parent(signal.SIGTERM)


def _signal_group(process: subprocess.Popen[str], how: signal.Signals) -> None:
    """Signal a process and its children; some may have outlived it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, how)


def _is_healthy(url: str, key: str) -> bool:
    """Return whether a server is ready, and ours."""
    headers, is_proven = challenge(key)
    try:
        found = httpx2.get(f"{url}/health", headers=headers, timeout=10.0, trust_env=False)
    except httpx2.HTTPError:
        return False
    if found.status_code == 200 and not is_proven(found.headers):
        logger.warning("%s: somebody answers who does not have the key of this server", url)
        return False
    return found.status_code == 200
