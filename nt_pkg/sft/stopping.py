"""A rank notes signals, and all ranks act on them at the end of the next optimiser step.

The signal may reach the launcher, all ranks or some of them. The launcher forwards it.
"""

import signal
from types import FrameType

from nt_pkg.slurm.stopping import SIGNALS


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
