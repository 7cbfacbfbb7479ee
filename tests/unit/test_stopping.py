"""Jobs with a journal stop on a signal and before their time is over, and lose nothing."""

import fcntl
import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from nt_pkg.annotations.label_questions import label_questions
from nt_pkg.annotators._base import Label, QuestionAnnotator
from nt_pkg.config.base import NoParams
from nt_pkg.config.engines import EngineRuntime, Sampling
from nt_pkg.engines._base import Completion, Request, run_requests
from nt_pkg.engines._start import _Waiting
from nt_pkg.files.parquet import read_parquet
from nt_pkg.files.schemas import TRACES, Row
from nt_pkg.slurm import stopping
from tests.unit.fake_openai import Fake, serving
from tests.unit.shard_job import KEY, arguments, write_prompts

NUM_ROWS = 40
IN_FLIGHT = {"q11", "q23"}  # not answered before the job is stopped


@pytest.fixture
def in_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a Slurm job whose end is near once the file `near` is in the returned folder."""
    script = tmp_path / "bin" / "scontrol"
    script.parent.mkdir()
    script.write_text(
        f"""#!/bin/sh
echo "$@" >> {tmp_path}/calls
while [ "$2" = job ] && [ -d {tmp_path} ] && ! [ -e {tmp_path}/near ] && kill -0 $PPID; do
    sleep 0.02
