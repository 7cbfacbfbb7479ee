"""Whether the work on a text grows with its length and no faster.

No test asks how long something takes, since that depends on what else the machine does. This one
asks how often as much CPU time four times the length takes: 4 if it is linear, 16 if it grows with
the square. Whatever disturbs a measurement makes it longer, so the best of several counts.
"""

import time
from collections.abc import Callable

_SMALLEST, _LARGEST = 1000, 128_000
_ENOUGH_S = 0.005  # shorter ones say nothing
_MOST_RATIO, _TRIES = 8, 6


def assert_linear(work: Callable[[str], object], text: Callable[[int], str]) -> None:
    """Fail if the work grows faster than the text.

    Args:
        work: what is done with a text.
        text: makes one whose length is proportional to a number.
    """
    size = _SMALLEST
    while _cpu_seconds(work, text(size)) < _ENOUGH_S and size < _LARGEST:
        size *= 2
    short, long = text(size), text(4 * size)
    ratios = []
    for _ in range(_TRIES):
        ratios.append(_cpu_seconds(work, long) / _cpu_seconds(work, short))
        if ratios[-1] < _MOST_RATIO:
            return
    raise AssertionError(f"four times {size} take {min(ratios):.0f} times as long")


def _cpu_seconds(work: Callable[[str], object], text: str) -> float:
    start = time.process_time()
    work(text)
    return time.process_time() - start
