"""A training that is killed or stopped goes on as if nothing had happened."""

import shutil
import time
from pathlib import Path

import pytest

from nt_pkg.config.students import Runtime
from nt_pkg.sft import launch
from nt_pkg.sft import train as loop
from tests.unit.sft.tiny import (
    FORK,
    KILLED,
    Runs,
    complete,
    hanging_ranks,
    is_alive,
    job_of,
    kill_one_rank,
    wait_at_step_two,
    weights,
)

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("quiet_and_warm")]


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return tag -> (step, value) as TensorBoard shows them: a start purges the steps behind it."""
    from tensorboardX.proto.event_pb2 import Event, SessionLog

    found: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        content, at = path.read_bytes(), 0
        while at < len(content):  # length, its checksum, the event, its checksum
            end = at + 12 + int.from_bytes(content[at : at + 8], "little")
            event, at = Event.FromString(content[at + 12 : end]), end + 4
            if event.session_log.status == SessionLog.START:
                found = {
                    tag: [each for each in values if each[0] < event.step]
                    for tag, values in found.items()
                }
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def test_resumed_run_is_the_uninterrupted_one_bitwise(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: Runs
) -> None:
    import torch

    undisturbed, expected = trained(num_ranks=2, zero_stage=2)
    job = job_of(student, tmp_path / "work", runtime=KILLED)
    monkeypatch.setattr(loop._Trainer, "_step", kill_one_rank)
    with pytest.raises(RuntimeError, match="ended with status -9; run the same command again"):
        launch.train(job)
    monkeypatch.undo()
    assert complete(job.work) == ["step3", "step6"]
    (job.work / "step9").mkdir()  # what a kill inside a checkpoint leaves

    result = launch.train(job)

    assert result["loss_curve"] == undisturbed["loss_curve"]
    assert result["grad_norm_curve"] == undisturbed["grad_norm_curve"]
    found = weights(job.work / "checkpoint")
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    shown = events(job.work / "tensorboard")
    assert shown.keys() == {"loss", "learning_rate", "grad_norm", "tokens_per_second"}
    for tag in ("learning_rate", "grad_norm"):
        curve = result[f"{tag}_curve"]
        assert shown[tag] == [(n, pytest.approx(value)) for n, value in enumerate(curve, start=1)]
    assert shown["loss"] == [(n, pytest.approx(loss, abs=1e-5)) for n, loss in result["loss_curve"]]

    # Killed after the last checkpoint: nothing is trained again.
    monkeypatch.setattr(loop._Trainer, "_step", None)
    again = launch.train(job)
    assert again["loss_curve"] == result["loss_curve"]
    monkeypatch.undo()

    # Killed while the last checkpoint was moved to the results: it is made again.
    shutil.rmtree(job.work / "checkpoint")
    assert launch.train(job)["loss_curve"] == result["loss_curve"]
    found = weights(job.work / "checkpoint")
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_ranks_die_with_the_process_that_started_them(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(student, tmp_path / "work", runtime=KILLED)
    monkeypatch.setattr(loop._Trainer, "_step", wait_at_step_two)
    parent = FORK.Process(target=launch.train, args=(job,))
    parent.start()
    ranks = hanging_ranks(job)

    parent.kill()
    parent.join()

    deadline = time.monotonic() + 10
    while any(map(is_alive, ranks)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_alive, ranks))


def test_checkpoints_come_by_time_as_well(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop._Trainer, "_step", kill_one_rank)
    runtime = Runtime(num_ranks=2, checkpoint_steps=100, checkpoint_minutes=1e-9)
    job = job_of(student, tmp_path / "work", runtime=runtime)

    with pytest.raises(RuntimeError, match="status -9"):
        launch.train(job)

    assert complete(job.work) == ["step5", "step6", "step7"]
