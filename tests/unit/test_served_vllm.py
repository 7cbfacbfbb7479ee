"""A server within a job: started, asked, started again, and always ended."""

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import httpx2
import psutil
import pytest

from nt_pkg.config.engines import EngineRuntime, Sampling
from nt_pkg.engines import _served_vllm, _server, _server_process
from nt_pkg.engines._base import Engine, Model, Request
from nt_pkg.engines._only_ours import proof
from nt_pkg.engines._start import engine_for, engine_identity
from nt_pkg.files.json_files import write_json
from nt_pkg.microworld.tokenizer import CHAT_TEMPLATE, build_tokenizer
from nt_pkg.slurm.stopping import EXIT_STATUS, run_journalled
from tests.unit.conftest import ROOT

SAMPLING = Sampling(max_tokens=30)
REQUESTS = [Request(f"r{n}", f"What is {n}?", seed=n) for n in range(6)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Return the micro-world's model; the stand-in needs its tokenizer only."""
    folder = tmp_path_factory.mktemp("model")
    tokenizer = build_tokenizer()
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    write_json(folder / "generation_config.json", {"eos_token_id": tokenizer.eos_token_id})
    return Model(folder, "digest")


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let servers be the stand-in; return its folder."""
    monkeypatch.setenv("STAND_IN", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'tests/vllm_stand_in'}:{ROOT}")
    monkeypatch.setattr(_server_process, "_POLL_SECONDS", 0.05)
    return tmp_path


def _engine(model: Model, **runtime: float) -> Engine:
    return engine_for("vllm", {}, EngineRuntime(serve=True, batch=4, **runtime), model)


def _started(folder: Path) -> list[list[str]]:
    path = folder / "started"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def _lives(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def _wait(is_true: Callable[[], object]) -> None:
    ends = time.monotonic() + 60
    while not is_true():
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_a_server_is_started_asked_and_ended(
    stand_in: Path, model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    engine = _engine(model)
    with closing(engine):
        assert not _started(stand_in)  # before it is asked
        found = {each.id: each for each in engine.generate(REQUESTS, SAMPLING)}
        list(engine.generate(REQUESTS[:1], SAMPLING))
        ((_, pid, port),) = _started(stand_in)
        key = psutil.Process(int(pid)).environ()["VLLM_API_KEY"]
        url = f"http://127.0.0.1:{port}"
        ready = httpx2.get(f"{url}/health", headers={"x-nonce": "n"})
        assert ready.headers["x-proof"] == proof(key, "n") != proof(key, "m")
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            assert httpx2.get(f"{url}/v1/models", headers=headers).status_code == 401
        listening = psutil.Process(int(pid)).net_connections("tcp")
        assert {each.laddr.ip for each in listening} == {"127.0.0.1"}
        assert key not in " ".join(psutil.Process(int(pid)).cmdline())
    assert not _lives(int(pid))
    assert set(found) == {request.id for request in REQUESTS}
    assert {each.finish_reason for each in found.values()} == {"stop"}
    assert "0" in found["r0"].text
    assert len(key) == 64 and key not in caplog.text
    assert "VLLM_API_KEY" not in os.environ
    assert "the server is ready" in caplog.text


def test_served_or_not_is_no_part_of_the_identity(model: Model) -> None:
    served = _engine(model).identity
    assert served == engine_for("vllm", {}, EngineRuntime(), model).identity
    assert served == engine_identity("vllm", {}, "digest")


def test_a_server_that_dies_is_started_again(
    stand_in: Path, model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    """Finished texts are not asked for again; the next server has another key."""
    (stand_in / "slow").write_text("0.1")
    with closing(_engine(model)) as engine:
        found = []
        for completion in engine.generate(REQUESTS, SAMPLING):
            found.append(completion.id)
            if len(found) == 2:
                os.kill(int(_started(stand_in)[0][1]), signal.SIGKILL)
        assert len(_started(stand_in)) == 2
    assert sorted(found) == [request.id for request in REQUESTS]
    assert "has ended with SIGKILL" in caplog.text
    assert not any(_lives(int(pid)) for _, pid, _ in _started(stand_in))


def test_a_server_that_hangs_is_started_again(
    stand_in: Path, model: Model, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It lives and is healthy, and never makes a token; a slow one is waited for."""
    monkeypatch.setattr(_server, "_SAY_SECONDS", 0.1)
    monkeypatch.setattr(_served_vllm, "_HANGS_SECONDS", 0.5)
    (stand_in / "hang").touch()
    (stand_in / "slow").write_text("1.5")
    with closing(_engine(model)) as engine:
        found = [each.id for each in engine.generate(REQUESTS, SAMPLING)]
    assert sorted(found) == [request.id for request in REQUESTS]
    assert "the server hangs: 4 requests are under way" in caplog.text
    assert len(_started(stand_in)) == 2
    assert not any(_lives(int(pid)) for _, pid, _ in _started(stand_in))


def test_a_server_that_is_stopped_is_started_again(
    stand_in: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there, and answers to nothing."""
    monkeypatch.setattr(_server, "_SAY_SECONDS", 0.1)
    monkeypatch.setattr(_served_vllm, "_ASK_SECONDS", 0.1)
    monkeypatch.setattr(_served_vllm, "_HANGS_SECONDS", 0.5)
    monkeypatch.setattr(_server_process, "_END_SECONDS", 0.2)  # it cannot end itself
    with closing(_engine(model)) as engine:
        list(engine.generate(REQUESTS[:1], SAMPLING))
        os.kill(int(_started(stand_in)[0][1]), signal.SIGSTOP)
        assert len(list(engine.generate(REQUESTS, SAMPLING))) == len(REQUESTS)
        assert len(_started(stand_in)) == 2
    assert not any(_lives(int(pid)) for _, pid, _ in _started(stand_in))


class _Impostor(BaseHTTPRequestHandler):
    """Answers everything as if it were a server that is ready."""

    heard: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.heard.append(f"{self.path}\n{self.headers}")
        self.send_response(200)
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_nothing_is_said_to_a_stranger_at_the_port(
    stand_in: Path, model: Model, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Command lines tell the port, so others can be quicker; the next start takes another."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Impostor) as impostor:
        threading.Thread(target=impostor.serve_forever, daemon=True).start()
        ports, free = [(impostor.server_port, 1)], _served_vllm._free_ports
        monkeypatch.setattr(
            _served_vllm, "_free_ports", lambda address: ports.pop() if ports else free(address)
        )
        with closing(_engine(model)) as engine:
            found = {each.id: each for each in engine.generate(REQUESTS, SAMPLING)}
        impostor.shutdown()
    assert len(found) == len(REQUESTS) and "0" in found["r0"].text
    assert "Address already in use" in caplog.text
    assert len(_started(stand_in)) == 2
    assert _Impostor.heard
    assert all(each.startswith("/health\n") for each in _Impostor.heard)
    assert "authorization" not in "".join(_Impostor.heard).lower()


def test_a_server_that_always_dies_ends_the_job(stand_in: Path, model: Model) -> None:
    (stand_in / "crash").touch()
    with (
        closing(_engine(model)) as engine,
        pytest.raises(ValueError, match=r"died 3 times in this job(.|\n)*out of memory, say"),
    ):
        list(engine.generate(REQUESTS, SAMPLING))
    assert len(_started(stand_in)) == 3


def test_a_server_that_is_never_ready_is_given_up_and_ended(stand_in: Path, model: Model) -> None:
    (stand_in / "silent").touch()
    with closing(_engine(model, start_minutes=0.02)) as engine:
        wait = pytest.raises(ValueError, match=r"not ready after 0.02 min(.|\n)*stand-in on node")
        with wait:
            list(engine.generate(REQUESTS, SAMPLING))
    ((_, pid, _),) = _started(stand_in)
    assert not _lives(int(pid))


def test_a_server_ends_with_an_exception(stand_in: Path, model: Model) -> None:
    with pytest.raises(ZeroDivisionError), closing(_engine(model)) as engine:
        for _ in engine.generate(REQUESTS, SAMPLING):
            raise ZeroDivisionError
    ((_, pid, _),) = _started(stand_in)
    assert not _lives(int(pid))


def _job(model: Model) -> None:
    """Do what the job of a shard does."""

    def work() -> None:
        with closing(_engine(model)) as engine:
            list(engine.generate(REQUESTS, SAMPLING))

    sys.exit(run_journalled("x", [], EngineRuntime(), work))


@pytest.mark.parametrize(
    ("number", "status", "when"),
    [
        (signal.SIGTERM, EXIT_STATUS, "starting"),
        (signal.SIGTERM, EXIT_STATUS, "asking"),
        (signal.SIGKILL, -signal.SIGKILL, "asking"),
    ],
)
def test_a_server_ends_with_its_job(
    stand_in: Path, model: Model, number: signal.Signals, status: int, when: str
) -> None:
    """Also if the job is killed and can do nothing about it."""
    (stand_in / "slow").write_text("60")
    if when == "starting":
        (stand_in / "silent").touch()
    job = multiprocessing.get_context("fork").Process(target=_job, args=[model])
    job.start()
    _wait(lambda: _started(stand_in))
    ((_, pid, _),) = _started(stand_in)
    if when == "asking":
        _wait(lambda: len(psutil.Process(int(pid)).net_connections("tcp")) > 1)
    assert job.pid
    os.kill(job.pid, number)
    job.join(60)
    assert job.exitcode == status
    _wait(lambda: not _lives(int(pid)))
