"""A training that is told to stop writes a checkpoint first."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nt_pkg.config.students import Runtime
from nt_pkg.sft import launch
from nt_pkg.sft import train as loop
from nt_pkg.slurm.stopping import EXIT_STATUS, Stopped
from tests.unit.sft.tiny import (
    FORK,
    KILLED,
    Runs,
    complete,
    hanging_ranks,
    is_alive,
    job_of,
    losses,
    one_step,
    stop_in_six_and_twelve,
    wait_at_step_two,
    weights,
)

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("quiet_and_warm")]


def tell_one_rank(trainer: loop._Trainer, number: int, step: Any) -> float:
    """Send the second rank alone a signal in step 5."""
    if number == 5 and trainer._rank == 1:
        os.kill(os.getpid(), signal.SIGUSR2)
    return one_step(trainer, number, step)


def tell_the_launcher(trainer: loop._Trainer, number: int, step: Any) -> float:
    """Send the process that started the ranks a signal in step 5, and wait until it is here."""
    if number == 5:
        if trainer._rank == 0:
            os.kill(os.getppid(), signal.SIGTERM)
        deadline = time.monotonic() + 60
        while not any(trainer._notes.flags) and time.monotonic() < deadline:
            time.sleep(0.01)
    return one_step(trainer, number, step)


def interrupt_all(trainer: loop._Trainer, number: int, step: Any) -> float:
    """Send all processes the signal of Ctrl-C in step 5."""
    if number == 5:
        if trainer._rank == 0:
            os.kill(os.getppid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
    return one_step(trainer, number, step)


@pytest.mark.parametrize(
    ("tell", "name"),
    [(tell_one_rank, "SIGUSR2"), (tell_the_launcher, "SIGTERM"), (interrupt_all, "SIGINT")],
)
def test_run_stopped_by_a_signal_goes_on_as_if_undisturbed(
    student: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trained: Runs,
    tell: Callable[..., float],
    name: str,
) -> None:
    """Whoever gets the signal, all ranks stop after the same step, with a checkpoint of it."""
    import torch

    undisturbed, expected = trained(num_ranks=2, zero_stage=2)
    job = job_of(student, tmp_path / "work", runtime=KILLED)
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(loop._Trainer, "_step", tell)

    with pytest.raises(Stopped) as caught:
        launch.train(job)

    monkeypatch.undo()
    assert str(caught.value) == (
        f"stopped by {name} after step 5 of 12; checkpoint written; the same command continues"
    )
    assert caught.value.num_new == 5
    assert complete(job.work) == ["step3", "step5"]
    assert signal.getsignal(signal.SIGTERM) is before

    result = launch.train(job)

    assert result["loss_curve"] == undisturbed["loss_curve"]
    found = weights(job.work / "checkpoint")
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_signal_in_a_step_with_a_checkpoint_or_in_the_last_one_costs_nothing(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[str] = []
    save = loop._Trainer._save

    def noting(trainer: loop._Trainer, tag: str, number: int) -> None:
        with (trainer._job.work / "saved").open("a") as file:
            file.write(f"{tag}\n")
        save(trainer, tag, number)

    monkeypatch.setattr(loop._Trainer, "_save", noting)
    monkeypatch.setattr(loop._Trainer, "_step", stop_in_six_and_twelve)
    job = job_of(student, tmp_path / "work", runtime=Runtime(checkpoint_steps=6))

    with pytest.raises(Stopped, match="after step 6 of 12"):
        launch.train(job)
    result = launch.train(job)

    saved = (job.work / "saved").read_text().split()
    assert saved == ["step6", "checkpoint"]
    assert len(losses(result)) == 12


def test_second_signal_ends_the_training_at_once(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(student, tmp_path / "work", runtime=KILLED)
    monkeypatch.setattr(loop._Trainer, "_step", wait_at_step_two)
    monkeypatch.setattr("nt_pkg.slurm.stopping._SAME_SECONDS", 0.0)
    parent = FORK.Process(target=launch.train, args=(job,))
    parent.start()
    ranks = hanging_ranks(job)

    assert parent.pid is not None
    for _ in range(2):
        os.kill(parent.pid, signal.SIGTERM)
        time.sleep(0.2)
    parent.join(60)

    assert parent.exitcode == EXIT_STATUS
    assert not any(map(is_alive, ranks))


def test_a_long_step_ends_soon_after_ctrl_c(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(student, tmp_path / "work", runtime=KILLED)
    monkeypatch.setattr(loop._Trainer, "_step", wait_at_step_two)
    monkeypatch.setattr("nt_pkg.slurm.stopping._SAME_SECONDS", 0.0)
    monkeypatch.setattr("nt_pkg.slurm.stopping.STOP_SECONDS", 0.5)
    parent = FORK.Process(target=launch.train, args=(job,))
    parent.start()
    ranks = hanging_ranks(job)

    assert parent.pid is not None
    os.kill(parent.pid, signal.SIGINT)
    parent.join(60)

    assert parent.exitcode == EXIT_STATUS
    assert not any(map(is_alive, ranks))


def test_training_stops_before_the_time_of_its_slurm_job_is_over(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "bin" / "scontrol"
    script.parent.mkdir()
    script.write_text(
        "#!/bin/sh\necho JobState=RUNNING Requeue=1 RunTime=00:55:00 TimeLimit=01:00:00\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setattr(loop._Trainer, "_step", wait_in_step_two)

    with pytest.raises(Stopped, match=r"stopped by SIGUSR2 after step [12] of 12"):
        launch.train(job_of(student, tmp_path / "work", runtime=Runtime(stop_seconds=300)))


def wait_in_step_two(trainer: loop._Trainer, number: int, step: Any) -> float:
    """Wait until this rank is told to stop."""
    deadline = time.monotonic() + 60
    while number == 2 and not any(trainer._notes.flags) and time.monotonic() < deadline:
        time.sleep(0.01)
    return one_step(trainer, number, step)
