"""SIGTERM and SIGUSR2 end a training with a checkpoint instead of losing steps.

The signal may reach the launcher, all ranks or some of them. The launcher passes it on; a rank only
notes it, and the ranks agree on it at the end of the next optimiser step.
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
_SAME_SECONDS = 1.0  # a signal to a whole group of processes may come twice


class Stopped(Exception):
    """A training was stopped by a signal and can go on from where it was.

    Attributes:
        num_new_steps: steps done since this start.
    """

    def __init__(self, name: str, step: int, num_steps: int, num_new_steps: int) -> None:
        """Say by what, and where."""
        super().__init__(
            f"stopped by {name} after step {step} of {num_steps}; checkpoint written; the same "
            "command continues"
        )
        self.num_new_steps = num_new_steps


class Notes:
    """The signals that a rank has got."""

    def __init__(self) -> None:
        """Note signals from now on, those included that were held back while it was started."""
        self.flags = [0.0] * len(SIGNALS)
        for each in SIGNALS:
            signal.signal(each, self._note)
            signal.siginterrupt(each, False)  # libraries need not know of interrupted calls
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.flags[SIGNALS.index(signal.Signals(number))] = 1.0


class Forwarding:
    """Passes the first signal on to the ranks; the same one again ends this process at once.

    Slurm's SIGTERM at the end of the time does not cut off what its SIGUSR2 before has begun.
    Signals are held back from the beginning of the block until `start`, so that none comes between
    the ranks' start and the moment when they can be told.
    """

    def __init__(self) -> None:
        """Prepare."""
        self.received: signal.Signals | None = None
        self._at = 0.0
        self._send: Callable[[signal.Signals], None] = lambda _: None
        self._before: dict[signal.Signals, Any] = {}
        self._is_over, self._ending = False, threading.Lock()

    def __enter__(self) -> Self:
        """Hold signals back."""
        self._before = {each: signal.getsignal(each) for each in SIGNALS}
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        return self

    def start(self, send: Callable[[signal.Signals], None]) -> None:
        """Pass signals on with `send` from now on."""
        self._send = send
        for each in SIGNALS:
            signal.signal(each, self._handle)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def raise_first(self) -> None:
        """Act as if a signal came, unless one did or the block is over; called from a thread."""
        with self._ending:
            if self.received is None and not self._is_over:
                os.kill(os.getpid(), signal.SIGUSR2)

    def __exit__(self, *_: object) -> None:
        """Treat signals as before."""
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
