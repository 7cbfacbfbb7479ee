"""Long jobs stop before their time is over, or on a signal, and continue in the same Slurm job.

SIGTERM, SIGUSR2 and SIGINT (Ctrl-C) stop a job that can continue: a training writes a checkpoint,
and a job with a journal keeps what is in it. `run_job` then asks Slurm to start the same job again.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

from nt_pkg.config.engines import EngineRuntime
from nt_pkg.jobs.journal import num_added
from nt_pkg.jobs.warm_interpreter import STOP_SECONDS
from nt_pkg.slurm.jobs import Machines, enter_own_step, requeue, warn_before_end

logger = logging.getLogger(__name__)
SIGNALS = (signal.SIGTERM, signal.SIGUSR2, signal.SIGINT)
EXIT_STATUS = 75  # EX_TEMPFAIL of sysexits.h: try again
_SAME_SECONDS = 1.0  # a signal to a whole process group may arrive twice within this time


class Stopped(SystemExit):
    """A job was stopped by a signal and can continue.

    It is a SystemExit, because a signal may arrive while libraries run: they catch errors, but
    asyncio and others let the end of a process through.

    Attributes:
        num_new: what this start has added: steps of a training, entries of a journal.
    """

    def __init__(self, reason: str, num_new: int) -> None:
        """Say what stopped it, and what is kept."""
        super().__init__(EXIT_STATUS)
        self.reason, self.num_new = reason, num_new

    def __str__(self) -> str:
        """Return the reason."""
        return f"stopped by {self.reason}; the same command continues"


class Forwarding:
    """Acts on the first signal; the same signal again ends this process at once.

    Nobody waits longer than ten seconds after Ctrl-C, whatever a step takes.
    Slurm's SIGTERM at the time limit does not interrupt a stop that its earlier SIGUSR2 started.
    Signals are blocked from the beginning of the block until `start`, so that none arrives after
    the ranks of a training have started and before they can receive it.
    """

    def __init__(self) -> None:
        """Start without a signal."""
        self.received: signal.Signals | None = None
        self._at = 0.0
        self._send: Callable[[signal.Signals], None] = lambda _: None
        self._before: dict[signal.Signals, Any] = {}
        self._is_over, self._ending = False, threading.Lock()

    def __enter__(self) -> Self:
        """Block signals."""
        self._before = {each: signal.getsignal(each) for each in SIGNALS}
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        return self

    def start(self, send: Callable[[signal.Signals], None]) -> None:
        """Hand signals on to `send` from now on."""
        self._send = send
        for each in SIGNALS:
            signal.signal(each, self._handle)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    @contextmanager
    def in_time(self, stop_seconds: int) -> Iterator[None]:
        """Act as if SIGUSR2 arrived, `stop_seconds` before the time of a Slurm job is over.

        Args:
            stop_seconds: 0: never.
        """
        over = threading.Event()
        if stop_seconds and os.environ.get("SLURM_JOB_ID"):
            arguments = (stop_seconds, self._raise_first, over)
            threading.Thread(target=warn_before_end, args=arguments, daemon=True).start()
        try:
            yield
        finally:
            over.set()

    def _raise_first(self) -> None:
        if self.received is None:
            self._raise(signal.SIGUSR2)

    def _raise(self, number: signal.Signals) -> None:
        with self._ending:
            if not self._is_over:
                os.kill(os.getpid(), number)

    def __exit__(self, *_: object) -> None:
        """Restore the previous signal handlers."""
        with self._ending:
            self._is_over = True
        for each, handler in self._before.items():
            signal.signal(each, handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _handle(self, number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if self.received is None:
            self.received, self._at = signal.Signals(number), now
            logger.info("%s: stopping", self.received.name)
            self._send(self.received)
            if number == signal.SIGINT:
                again = threading.Timer(STOP_SECONDS, self._raise, (signal.SIGINT,))
                again.daemon = True
                again.start()
        elif number == self.received and now - self._at > _SAME_SECONDS:
            logger.info("%s again: stopping at once", self.received.name)
            raise SystemExit(EXIT_STATUS)


@contextmanager
def journalled(stop_seconds: int) -> Iterator[None]:
    """Raise `Stopped` at a signal or before the time of a Slurm job is over.

    It is raised wherever the process is, so the block must keep its results in a `Journal`, which
    survives a kill at any moment, and close its engine in a `finally`.

    Args:
        stop_seconds: how long before the end of its time the job stops; 0: never.
    """
    before = num_added()

    def stop(number: signal.Signals) -> None:
        num_new = num_added() - before
        raise Stopped(f"{number.name}, with {num_new} new entries in the journal", num_new)

    with Forwarding() as signals:
        signals.start(stop)
        with signals.in_time(stop_seconds):
            yield


def run_journalled(
    module: str, argv: Sequence[str], runtime: EngineRuntime, work: Callable[[], None]
) -> int:
    """Do the work of a job that keeps its results in a journal; see `run_job`."""

    def stopped_in_time() -> None:
        with journalled(runtime.stop_seconds):
            work()

    return run_job(module, argv, runtime, runtime.threads, stopped_in_time)


def run_job(
    module: str, argv: Sequence[str], machines: Machines, threads: int, work: Callable[[], None]
) -> int:
    """Do the work of a job that can continue, and return its exit status.

    If the work was stopped and this start has made progress, Slurm starts the same job again.

    Args:
        module: the program, as `python -m` takes it.
        argv: its arguments.
        machines: what the job runs on.
        threads: cores of the job.
        work: raises `Stopped` if it was stopped.
    """
    enter_own_step(machines, threads, module, argv)
    try:
        work()
    except Stopped as stop:
        logger.info("%s", stop)
        requeue(stop.num_new)
        return EXIT_STATUS
    return 0
