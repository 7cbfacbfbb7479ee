"""A teacher that each job serves on its own nodes: one of vLLM, two of a stand-in, and faults."""

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import psutil
import pytest

from nt_pkg.files.parquet import read_parquet
from nt_pkg.files.schemas import TRACES
from tests.slurm import cluster
from tests.slurm.conftest import Note
from tests.slurm.site import Clone, Start, accounted, wait_for_job
from tests.unit.conftest import ROOT
from tests.workflow.sandbox import TINY
from tests.workflow.vllm_check import make_model

STUDY = """
pools:
  tiny: {params: {num_rows: 40}, num_shards: 1}
subsets:
  tiny-random: {teacher: served, size: 2}
  tiny-long: {teacher: served, size: 2}
teachers:
  served:
    engine: vllm
    source: {builtin: micro-base}
    sampling: {max_tokens: 40}
    runtime: {nodes: 2, gpu: 4, data_parallel: 4, expert_parallel: true, mem_mb: 900, batch: 4}
"""
ONE_NODE = """
teachers:
  served:
    runtime: {nodes: 1, data_parallel: 1, expert_parallel: false, serve: true, or_cpu: true}
"""
# vLLM itself, where its environment is: NT_ENV_INFERENCE, or that of `make setup-inference`.
INFERENCE = Path(os.environ.get("NT_ENV_INFERENCE") or ROOT / ".venv-inference")
VLLM = """
teachers:
  served:
    params: {dtype: float32}
    source: {builtin: null, path: tiny_model}
    sampling: {max_tokens: 8}
    runtime: {nodes: 1, gpu: 0, data_parallel: 1, expert_parallel: false, serve: true, mem_mb: 4000}
"""
SHARD = "results/traces/tiny/served/shard-0-of-1"


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """Return a clone with the prompts and the model of the study."""
    clone = Clone.make(tmp_path_factory.mktemp("fetched"))
    # Jobs look for modules in the clone only.
    shutil.copytree(ROOT / "tests/vllm_stand_in/vllm", clone.folder / "vllm")
    (clone.folder / "served.yaml").write_text(STUDY)
    clone.local("prompts", "assets", "--configfile", str(TINY), "served.yaml")
    return clone


@pytest.fixture
def clone(fetched: Clone, tmp_path: Path) -> Clone:
    """Return a copy for one fault, in which every answer takes a moment."""
    clone = Clone.copy(fetched, tmp_path)
    (clone.folder / "stand_in").mkdir()
    (clone.folder / "stand_in/slow").write_text("1")
    return clone


def _start(clone: Clone, *more: str) -> Start:
    environment = {"STAND_IN": str(clone.folder / "stand_in")}
    arguments = (f"{SHARD}.parquet", "--configfile", str(TINY), "served.yaml", *more)
    return Start(clone, arguments, environment)


def _lines(clone: Clone, name: str) -> list[str]:
    path = clone.folder / "stand_in" / name
    return path.read_text().splitlines() if path.exists() else []


def _wait_for_answers(clone: Clone, number: int) -> None:
    cluster.wait_until(f"{number} answers", 300, lambda: len(_lines(clone, "asked")) >= number)


