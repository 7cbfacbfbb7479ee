"""How often something is asked for, and how long it is waited for, on a clock of the test's own.

The bounds are wide: they hold for any interval of the same order, and no test has to wait.
"""

import asyncio
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nt_pkg.config.engines import EngineRuntime, Sampling, Server
from nt_pkg.engines._base import Request
from nt_pkg.engines._start import engine_for
from nt_pkg.slurm import jobs, stopping, takeover
from tests.unit.fake_openai import serving


class Clock:
    """A time that passes only while somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Over:
    """An event that is set at some time of a clock."""

    def __init__(self, clock: Clock, at: float) -> None:
        self._clock, self._at = clock, at

    def is_set(self) -> bool:
        return self._clock.now >= self._at

    def wait(self, seconds: float) -> None:
        self._clock.sleep(seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_end_of_earlier_jobs_is_looked_for_every_few_seconds(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Often enough that a start loses little, and seldom enough for Slurm's controller."""
    asked: list[float] = []
    given: list[dict[str, Any]] = []

    def run(command: list[str], **options: Any) -> Any:
        given.append(options)
        if command[0] == "squeue":
            asked.append(clock.now)
        left = "7|nt_5d1|/here\n" if clock.now < 1100 else ""
        return subprocess.CompletedProcess(command, 0, left, "")

    monkeypatch.setattr(takeover, "time", clock)
    monkeypatch.setattr(subprocess, "run", run)
    said: list[str] = []

    assert takeover.end_leftovers("nt", Path("/here"), said.append) == 1

    assert 1100 <= clock.now < 1110
    assert 15 < len(asked) < 120
    # One line when it begins, and then about two a minute, so that nobody takes it for hanging.
    assert 3 <= len(said) <= 8
    # Slurm answers in seconds; a controller that is overloaded takes longer than a few.
    assert all(20 <= each["timeout"] <= 300 for each in given)


def limit_of(minutes: int, elapsed_s: float) -> jobs.JobFacts:
    text = (
        f"JobState=RUNNING Requeue=1 RunTime={_clock(elapsed_s)} TimeLimit={_clock(60 * minutes)}"
    )
    return jobs.job_facts(text)


def _clock(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours // 24}-{hours % 24:02}:{rest // 60:02}:{rest % 60:02}"


def watch(
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    answer: Callable[[float], jobs.JobFacts | None],
    over_after: float = 1e6,
) -> tuple[list[float], list[float]]:
    """Return when Slurm was asked and when the job was warned, in seconds from its start."""
    asked: list[float] = []
    warned: list[float] = []
    start = clock.now

    def show_job() -> jobs.JobFacts | None:
        asked.append(clock.now - start)
        return answer(asked[-1])

    monkeypatch.setattr(jobs, "show_job", show_job)
    over: Any = Over(clock, start + over_after)
    jobs.warn_before_end(300, lambda: warned.append(clock.now - start), over)
    return asked, warned


def test_limit_of_a_job_is_asked_for_now_and_then(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day's job is warned in time, and asks its controller neither every second nor once."""
    asked, warned = watch(clock, monkeypatch, lambda now: limit_of(24 * 60, now))

    assert len(warned) == 1 and 24 * 3600 - 300 - 1 <= warned[0] < 24 * 3600 - 200
    assert 24 <= len(asked) <= 24 * 60


def test_limit_that_an_administrator_shortens_is_seen_in_time(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, warned = watch(clock, monkeypatch, lambda now: limit_of(24 * 60 if now < 3600 else 120, now))

    assert len(warned) == 1 and warned[0] < 7200 - 200


def test_silent_controller_is_asked_again_within_minutes(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, warned = watch(clock, monkeypatch, lambda _: None, over_after=3600)

    assert not warned
    assert 12 <= len(asked) <= 360


@pytest.mark.parametrize(("minutes", "expected"), [(24 * 60, 300), (50, 300), (10, 60)])
def test_short_job_is_warned_in_its_last_tenth(minutes: int, expected: float) -> None:
    assert jobs.lead_seconds(limit_of(minutes, 0), 300) == expected


def test_scontrol_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def run(command: list[str], **options: Any) -> Any:
        given.update(options)
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setattr(subprocess, "run", run)

    assert jobs.show_job() is None
    assert 20 <= given["timeout"] <= 300


@pytest.mark.parametrize(
    ("seconds", "ends"),
    [(0.2, False), (0.9, False), (5.0, True)],  # one signal that came twice; two of them
)
def test_second_signal_counts_if_it_is_not_the_first_again(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, seconds: float, ends: bool
) -> None:
    monkeypatch.setattr(stopping, "time", clock)
    stop = stopping.Forwarding()
    stop._handle(signal.SIGTERM, None)
    clock.sleep(seconds)

    if ends:
        with pytest.raises(SystemExit) as caught:
            stop._handle(signal.SIGTERM, None)
        assert caught.value.code == stopping.EXIT_STATUS == 75  # what the rules wait for
    else:
        stop._handle(signal.SIGTERM, None)


class Waited(Exception):
    """What a wait is ended with, so that nobody has to."""


def waits_for(
    monkeypatch: pytest.MonkeyPatch, url: str, most: int = 1, **server: Any
) -> list[float]:
    """Return the seconds that an engine wants to wait before it asks a server again."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == most:
            raise Waited

    monkeypatch.setattr(asyncio, "sleep", sleep)
    runtime = EngineRuntime(batch=1, server=Server(base_url=url, **server))
    engine = engine_for("openai", {"model": "teacher"}, runtime, None)
    with pytest.raises(Waited):
        list(engine.generate([Request("a", "q")], Sampling(max_tokens=9)))
    return waits


def test_server_that_is_starting_is_asked_every_few_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [wait] = waits_for(monkeypatch, "http://127.0.0.1:9/v1", start_seconds=600)

    assert 0.5 <= wait <= 15


def test_address_that_is_silent_is_given_up_in_a_minute_or_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[float] = []
    timeout = asyncio.timeout

    def noting(seconds: float) -> asyncio.Timeout:
        given.append(seconds)
        return timeout(seconds)

    monkeypatch.setattr(asyncio, "timeout", noting)
    waits_for(monkeypatch, "http://127.0.0.1:9/v1", start_seconds=600)

    assert 5 <= given[0] <= 120


def test_waits_before_another_try_double_up_to_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(plan={"q": [(500, {})]}) as fake:
        waits = waits_for(monkeypatch, fake.url, most=12, retries=20, backoff_seconds=1)

    assert all(0.5 * min(2**n, 60) <= wait <= min(2**n, 60) for n, wait in enumerate(waits))


def test_server_that_wants_hours_gets_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(plan={"q": [(429, {"Retry-After": "999999"})]}) as fake:
        [wait] = waits_for(monkeypatch, fake.url, retries=2)

    assert 1800 <= wait <= 2 * 3600
