"""Fewer GPUs than a job asked for: an error that names the causes, unless CPUs will do."""

import os
from pathlib import Path
from typing import Any

import pytest

from nt_pkg.config.engines import EngineRuntime
from nt_pkg.config.students import Runtime
from nt_pkg.engines._base import Model, Request
from nt_pkg.engines._start import engine_for
from nt_pkg.jobs import gpus
from nt_pkg.sft import launch
from nt_pkg.sft.train import Job
from scripts import annotate_questions

torch = pytest.importorskip("torch")
BASE = Path(__file__).parents[2] / "nt_pkg" / "microworld" / "base"


@pytest.fixture(autouse=True)
def none_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the GPUs of this machine, if it has some."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    for name in gpus._GIVEN:
        monkeypatch.delenv(name, raising=False)


def train(tmp_path: Path, **runtime: Any) -> Any:
    return launch.train(Job(tmp_path / "no model", [], Any, Runtime(**runtime), 0, tmp_path))


def generate(engine: str, **runtime: Any) -> Any:
    found = engine_for(engine, {}, EngineRuntime(**runtime), Model(BASE / "nowhere", "digest"))
    return found.generate([Request("id", ({"role": "user", "content": "?"},), 0)], Any)


def test_every_kind_of_job_refuses_before_it_loads_anything(tmp_path: Path) -> None:
    """No file of a model exists here, so anything that is loaded fails otherwise."""
    with pytest.raises(RuntimeError, match="the training asked for 2 GPUs, and sees 0"):
        train(tmp_path, gpu=2, num_ranks=2)
    for engine in ("transformers", "vllm"):
        with pytest.raises(RuntimeError, match=f"engine {engine} asked for 4 GPUs, and sees 0"):
            generate(engine, gpu=4)
    runtime = EngineRuntime(gpu=1).model_dump_json()
    argv = ["--spec", "{}", "--names", "{}", "--runtime", runtime, "--prompts", "p", "--out", "o"]
    with pytest.raises(RuntimeError, match="annotate_questions asked for 1 GPUs, and sees 0"):
        annotate_questions.main([*argv, "--model", str(tmp_path / "manifest.json")])


def test_cpus_will_do_if_the_study_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not gpus.has_gpus(2, True, "a job")
    assert not gpus.has_gpus(0, False, "a job")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert gpus.has_gpus(2, False, "a job")
    with pytest.raises(RuntimeError, match="asked for 3 GPUs, and sees 2"):
        gpus.has_gpus(3, False, "a job")
    assert Runtime(gpu=1, generation_gpu=1, or_cpu=True).generation.or_cpu


@pytest.mark.parametrize(
    ("version", "cuda", "file", "words"),
    [
        ("2.13.0+cu130", "13.0", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Thu\n",
         ["2.13.0+cu130 for CUDA 13.0, which needs an NVIDIA driver of 580 or newer",
          "Driver: NVIDIA 570.86.15"]),
        ("2.6.0", "12.4", "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  R\n",
         ["CUDA 12.4, which needs an NVIDIA driver of 525 or newer", "NVIDIA 580.95.05"]),
        ("2.13.0+cpu", None, None,
         ["2.13.0+cpu is built without CUDA", "no NVIDIA driver is loaded on this node"]),
    ],
)  # fmt: skip
def test_message_names_driver_container_and_what_slurm_gave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    version: str, cuda: str | None, file: str | None, words: list[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(torch, "__version__", version)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(gpus, "_DRIVER", tmp_path / "version")
    if file:
        (tmp_path / "version").write_text(file)
    text = gpus.too_few(4, 0, "a job")
    for each in [*words, "--nv", "none of SLURM_JOB_GPUS", "gres", "or_cpu"]:
        assert each in text

    monkeypatch.setenv("SLURM_JOB_GPUS", "0,1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("APPTAINER_NAME", "training.sif")
    text = gpus.too_few(4, 0, "a job")
    assert "Slurm: SLURM_JOB_GPUS=0,1, CUDA_VISIBLE_DEVICES=;" in text
    assert "Container: this is one" in text


def test_segments_grow_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = gpus._ALLOCATOR
    for name in (old, new):
        monkeypatch.setenv(name, "backend:native")
        gpus.let_segments_grow()
        assert os.environ[name] == "backend:native"
        monkeypatch.delenv(name)
        assert old not in os.environ
    monkeypatch.setenv(old, "")  # so that it is removed after the test
    monkeypatch.delenv(old)
    gpus.let_segments_grow()
    assert os.environ[old] == "expandable_segments:True"
