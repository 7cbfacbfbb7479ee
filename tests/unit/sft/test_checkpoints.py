"""Checkpoints: exact to continue at, never taken half, and good for any number of ranks."""

import dataclasses
import logging
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nt_pkg.config.sources import Source
from nt_pkg.config.students import Runtime, Student, Training
from nt_pkg.cost.disk import checkpoint_bytes
from nt_pkg.sft import launch, writer
from nt_pkg.sft import train as loop
from nt_pkg.sft.checkpoint_files import newest, note_rank
from nt_pkg.slurm.stopping import Stopped
from tests.unit.sft.tiny import (
    EXAMPLES,
    KILLED,
    Runs,
    complete,
    job_of,
    kill_one_rank,
    losses,
    make_student,
    one_step,
    stop_in_six_and_twelve,
    weights,
)

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("quiet_and_warm")]


@pytest.mark.parametrize("zero_stage", [1, 3])
def test_resumed_run_is_the_uninterrupted_one_bitwise_with_dropout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zero_stage: int
) -> None:
    """Order, optimiser and chance go on where they were."""
    import torch

    base = make_student(tmp_path / "student", is_tied=True, attention_dropout=0.2)
    runtime = KILLED.model_copy(update={"zero_stage": zero_stage})
    whole = job_of(base, tmp_path / "whole", runtime=runtime)
    undisturbed = launch.train(whole)
    job = job_of(base, tmp_path / "work", runtime=runtime)
    with monkeypatch.context() as patch:
        patch.setattr(loop._Trainer, "_step", kill_one_rank)
        with pytest.raises(RuntimeError, match="status -9"):
            launch.train(job)

    result = launch.train(job)

    assert result["loss_curve"] == undisturbed["loss_curve"]
    expected, found = (weights(each.work / "checkpoint") for each in (whole, job))
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


