"""The warm interpreter runs jobs as a fresh one would."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from snakemake import benchmark

from nt_pkg.snakemake_io.measured import measure_jobs

ROOT = Path(__file__).parents[2]
SERVE = """
import sys
from nt_pkg.jobs import warm_interpreter as warm
warm._LIBRARIES = ('json',)
warm.STOP_SECONDS = 1.0
warm.serve(sys.argv[1])
"""
Client = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Start a server that imports next to nothing."""
    address = str(tmp_path / "warm.sock")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ONLY_SERVER": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, address],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


@pytest.fixture
def client(server: "subprocess.Popen[str]", tmp_path: Path) -> Client:
    """Return a function that starts a job from its source, as the rules do."""

    def start(source: str, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        folder = tmp_path / "jobs"
        folder.mkdir(exist_ok=True)
        (folder / "job.py").write_text(source)
        return subprocess.Popen(
            [
                sys.executable,
                "-I",
                "-S",
                str(ROOT / "nt_pkg" / "jobs" / "warm_interpreter.py"),
                "run",
                "job",
                *arguments,
            ],
            env={
                "NT_WARM": str(tmp_path / "warm.sock"),
                "PYTHONPATH": str(ROOT),
                "PYTHONDONTWRITEBYTECODE": "1",
                **environment,
            },
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.mark.parametrize(
    ("source", "status", "error"),
    [
        ("pass", 0, ""),
        ("import sys; sys.exit(0)", 0, ""),
        ("import sys; sys.exit()", 0, ""),
        ("import sys; sys.exit(3)", 3, ""),
        ("import sys; sys.exit('what went wrong')", 1, "what went wrong\n"),
        ("import os; os._exit(7)", 7, ""),
        ("1 / 0", 1, "ZeroDivisionError: division by zero\n"),
        ("import nothing_of_the_kind", 1, "No module named 'nothing_of_the_kind'\n"),
    ],
)
def test_status_and_messages(client: Client, source: str, status: int, error: str) -> None:
    process = client(source)

    _, stderr = process.communicate(timeout=30)

    assert process.returncode == status
    assert stderr.endswith(error)
    assert bool(stderr) is bool(error)


def test_job_killed_by_a_signal_fails(client: Client) -> None:
    process = client("import os; os.kill(os.getpid(), 9)")

    process.communicate(timeout=30)

    assert process.returncode not in (0, None)


def test_job_sees_its_own_place(client: Client, tmp_path: Path) -> None:
    source = (
        "import json, os, sys\n"
        "print(json.dumps([sys.argv[1:], os.getcwd(), os.environ.get('MINE'),\n"
        "      'ONLY_SERVER' in os.environ, __name__]))\n"
        "print('to stderr', file=sys.stderr)\n"
    )
    process = client(source, "--a b", "c\n", MINE="x")

    stdout, stderr = process.communicate(timeout=30)

    expected = [["--a b", "c\n"], str((tmp_path / "jobs").resolve()), "x", False, "__main__"]
    assert json.loads(stdout) == expected
    assert stderr == "to stderr\n"


def test_jobs_run_side_by_side_and_know_nothing_of_each_other(
    client: Client, tmp_path: Path
) -> None:
    """The first ends only when it is told to, after the second."""
    first = client(
        "import pathlib, sys, time\nsys.left_behind = 1\npathlib.Path('begun').touch()\n"
        "while not pathlib.Path('go').exists(): time.sleep(0.02)\nprint('first')\n"
    )
    assert wait_for((tmp_path / "jobs" / "begun").exists)
    second = client("import sys; print(hasattr(sys, 'left_behind'))")

    assert second.communicate(timeout=30)[0] == "False\n"
    assert first.poll() is None
    (tmp_path / "jobs" / "go").touch()
    assert first.communicate(timeout=30)[0] == "first\n"


def test_edit_counts_for_the_next_job(client: Client, tmp_path: Path) -> None:
    """No module of ours stays in the server."""
    source = "import ours, sys; print(ours.VALUE, sorted(m for m in sys.modules if 'nt_pkg' in m))"
    found = []
    for value in (1, 22):
        (tmp_path / "jobs").mkdir(exist_ok=True)
        (tmp_path / "jobs" / "ours.py").write_text(f"VALUE = {value}\n")
        found.append(client(source).communicate(timeout=30)[0])

    loaded = "['nt_pkg', 'nt_pkg.jobs', 'nt_pkg.jobs.warm_interpreter']\n"
    assert found == [f"1 {loaded}", f"22 {loaded}"]


SLEEPS = (
    "import os, pathlib, subprocess, time\n"
    "child = subprocess.Popen(['sleep', '600'])\n"
    "pathlib.Path('pids.new').write_text(f'{os.getpid()} {child.pid}')\n"
    "pathlib.Path('pids.new').rename('pids')\n"
    "time.sleep(600)\n"
)


def wait_for(condition: Callable[[], bool], seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def pids_of(folder: Path) -> list[int]:
    """Return the process ids of the sleeping job and its child."""
    assert wait_for((folder / "pids").exists)
    return [int(pid) for pid in (folder / "pids").read_text().split()]


def test_job_dies_with_its_client(client: Client, tmp_path: Path) -> None:
    """And what it started; the server goes on."""
    process = client(SLEEPS)
    pids = pids_of(tmp_path / "jobs")
    assert all(map(is_alive, pids))

    process.kill()

    assert wait_for(lambda: not any(map(is_alive, pids)))
    process.communicate()
    assert client("print(1)").communicate(timeout=30)[0] == "1\n"


STOPS = (
    "import pathlib, signal, sys, time\n"
    "def stop(*_):\n"
    "    pathlib.Path('stopped').touch()\n"
    "    if 'deaf' not in sys.argv: sys.exit(3)\n"
    "signal.signal(signal.SIGTERM, stop)\n"
    "pathlib.Path('begun').touch()\n"
    "while True: time.sleep(0.05)\n"
)


@pytest.mark.parametrize("ended", ["client", "server"])
def test_job_is_asked_to_stop_first(
    client: Client, server: "subprocess.Popen[str]", tmp_path: Path, ended: str
) -> None:
    """So that it can write a checkpoint."""
    process = client(STOPS)
    assert wait_for((tmp_path / "jobs" / "begun").exists)

    server.send_signal(signal.SIGINT)  # Ctrl-C reaches it too
    (process if ended == "client" else server).terminate()

    assert wait_for((tmp_path / "jobs" / "stopped").exists)
    if ended == "server":
        assert server.wait(15) == 0
        assert process.wait(15) == 3


def test_job_that_does_not_stop_is_killed(
    client: Client, server: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    process = client(STOPS, "deaf")
    assert wait_for((tmp_path / "jobs" / "begun").exists)

    server.terminate()

    assert server.wait(15) == 0
    assert process.wait(15) not in (0, 3)
    assert (tmp_path / "jobs" / "stopped").exists()


def test_jobs_die_with_the_server(
    client: Client, server: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    process = client(SLEEPS)
    pid, child = pids_of(tmp_path / "jobs")

    server.kill()

    assert wait_for(lambda: not is_alive(pid))
    # What a job starts asks for the same by itself, as training ranks do; `sleep` does not.
    os.kill(child, signal.SIGKILL)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "the warm interpreter is gone" in stderr


@pytest.mark.parametrize("message", [b"", (1000).to_bytes(8, "big"), (9).to_bytes(8, "big") + b"{"])
def test_client_that_hangs_up_early_hurts_nobody(
    client: Client, tmp_path: Path, message: bytes
) -> None:
    with socket.socket(socket.AF_UNIX) as early:
        early.connect(str(tmp_path / "warm.sock"))
        early.sendall(message)

    process = client("print(1)")

    assert process.communicate(timeout=30)[0] == "1\n"


WORKS = (
    "import os, sys, time\n"
    "from nt_pkg.jobs.command import run_command\n"
    "from nt_pkg.jobs.progress import start_job\n"
    "def main():\n"
    "    start_job('select')\n"
    "    kept = b'1' * (200 << 20)\n"
    "    child = os.fork()\n"
    "    while time.process_time() < 0.3: pass\n"
    "    os._exit(0) if child == 0 else os.waitpid(child, 0)\n"
    "    time.sleep(0.7 if 'long' in sys.argv else 0)\n"
    "    return 0\n"
    "sys.exit(run_command(main))\n"
)


@pytest.fixture
def measuring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, float | str]]:
    """Return a function that measures a job as Snakemake does, patched by us."""
    for owner, name in (
        (benchmark.BenchmarkTimer, "__init__"),
        (benchmark, "write_benchmark_records"),
    ):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    monkeypatch.setenv("NT_WARM", str(tmp_path / "warm.sock"))
    monkeypatch.chdir(tmp_path)
    measure_jobs()

    def measure(process: "subprocess.Popen[str]") -> dict[str, float | str]:
        record = benchmark.BenchmarkRecord()
        with benchmark.benchmarked(process.pid, record):
            stderr = process.communicate(timeout=30)[1]
        assert process.returncode == 0, stderr
        for folder in ("logs", "timings"):
            (tmp_path / folder / "select").mkdir(parents=True, exist_ok=True)
        (tmp_path / "logs/select/a.log").write_text(stderr)
        path = "timings/select/a.jsonl"
        benchmark.write_benchmark_records([record], path, False)
        found: dict[str, float | str] = json.loads((tmp_path / path).read_text())
        return found

    return measure


@pytest.mark.parametrize("which", ["", "long"])
def test_a_timing_is_of_the_job_and_not_of_its_client(
    client: Client, measuring: Callable[..., dict[str, Any]], which: str
) -> None:
    """CPU time of the job and its child, and the memory of both where Snakemake could look."""
    found = measuring(client(WORKS, which))

    assert found["cpu_time"] >= 0.6
    assert found["max_rss"] > 200
    if which == "long":
        assert found["max_uss"] > 200


def test_a_timing_is_of_the_job_where_there_is_no_warm_interpreter(
    measuring: Callable[..., dict[str, Any]],
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    job = subprocess.Popen(
        [sys.executable, "-c", WORKS], env=environment, stderr=subprocess.PIPE, text=True
    )

    found = measuring(job)

    assert found["cpu_time"] >= 0.6
    assert found["max_rss"] > 200


def test_job_without_a_server_is_told_so(client: Client, server: "subprocess.Popen[str]") -> None:
    server.kill()
    server.wait()

    process = client("print(1)")

    assert "the warm interpreter is gone" in process.communicate(timeout=30)[1]
    assert process.returncode == 1
