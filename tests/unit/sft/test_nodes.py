"""Trainings on several nodes, and what listens where."""

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from nt_pkg.config.students import Runtime
from nt_pkg.sft import launch
from nt_pkg.sft import train as loop
from nt_pkg.slurm.jobs import first_failure
from nt_pkg.slurm.nodes import own_address
from nt_pkg.slurm.stopping import Stopped
from tests.unit.sft.tiny import (
    EXAMPLES,
    Runs,
    complete,
    job_of,
    losses,
    one_step,
)

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("quiet_and_warm")]


ROOT = Path(__file__).parents[3]
TWO_NODES = Runtime(nodes=2, num_ranks=4, zero_stage=3, gpu=4, or_cpu=True, stop_seconds=0)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in a Slurm job on two nodes that are this machine."""
    script = tmp_path / "bin" / "srun"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT}/tests/unit/sft/fake_srun.py "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")  # as the site of such a cluster has to
    monkeypatch.setenv(
        "PRELOAD",
        "transformers.models.llama.modeling_llama deepspeed "
        "deepspeed.runtime.zero.muon.muon_optimizer submitit.helpers",
    )


def placed_job(student: Path, work: Path, examples: list[dict[str, Any]]) -> loop.Job:
    return job_of(student, work, examples, runtime=TWO_NODES)


@pytest.mark.usefixtures("cluster")
def test_ranks_of_two_nodes_train_as_those_of_one(
    student: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    trained: Runs,
) -> None:
    """They are processes of their own, placed by srun, and one of them is told to stop."""
    job = placed_job(student, tmp_path / "work", EXAMPLES)
    with monkeypatch.context() as patch:
        patch.setenv("SIGNAL_RANK", "3")
        with pytest.raises(Stopped, match="stopped by SIGUSR2 after step 1 of 12"):
            launch.train(job)
    assert complete(job.work) == ["step1"]

    result = launch.train(job)

    alone, _ = trained(num_ranks=1, zero_stage=2)
    assert losses(result) == pytest.approx(losses(alone), rel=1e-5)
    assert (result["world_size"], result["zero_stage"]) == (4, 3)
    assert (
        "rank 0 of the training runs on CPUs: 0 GPUs for 2 that it asked for"
        in capfd.readouterr().err
    )


@pytest.mark.usefixtures("cluster")
def test_first_rank_that_fails_on_some_node_is_shown(student: Path, tmp_path: Path) -> None:
    job = placed_job(student, tmp_path / "work", EXAMPLES)
    job.examples.path.unlink()

    with pytest.raises(RuntimeError, match="continue at the last checkpoint") as caught:
        launch.train(job)

    text = str(caught.value)
    assert re.search(r"Rank \d on n\d ended first: Exited with exit code 1", text)
    assert re.search(r"\d: FileNotFoundError.*work.arrow", text)


def test_several_nodes_need_slurm(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)

    with pytest.raises(ValueError, match=r"Slurm job only.*or set runtime.nodes"):
        launch.train(placed_job(student, tmp_path / "work", EXAMPLES))
    # An interactive job of one node cannot give it a second.
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "1")
    with pytest.raises(ValueError, match=r"this Slurm job has 1 node.*over 2"):
        launch.train(placed_job(student, tmp_path / "work", EXAMPLES))


def test_command_that_places_the_ranks() -> None:
    runtime = Runtime(nodes=2, num_ranks=16, threads_per_rank=8, gpu=16)

    command = launch.placed_command(runtime, Path("/shared/job.json"), 29500)

    assert " ".join(command.argv) == (
        "srun --nodes=2 --ntasks=16 --ntasks-per-node=8 --cpus-per-task=8 --gpus-per-node=8 "
        f"--kill-on-bad-exit=1 --label {sys.executable} -m nt_pkg.sft.rank /shared/job.json"
    )
    assert command.env == {
        "SUBMITIT_EXECUTOR": "slurm",
        "SLURM_JOB_NUM_NODES": "2",
        "MASTER_PORT": "29500",
    }
    cpu = launch.placed_command(Runtime(nodes=2, num_ranks=2), Path("job.json"), 1)
    assert not any("gpus" in each for each in cpu.argv)


def test_first_failure_is_found_among_the_last_words_of_the_others() -> None:
    lines = [
        "0: 12:00:00 optimiser steps: 3 of 9",
        "3: Traceback (most recent call last):",
        "3: RuntimeError: CUDA out of memory",
        "srun: error: n2: task 3: Exited with exit code 1",
        "srun: Terminating StepId=12.0",
        "0: slurmstepd: error: *** STEP 12.0 ON n1 CANCELLED AT 2026-01-01T12:00:01 ***",
        "1: RuntimeError: Connection closed by peer [10.0.0.2]",
        "srun: error: n1: tasks 0-1: Terminated",
        "srun: error: n2: task 2: Terminated",
    ]

    assert first_failure(lines) == (
        "Rank 3 on n2 ended first: Exited with exit code 1. Its last lines:\n"
        "3: Traceback (most recent call last):\n3: RuntimeError: CUDA out of memory"
    )
    assert first_failure(["srun: error: Unable to create step"]).endswith("create step")


def test_ranks_of_one_machine_listen_on_the_loopback_only(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop._Trainer, "_step", noting_listeners)
    runtime = Runtime(num_ranks=2)
    job = job_of(student, tmp_path / "work", runtime=runtime, examples=EXAMPLES[:2])

    launch.train(job)

    addresses = (job.work / "listeners").read_text().split()
    assert len(addresses) >= 2
    assert {each.partition(":")[0] for each in addresses} == {"0100007F"}  # 127.0.0.1


def noting_listeners(trainer: loop._Trainer, number: int, step: Any) -> float:
    """Note the addresses at which this process waits for connections."""
    links = [path for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    own = {str(path.readlink()) for path in links}
    with (trainer._job.work / "listeners").open("a") as file:
        for table in ("tcp", "tcp6"):
            for line in Path("/proc/net", table).read_text().splitlines()[1:]:
                (
                    _,
                    address,
                    _,
                    state,
                    *_,
                ) = line.split()
                if state == "0A" and f"socket:[{line.split()[9]}]" in own:
                    file.write(f"{address}\n")
    return one_step(trainer, number, step)


def test_a_node_names_the_address_that_the_others_reach() -> None:
    assert own_address("localhost", "localhost") == "127.0.0.1"
    assert own_address("10.0.0.1", "10.0.0.2") == "10.0.0.1"