@pytest.fixture(scope="module")
def stopped(student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the work folder of a training that stopped with checkpoints of steps 3 and 6."""
    job = job_of(student, tmp_path_factory.mktemp("stopped") / "work", runtime=KILLED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop._Trainer, "_step", stop_in_six_and_twelve)
        with pytest.raises(Stopped, match="after step 6 of 12"):
            launch.train(job)
    return job.work


def cut(path: Path) -> None:
    with path.open("rb+") as file:
        file.truncate(1000)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


OPTIMISER = "zero_pp_rank_1_mp_rank_00_optim_states.pt"


@pytest.mark.parametrize(
    ("name", "damage", "reason"),
    [
        ("rank-1.json", Path.unlink, "unfinished by rank 1 of 2"),
        ("rank-0.json", Path.unlink, "unfinished by rank 0 of 2"),
        (OPTIMISER, Path.unlink, f"{OPTIMISER} is missing"),
        (OPTIMISER, cut, f"{OPTIMISER} has 1000 bytes instead of"),
        (OPTIMISER, flip, f"{OPTIMISER} is damaged"),
        ("mp_rank_00_model_states.pt", flip, "mp_rank_00_model_states.pt is damaged"),
        ("rank-1.json", cut, "rank-1.json is not valid JSON"),
    ],
)
def test_damaged_checkpoint_is_passed_over_and_the_log_says_why(
    stopped: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
    damage: Callable[[Path], None],
    reason: str,
) -> None:
    work = shutil.copytree(stopped, tmp_path / "work")
    damage(work / "step6" / name)

    with caplog.at_level(logging.WARNING):
        found = newest(work)

    assert found is not None
    assert (found.path.name, found.step, found.num_ranks, found.zero_stage) == ("step3", 3, 2, 2)
    assert "skipping checkpoint step6: " in caplog.text
    assert reason in caplog.text


def test_whole_checkpoint_is_taken_and_none_is_no_error(stopped: Path, tmp_path: Path) -> None:
    found = newest(stopped)

    assert found is not None and found.path == stopped / "step6"
    assert newest(tmp_path) is None


def kill_half_written(folder: Path, rank: int, place: dict[str, int], files: list[Path]) -> None:
    """Die in the middle of writing the checkpoint of step 6."""
    if place["step"] == 6 and rank == 1:
        cut(files[0])
        os.kill(os.getpid(), signal.SIGKILL)
    note_rank(folder, rank, place, files)


def test_kill_while_a_checkpoint_is_written_costs_that_one_only(
    student: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trained: Runs,
) -> None:
    undisturbed, _ = trained(num_ranks=2, zero_stage=2)
    job = job_of(student, tmp_path / "work", runtime=KILLED)
    with monkeypatch.context() as patch:
        patch.setattr(writer, "note_rank", kill_half_written)
        with pytest.raises(RuntimeError, match="status -9"):
            launch.train(job)
    assert (job.work / "step6" / OPTIMISER).exists()
    assert complete(job.work) == ["step3"]

    result = launch.train(job)

    assert result["loss_curve"] == undisturbed["loss_curve"]
    assert complete(job.work) == ["step6", "step9"]  # beside the last one


def write_slowly(folder: Path, rank: int, place: dict[str, int], files: list[Path]) -> None:
    """Take longer than a step, and note when this is over."""
    time.sleep(0.1)
    note_rank(folder, rank, place, files)
    with (folder.parent / "events").open("a") as file:
        file.write(f"written {place['step']}\n")


def test_next_checkpoint_waits_for_the_one_before(
    student: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    create = writer.Writer.create

    def noting(self: writer.Writer, info: Any) -> None:
        with (Path(info.save_dir) / "events").open("a") as file:
            file.write(f"begun {self.place['step']}\n")
        create(self, info)

    monkeypatch.setattr(writer, "note_rank", write_slowly)
    monkeypatch.setattr(writer.Writer, "create", noting)
    job = job_of(student, tmp_path / "work", runtime=Runtime(checkpoint_steps=3))

    launch.train(job)

    events = (job.work / "events").read_text().splitlines()
    assert events == [f"{word} {n}" for n in (3, 6, 9, 12) for word in ("begun", "written")]


def fail(*_: Any) -> None:
    raise OSError(28, "No space left on device")


def test_checkpoint_that_cannot_be_written_ends_the_training(
    student: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(writer, "note_rank", fail)

    with pytest.raises(RuntimeError, match="ended with status 1"):
        launch.train(job_of(student, tmp_path / "work", runtime=Runtime(checkpoint_steps=3)))

    assert "No space left on device" in capfd.readouterr().err
    assert newest(tmp_path / "work") is None


@pytest.mark.parametrize(
    ("before", "after"),
    [((4, 2), (2, 2)), ((2, 1), (3, 1)), ((2, 3), (1, 3)), ((2, 3), (4, 2)), ((1, 1), (2, 3))],
)
def test_run_goes_on_with_other_ranks_and_at_another_stage(
    student: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trained: Runs,
    before: tuple[int, int],
    after: tuple[int, int],
) -> None:
    import torch

    undisturbed, expected = trained(num_ranks=2, zero_stage=2)
    spread = [
        Runtime(num_ranks=ranks, zero_stage=stage, checkpoint_steps=3)
        for ranks, stage in (before, after)
    ]
    job = job_of(student, tmp_path / "work (a+b)", runtime=spread[0])
    monkeypatch.setattr(loop._Trainer, "_step", stop_in_six_and_twelve)
    with pytest.raises(Stopped, match="after step 6 of 12"):
        launch.train(job)
    monkeypatch.setattr(loop._Trainer, "_step", noting_steps)

    result = launch.train(dataclasses.replace(job, runtime=spread[1]))

    assert (job.work / "steps").read_text().split()[0] == "7"
    assert losses(result) == pytest.approx(losses(undisturbed), rel=1e-5)
    found = weights(job.work / "checkpoint")
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=2e-5)


def noting_steps(trainer: loop._Trainer, number: int, step: Any) -> float:
    """Note which steps are done."""
    with (trainer._job.work / "steps").open("a") as file:
        file.write(f"{number}\n")
    return one_step(trainer, number, step)


@pytest.mark.parametrize(("zero_stage", "is_async"), [(2, True), (3, False)])
def test_checkpoints_have_the_bytes_that_the_plan_says(
    student: Path, tmp_path: Path, zero_stage: int, is_async: bool
) -> None:
    import torch

    def train(name: str, **runtime: Any) -> tuple[dict[str, Any], Path]:
        spread = Runtime(num_ranks=2, zero_stage=zero_stage, async_checkpoints=is_async, **runtime)
        job = job_of(student, tmp_path / name, examples=EXAMPLES[:4], runtime=spread)
        return launch.train(job), job.work / "checkpoint"

    result, light = train("light", checkpoint_steps=1)
    _, heavy = train("heavy", keep_optimizer=True)

    (before, *_) = light.parent.glob("step*")
    for folder, keeps, is_final in ((light, False, True), (heavy, True, True), (before, 0, False)):
        entry = Student(
            source=Source(builtin="micro-base"),
            training=Training(dtype="float32"),
            runtime=Runtime(zero_stage=zero_stage, keep_optimizer=bool(keeps)),
        )
        found = 4 * sum(numel(path) for path in folder.glob("*.pt"))
        expected = checkpoint_bytes(entry, result["num_parameters"], is_final)
        assert expected <= found < 1.03 * expected  # and padding
    one, other = weights(light), weights(heavy)
    assert one.keys() == other.keys()
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def numel(path: Path) -> int:
    """Return the float32 numbers in a file's storages, each counted once."""
    import torch

    found = {}

    def note(storage: Any, _: str) -> Any:
        found[storage.data_ptr()] = storage.nbytes() // 4
        return storage

    torch.load(path, map_location=note, weights_only=False)
    return sum(found.values())


@pytest.mark.parametrize("num_ranks", [1, 2])
def test_a_kill_after_the_final_checkpoint_trains_nothing_again(
    student: Path, tmp_path: Path, num_ranks: int
) -> None:
    """It lacks what a step would need, so it must not be loaded, nor converted for other ranks."""
    job = job_of(student, tmp_path / "work", examples=EXAMPLES[:4], runtime=KILLED)
    before = launch.train(job)
    (job.work / loop.RESULT).unlink()

    after = launch.train(
        dataclasses.replace(job, runtime=KILLED.model_copy(update={"num_ranks": num_ranks}))
    )

    for key in ("loss_curve", "grad_norm_curve", "final_loss", "num_steps", "num_parameters"):
        assert after[key] == before[key], key
    assert newest(job.work) is not None