def _servers(clone: Clone) -> list[int]:
    """Return the processes of all its servers that still live, on all nodes."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        with contextlib.suppress(psutil.Error):
            is_server = "vllm." in " ".join(process.info["cmdline"] or [])
            if is_server and process.environ().get("STAND_IN") == str(clone.folder / "stand_in"):
                found.append(process.pid)
    return found


def _check(clone: Clone, most_again: int) -> None:
    """No row is lost or doubled, few were asked for twice, and no server is left."""
    rows = read_parquet(clone.folder / f"{SHARD}.parquet", TRACES)
    assert len({row["id"] for row in rows}) == len(rows) > 30
    assert "failed" not in {row["status"] for row in rows}
    entries = (clone.folder / f"{SHARD}.answers/completions.jsonl").read_text().splitlines()
    assert len(set(entries)) == len(entries) == len(rows)
    asked = _lines(clone, "asked")
    assert len(set(asked)) == len(rows)
    assert len(asked) <= len(rows) + most_again
    cluster.wait_until("the servers to end", 30, lambda: not _servers(clone))


def test_two_nodes_serve_through_three_faults(clone: Clone, note: Note) -> None:
    """One process per node; one is killed, then the job is stopped in time, then cancelled."""
    since = time.time()
    with _start(clone) as start:
        _wait_for_answers(clone, 8)
        job = wait_for_job("generate_traces")
        head, worker = sorted(_lines(clone, "started"))
        url = f"http://127.0.0.1:{head.split()[2]}/v1/completions"
        assert httpx2.post(url, json={"seed": 0}).status_code == 401
        where = psutil.Process(int(head.split()[1])), psutil.Process(int(worker.split()[1]))
        nodes = {each.environ()["SLURMD_NODENAME"] for each in where}
        assert len(nodes) == 2
        assert "VLLM_API_KEY" not in where[1].environ()
        key = where[0].environ()["VLLM_API_KEY"]

        died = _recovers(clone, 4, lambda: os.kill(where[1].pid, signal.SIGKILL))
        _wait_for_answers(clone, 16)
        # As before the end of its time; Slurm starts the same job again.
        stopped = _recovers(clone, 6, lambda: os.kill(_script(job), signal.SIGUSR2))
        assert "Trying to restart job" not in start.text()  # Snakemake did not notice
        _wait_for_answers(clone, 24)
        cancelled = _recovers(clone, 8, lambda: cluster.ask("scancel", job))
        start.finish()
    _check(clone, most_again=24)
    jobs = accounted(since)
    assert [each.state for each in jobs] == ["REQUEUED", "CANCELLED", "COMPLETED"]
    assert [each.id == job for each in jobs] == [True, True, False]
    assert {each.gpus for each in jobs} == {4}
    texts = [
        path for path in clone.folder.rglob("*") if path.is_file() and ".git" not in path.parts
    ]
    assert not any(key.encode() in path.read_bytes() for path in texts)
    note("a node's part of the teacher's server dies", "the job goes on", "texts in flight",
         "not needed", died)  # fmt: skip
    note("a teacher with its server near its time limit", "REQUEUED, then COMPLETED",
         "texts in flight", "not needed", stopped)  # fmt: skip
    note("scancel of a teacher with its server", "CANCELLED, then COMPLETED", "texts in flight",
         "not needed (retries: 1)", cancelled)  # fmt: skip


def _recovers(clone: Clone, number: int, fault: Callable[[], object]) -> float:
    """Cause a fault; return the seconds until so many processes of servers have started."""
    hit = time.time()
    fault()
    cluster.wait_until("another server", 180, lambda: len(_lines(clone, "started")) == number)
    return time.time() - hit


def _script(job: str) -> int:
    """Return the process of a job's script, which counts its own time."""
    for process in psutil.process_iter(["cmdline"]):
        with contextlib.suppress(psutil.Error):
            is_script = process.info["cmdline"][1:3] == ["-m", "scripts.generate_traces"]
            if is_script and process.environ().get("SLURM_JOB_ID") == job:
                return process.pid
    raise AssertionError(f"job {job} has no script")


def test_node_dies(clone: Clone, note: Note) -> None:
    """Everything of the job is gone at once, its server as well; Slurm starts it elsewhere."""
    (clone.folder / "one.yaml").write_text(ONE_NODE)
    since = time.time()
    with _start(clone, "one.yaml") as start:
        job = wait_for_job("generate_traces")
        _wait_for_answers(clone, 8)
        node = cluster.ask("squeue", "-h", "-j", job, "-o", "%N").strip()
        try:
            seconds = _recovers(clone, 2, lambda: cluster.kill_node(node))
            (pid,) = _servers(clone)
            assert psutil.Process(pid).environ()["SLURMD_NODENAME"] != node
        finally:
            cluster.start(f"slurmd.{node}")
        start.finish()
    _check(clone, most_again=8)
    jobs = accounted(since)
    assert {each.id for each in jobs} == {job}
    note("a teacher's node and its slurmd die", ", then ".join(each.state for each in jobs),
         "texts in flight", "not needed", seconds)  # fmt: skip


@pytest.mark.skipif(not (INFERENCE / "bin/python").exists(), reason="no environment inference")
def test_vllm_serves_on_a_node(clone: Clone) -> None:
    """The job's own vLLM answers every row, and is gone afterwards."""
    shutil.rmtree(clone.folder / "vllm")  # the stand-in
    make_model(clone.folder / "tiny_model")  # vLLM cannot run the micro-world's heads on CPUs
    (clone.folder / "vllm.yaml").write_text(VLLM)
    since = time.time()
    arguments = (f"{SHARD}.parquet", "--configfile", str(TINY), "served.yaml", "vllm.yaml")
    stand_in = {"STAND_IN": str(clone.folder / "stand_in")}  # marks its processes
    with Start(clone, arguments, {**stand_in, "NT_ENV_INFERENCE": str(INFERENCE)}) as start:
        start.finish(seconds=900)  # vLLM starts in a minute where nothing else runs
    (job,) = accounted(since)
    assert job.state == "COMPLETED"
    rows = read_parquet(clone.folder / f"{SHARD}.parquet", TRACES)
    assert len({row["id"] for row in rows}) == len(rows) > 30
    assert "failed" not in {row["status"] for row in rows}
    log = (clone.folder / "logs/generate_traces/tiny/served/0-of-1.log").read_text()
    assert "the server is ready" in log and "the server has ended" in log
    assert not _servers(clone)