done
echo JobState=RUNNING Requeue=1 RunTime=11:59:00 TimeLimit=12:00:00
"""
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "42")
    monkeypatch.setenv("NT_IN_OWN_STEP", "1")
    monkeypatch.setenv("NT_WORK", str(tmp_path / "work"))
    monkeypatch.setenv("NT_TEST_KEY", KEY)
    return tmp_path


@contextmanager
def job(folder: Path, fake: Fake) -> Iterator[subprocess.Popen[str]]:
    """Run the job of a shard, and end it after the block if it has not ended."""
    command = [sys.executable, "-m", "scripts.generate_traces", *arguments(folder, fake, batch=4)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until(what: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not what():
        assert time.monotonic() < until
        time.sleep(0.005)


def entries(folder: Path) -> list[str]:
    """Return the keys in the journal of the shard."""
    lines = (folder / "traces.answers/completions.jsonl").read_text().splitlines()
    return [json.loads(line)["key"] for line in lines]


@pytest.mark.parametrize("how", ["SIGTERM", "SIGUSR2", "time limit"])
def test_shard_that_is_stopped_continues_in_the_same_job(in_a_job: Path, how: str) -> None:
    """It neither waits for the requests in flight nor asks again what it has."""
    write_prompts(in_a_job / "prompts.parquet", NUM_ROWS)
    with serving(key=KEY, plan={question: ["wait"] for question in IN_FLIGHT}) as fake:
        with job(in_a_job, fake) as process:
            wait_until(lambda: len(fake.asked) == NUM_ROWS)
            wait_until(lambda: len(entries(in_a_job)) == NUM_ROWS - len(IN_FLIGHT))
            if how == "time limit":
                (in_a_job / "near").touch()
            else:
                process.send_signal(signal.Signals[how])
                (in_a_job / "near").touch()  # only now does scontrol answer
            _, said = process.communicate(timeout=30)
        assert process.returncode == 75, said
        name = "SIGUSR2" if how == "time limit" else how
        assert re.search(rf"stopped by {name}, with \d+ new entries in the journal; the same", said)
        assert (in_a_job / "calls").read_text().endswith("requeue 42\n")
        assert not (in_a_job / "traces.parquet").exists()
        fake.plan.clear()
        (in_a_job / "near").unlink()
        with job(in_a_job, fake) as process:
            _, said = process.communicate(timeout=30)
        assert process.returncode == 0, said

    again = fake.questions()[NUM_ROWS:]
    assert set(again) == IN_FLIGHT
    assert len(again) == len(IN_FLIGHT)
    assert len(set(entries(in_a_job))) == len(entries(in_a_job)) == NUM_ROWS
    rows = read_parquet(in_a_job / "traces.parquet", TRACES)
    assert [row["answer"] for row in rows] == [f"q{n}!" for n in range(NUM_ROWS)]


def test_start_without_a_new_row_is_not_repeated(in_a_job: Path) -> None:
    write_prompts(in_a_job / "prompts.parquet", 2)
    plan = {"q0": ["wait"], "q1": ["wait"]}
    with serving(key=KEY, plan=plan) as fake, job(in_a_job, fake) as process:
        wait_until(lambda: len(fake.asked) == 2)
        (in_a_job / "near").touch()
        _, said = process.communicate(timeout=30)

    assert process.returncode == 75
    assert "this start made no progress" in said
    assert "requeue" not in (in_a_job / "calls").read_text()


class Answering:
    """An engine that answers, is told to stop, and has something to take down."""

    def __init__(self, number: signal.Signals, batch_size: int | None) -> None:
        self.number, self.batch_size = number, batch_size
        self.num_asked, self.events = 0, list[str]()

    def generate(self, requests: Sequence[Request], _: Sampling) -> Iterable[Completion]:
        try:
            for request in requests:
                self.num_asked += 1
                if self.num_asked == 4:
                    os.kill(os.getpid(), self.number)
                yield Completion(request.id, "x", 1, 1, "stop")
        finally:
            self.events.append("requests ended")

    def close(self) -> None:
        self.events.append("server down")


@pytest.mark.parametrize(("batch_size", "kept"), [(None, 3), (2, 2), (4, 0)])
@pytest.mark.parametrize("number", stopping.SIGNALS)
def test_engine_is_closed_before_the_job_ends(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    number: signal.Signals,
    batch_size: int | None,
    kept: int,
) -> None:
    """A batch is kept whole or not at all; a single text at once."""
    caplog.set_level(logging.INFO)
    engine, requeued = Answering(number, batch_size), list[int]()
    monkeypatch.setattr(stopping, "requeue", requeued.append)
    before = [signal.getsignal(each) for each in stopping.SIGNALS]

    def work() -> None:
        with closing(_Waiting({"kind": "x"}, lambda: engine)) as waiting:
            requests = [Request(f"r{n}", "q") for n in range(8)]
            run_requests(waiting, requests, Sampling(), tmp_path, "x")

    status = stopping.run_journalled("x", [], EngineRuntime(), work)

    assert status == stopping.EXIT_STATUS
    assert requeued == [kept]
    assert engine.events[-1] == "server down"
    lines = (tmp_path / "completions.jsonl").read_text().splitlines()
    assert len(lines) == kept
    assert f"stopped by {number.name}, with {kept} new entries" in caplog.text
    assert [signal.getsignal(each) for each in stopping.SIGNALS] == before


def test_labels_of_questions_continue_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models of embeddings keep each batch."""
    seen: list[str] = []

    def start(*_: Any) -> Callable[[Sequence[str]], list[Label]]:
        def label(questions: Sequence[str]) -> list[Label]:
            if len(seen) == 4:
                seen.append("stopped")
                os.kill(os.getpid(), signal.SIGTERM)
            seen.extend(questions)
            return [Label(question) for question in questions]

        return label

    by = QuestionAnnotator(params=NoParams, start=start, needs_model=True)
    monkeypatch.setattr("nt_pkg.annotations.label_questions.labeller", lambda *_, **__: (by, ""))
    requeued = list[int]()
    monkeypatch.setattr(stopping, "requeue", requeued.append)
    prompts = [{"id": f"r{n}", "question": f"q{n}"} for n in range(9)]
    rows: list[Row] = []

    def work() -> None:
        rows.extend(label_questions("x", {}, prompts, tmp_path, 2, tmp_path))

    statuses = [stopping.run_journalled("x", [], EngineRuntime(), work) for _ in range(2)]

    assert statuses == [stopping.EXIT_STATUS, 0]
    assert requeued == [4]
    assert sorted(seen) == [*(f"q{n}" for n in range(9)), "stopped"]  # each once
    assert [json.loads(row["value"]) for row in rows] == [f"q{n}" for n in range(9)]


def test_stopped_job_frees_its_journal(tmp_path: Path) -> None:
    """The same process can continue while what stopped it is still held."""
    requests = [Request(f"r{n}", "q") for n in range(8)]
    engine = _Waiting({"kind": "x"}, lambda: Answering(signal.SIGTERM, None))
    with pytest.raises(stopping.Stopped) as held, stopping.journalled(0):
        run_requests(engine, requests, Sampling(), tmp_path, "x")

    assert held.tb
    with (tmp_path / "completions.jsonl").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    found = run_requests(engine, requests, Sampling(), tmp_path, "x")
    assert [each.text for each in found] == ["x"] * 8
