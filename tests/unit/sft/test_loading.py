"""A student larger than a device: what a rank holds of its weights until the first step."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from nt_pkg.config.students import Runtime
from nt_pkg.files.json_files import read_json, write_json
from nt_pkg.sft import launch
from nt_pkg.sft import train as loop
from nt_pkg.sft.loading import read_mapped
from nt_pkg.slurm.stopping import Stopped
from tests.unit.sft.tiny import TRAINING, job_of, make_student, one_step

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("quiet_and_warm")]

SHORT = TRAINING.model_copy(update={"epochs": {0: 1}, "dtype": "bfloat16"})
# Bytes of the norms of the student below, of which every rank has all.
NORMS = 7 * 64 * 2
to, resume, deepspeed_config = torch.Tensor.to, loop._Trainer._resume, loop.deepspeed_config


def mapped_ranges(field: str = "") -> list[tuple[int, int, int]]:
    """Return start, end and a number of /proc/self/smaps for each mapping of a model's file."""
    found, inside = [], False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first, *rest = line.split()
        if not first.endswith(":"):
            inside = line.endswith(".safetensors")
            start, end = (int(each, 16) for each in first.split("-"))
        elif inside and first == "Anonymous:":
            found.append((start, end, int(rest[0]) * 1024))
    return found


class Watch(torch.utils._python_dispatch.TorchDispatchMode):
    """Notes after each operation how many bytes of weights are not in the model's mapped files."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self._model, self._most = model, 0
        self._files = [(start, end) for start, end, _ in mapped_ranges()]
        sizes = [each.nbytes for each in model.parameters()]
        self._whole, self._largest = sum(sizes), max(sizes)

    def is_mapped(self, tensor: Any) -> bool:
        return any(start <= tensor.data_ptr() < end for start, end in self._files)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if isinstance(found, torch.Tensor) and found.nbytes < 1024:
            return found  # for speed
        held = [each.data for each in self._model.parameters()]
        held += [getattr(each, "ds_tensor", None) for each in self._model.parameters()]
        storages = [
            each.untyped_storage() for each in held if each is not None and not self.is_mapped(each)
        ]
        held_bytes = sum({each.data_ptr(): each.nbytes() for each in storages}.values())
        self._most = max(self._most, held_bytes)
        return found

    def write(self, path: Path) -> None:
        found = {"most": self._most, "whole": self._whole, "largest": self._largest}
        write_json(path, {**found, "written": sum(number for _, _, number in mapped_ranges())})


watches: list[Watch] = []  # of this process


def read_and_watch(*args: Any) -> Any:
    """Read the model, and watch from now on; moving a mapped weight copies it, as to a GPU."""
    model = read_mapped(*args)
    watch = Watch(model)
    watches.append(watch)
    watch.__enter__()

    def copying(tensor: Any, *args: Any, **kwargs: Any) -> Any:
        return to(tensor.clone() if watch.is_mapped(tensor) else tensor, *args, **kwargs)

    torch.Tensor.to = copying
    return model


def resume_and_write(trainer: loop._Trainer) -> int:
    """End watching when the first step can begin."""
    done = resume(trainer)
    torch.Tensor.to = to
    watches[-1].__exit__(None, None, None)
    watches[-1].write(trainer._job.work / f"from{done}-rank{trainer._rank}.json")
    return done


def large_config(*args: Any) -> dict[str, Any]:
    """Shard the small weights of this student too, which DeepSpeed would keep whole."""
    config = deepspeed_config(*args)
    config["zero_optimization"]["stage3_param_persistence_threshold"] = 64
    return config


def stop_in_two(trainer: loop._Trainer, number: int, step: Any) -> float:
    if number == 2:
        os.kill(os.getpid(), signal.SIGTERM)
    return one_step(trainer, number, step)


@pytest.fixture(scope="module")
def large(quiet_and_warm: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a student whose layers are many and whose file is in the dtype of the training."""
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("large")
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3}
    make_student(folder, is_tied=True, **sizes)
    AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("options", "num_copies"),
    # In main memory DeepSpeed copies the shares into one buffer; a GPU then holds a module only.
    [
        ({"activation_checkpointing": True}, 1),
        ({"offload": "optimizer"}, 1),
        ({"offload": "all"}, 2),
    ],
)
def test_no_rank_ever_holds_more_than_its_share_and_one_module(
    large: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    num_copies: int,
) -> None:
    monkeypatch.setattr(loop, "read_mapped", read_and_watch)
    monkeypatch.setattr(loop, "deepspeed_config", large_config)
    monkeypatch.setattr(loop._Trainer, "_resume", resume_and_write)
    runtime = Runtime(num_ranks=2, zero_stage=3, **options)
    job = job_of(large, tmp_path / "work", training=SHORT, runtime=runtime)
    with monkeypatch.context() as patch:
        patch.setattr(loop._Trainer, "_step", stop_in_two)
        with pytest.raises(Stopped, match="after step 2"):
            launch.train(job)
    launch.train(job)

    for start in ("from0-rank0", "from0-rank1", "from2-rank0", "from2-rank1"):
        found = read_json(job.work / f"{start}.json")
        share = num_copies * found["whole"] / 2 + NORMS
        assert found["whole"] / 2 <= found["most"] <= share + found["largest"], start
        assert found["written"] == 0, "pages of the file became memory of this rank"


@pytest.mark.parametrize("stored", ["float32", "bfloat16"])
def test_weights_are_mapped_whatever_the_dtype_of_the_training(
    student: Path, large: Path, stored: str
) -> None:
    model = read_mapped({"float32": student, "bfloat16": large}[stored], "float32", "sdpa")
    ranges = mapped_ranges()
    for weight in model.parameters():
        assert weight.dtype == getattr(torch, stored)
        assert any(start <= weight.data_ptr() < end for start, end, _ in ranges)
