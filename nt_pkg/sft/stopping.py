"""SIGTERM and SIGUSR2 end a training with a checkpoint instead of losing steps.

The signal may reach the launcher, all ranks or some of them. The launcher forwards it. A rank only
notes it, and all ranks act on it at the end of the next optimiser step.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

logger = logging.getLogger(__name__)
SIGNALS = (signal.SIGTERM, signal.SIGUSR2)
EXIT_STATUS = 75  # EX_TEMPFAIL of sysexits.h: try again
_SAME_SECONDS = 1.0  # a signal to a whole process group may arrive twice within this time


class Stopped(Exception):
    """A training was stopped by a signal and can continue from its checkpoint.

    Attributes:
        num_new_steps: steps since this start.
    """

    def __init__(self, name: str, step: int, num_steps: int, num_new_steps: int) -> None:
        """Say what stopped it, and at which step."""
        super().__init__(
            f"stopped by {name} after step {step} of {num_steps}; checkpoint written; the same "
            "command continues"
        )
        self.num_new_steps = num_new_steps


class Notes:
    """The signals that a rank has received."""

    def __init__(self) -> None:
        """Note signals from now on, including those that were blocked during the start."""
        self.flags = [0.0] * len(SIGNALS)
        for each in SIGNALS:
            signal.signal(each, self._note)
            signal.siginterrupt(each, False)  # libraries may not handle interrupted calls
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.flags[SIGNALS.index(signal.Signals(number))] = 1.0


class Forwarding:
    """Forwards the first signal to the ranks; the same signal again ends this process at once.

    Slurm's SIGTERM at the time limit does not interrupt a stop that its earlier SIGUSR2 started.
    Signals are blocked from the beginning of the block until `start`, so that none arrives after
    the ranks have started and before they can receive it.
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
        """Forward signals with `send` from now on."""
        self._send = send
        for each in SIGNALS:
            signal.signal(each, self._handle)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def raise_first(self) -> None:
        """Act as if SIGUSR2 arrived, unless a signal did or the block ended; for threads."""
        with self._ending:
            if self.received is None and not self._is_over:
                os.kill(os.getpid(), signal.SIGUSR2)

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
            logger.info("%s: stopping after this step", self.received.name)
            self._send(self.received)
        elif number == self.received and now - self._at > _SAME_SECONDS:
            logger.info("%s again: stopping at once", self.received.name)
            raise SystemExit(EXIT_STATUS)
