"""Progress, as people and logs see it."""

import io
import logging
import sys
from collections.abc import Iterator

import pytest

from nt_pkg.jobs.progress import Progress


class Terminal(io.StringIO):
    """What is written to a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Return the time in a list, to be moved by the test."""
    now = [100.0]
    monkeypatch.setattr("nt_pkg.jobs.progress.time.monotonic", lambda: now[0])
    yield now


def test_log_has_a_line_soon_and_then_one_a_minute(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="nt")
    progress = Progress("steps", 200, every_seconds=60)

    for _ in range(200):
        clock[0] += 1
        progress.add(1, ", loss 2.0", tokens=50)

    done = [int(record.getMessage().split()[1]) for record in caplog.records]
    assert done == [10, 70, 130, 190, 200]
    assert caplog.records[1].getMessage() == (
        "steps: 70 of 200, 1.0/s, 130 s left, 50 tokens/s, loss 2.0"
    )


def test_terminal_has_a_bar_on_one_line(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    progress = Progress("steps", 4)

    for _ in range(4):
        clock[0] += 1
        progress.add(1)

    drawn = terminal.getvalue().split("\r\x1b[2K")[1:]
    assert drawn[1] == f"steps [{'#' * 12}{'.' * 12}] 2 of 4, 1.0/s, 2 s left"
    assert len(drawn) == 4
    assert terminal.getvalue().count("\n") == 1
