"""Export: what transformers loads is what was trained, in files of bounded size."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nt_pkg.config.students import Runtime
from nt_pkg.files.json_files import read_json, write_json
from nt_pkg.sft import export, launch
from nt_pkg.sft.export import export_model
from nt_pkg.sft.shards import Shards
from tests.unit.sft.tiny import (
    EXAMPLES,
    job_of,
    weights,
)

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("quiet_and_warm")]


@pytest.mark.parametrize(("num_ranks", "zero_stage"), [(3, 1), (3, 3), (2, 2)])
def test_tensors_read_one_by_one_are_those_that_deepspeed_consolidates(
    untied: Path, tmp_path: Path, num_ranks: int, zero_stage: int
) -> None:
    """Three ranks leave padding between the pieces."""
    import torch

    runtime = Runtime(num_ranks=num_ranks, zero_stage=zero_stage)
    job = job_of(untied, tmp_path / "work", examples=EXAMPLES[:4], runtime=runtime)
    launch.train(job)
    checkpoint = job.work / "checkpoint"

    shards = Shards(checkpoint)

    expected = weights(checkpoint)
    assert shards.shapes.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(shards.read(name), tensor), name


@pytest.fixture(scope="module")
def checkpoint(untied: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkpoint of an untied student."""
    runtime = Runtime(num_ranks=2, zero_stage=3)
    work = tmp_path_factory.mktemp("trained") / "work"
    launch.train(job_of(untied, work, examples=EXAMPLES[:4], runtime=runtime))
    return work / "checkpoint"


def test_large_model_is_several_files_with_the_logits_that_were_trained(
    untied: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    monkeypatch.setattr(export, "FILE_SIZE", "24KB")

    manifest = export_model(checkpoint, untied, tmp_path / "hf", "float32")

    index = read_json(tmp_path / "hf" / "model.safetensors.index.json")
    files = sorted(tmp_path.glob("hf/*.safetensors"))
    assert len(files) > 2
    assert {path.name for path in files} == set(index["weight_map"].values())
    assert {path.name for path in files} < set(manifest["files"])
    whole = AutoModelForCausalLM.from_pretrained(untied)
    whole.load_state_dict(weights(checkpoint))
    found = AutoModelForCausalLM.from_pretrained(tmp_path / "hf")
    ids = torch.tensor([EXAMPLES[0]["input_ids"]])
    with torch.no_grad():
        assert torch.equal(found(ids).logits, whole(ids).logits)


@pytest.mark.parametrize(
    "scaling", [{}, {"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 64}]
)
def test_positions_are_said_as_older_releases_of_transformers_read_them(
    tmp_path: Path, scaling: dict[str, Any]
) -> None:
    """Transformers 4.57.6 gives the logits of 5.23.0 with these fields, and others without."""
    rope = {"rope_theta": 5e5, "rope_type": "default", **scaling}
    write_json(tmp_path / "config.json", {"rope_parameters": rope, "vocab_size": 9})

    found = export._config(tmp_path, SimpleNamespace(rope_parameters=rope), "bfloat16")  # type: ignore[arg-type]

    assert found["rope_theta"] == 5e5 and found["rope_parameters"] == rope
    assert found.get("rope_scaling") == (scaling or None)
    assert found["torch_dtype"] == found["dtype"] == "bfloat16"
    assert found["vocab_size"] == 9


def test_damaged_checkpoint_is_not_exported(untied: Path, checkpoint: Path, tmp_path: Path) -> None:
    damaged = shutil.copytree(checkpoint, tmp_path / "checkpoint")
    path = damaged / "zero_pp_rank_1_mp_rank_00_optim_states.pt"
    content = bytearray(path.read_bytes())
    content[-2000] ^= 1
    path.write_bytes(content)

    with pytest.raises(ValueError, match=rf"{path.name} is damaged.*train again"):
        export_model(damaged, untied, tmp_path / "hf", "float32")


def test_file_that_differs_from_the_shards_is_found(
    untied: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something goes wrong between the tensor that was read and the disk."""
    write = export._write_weights

    def spoil(*args: Any) -> Any:
        names = write(*args)
        path = tmp_path / "hf" / "model.safetensors"
        content = bytearray(path.read_bytes())
        content[-1] ^= 0x10
        path.write_bytes(content)
        return names

    monkeypatch.setattr(export, "_write_weights", spoil)

    with pytest.raises(ValueError, match=r"tensor \S+ differs from the checkpoint"):
        export_model(checkpoint, untied, tmp_path / "hf", "float32")


@pytest.mark.parametrize(
    ("end", "pad", "own", "expected"),
    [
        # Llama-3.1: <|eot_id|>; <|end_of_text|>, <|eom_id|>, <|eot_id|>.
        (128009, None, [128001, 128008, 128009], [128009, 128001, 128008]),
        # Qwen2.5: <|im_end|>, <|endoftext|>.
        (151645, 151643, [151645, 151643], [151645, 151643]),
        (3, 0, 3, 3),
        (3, 0, 7, [3, 7]),
        (3, 0, None, 3),
    ],
)
def test_generation_ends_at_the_students_own_tokens_and_the_templates(
    tmp_path: Path, end: int, pad: int | None, own: Any, expected: Any
) -> None:
    """Its other settings stay."""
    from transformers import LlamaConfig

    write_json(
        tmp_path / "generation_config.json", {"eos_token_id": own, "temperature": 0.6, "top_p": 0.9}
    )
    tokenizer: Any = SimpleNamespace(eos_token_id=end, pad_token_id=pad)

    found = export._generation(tmp_path, LlamaConfig(), tokenizer)

    padding = {} if pad is None else {"pad_token_id": pad}
    assert found == {"eos_token_id": expected, "temperature": 0.6, "top_p": 0.9, **padding}


def test_tokenizer_and_template_are_the_students_files(
    untied: Path, checkpoint: Path, tmp_path: Path
) -> None:
    base = shutil.copytree(untied, tmp_path / "base")
    (base / "LICENSE").write_text("as you like")

    export_model(checkpoint, base, tmp_path / "hf", "bfloat16")

    names = {path.name for path in base.iterdir() if "token" in path.name or "templ" in path.name}
    assert {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja"} <= names
    for name in {*names, "LICENSE"}:
        assert (tmp_path / "hf" / name).read_bytes() == (base / name).read_bytes()


def test_student_whose_tensors_are_stored_under_other_names_is_refused(
    untied: Path, checkpoint: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    base = shutil.copytree(untied, tmp_path / "base")
    tensors = load_file(base / "model.safetensors")
    save_file({f"old.{name}": t for name, t in tensors.items()}, base / "model.safetensors")

    with pytest.raises(ValueError, match="transformers renames tensors of"):
        export_model(checkpoint, base, tmp_path / "hf", "float32")
