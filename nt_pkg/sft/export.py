"""Export: a ZeRO-sharded checkpoint becomes a folder that transformers and vLLM load."""

import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nt_pkg.files.json_files import read_json, sha256_file, write_json
from nt_pkg.jobs.progress import Progress
from nt_pkg.sft.checkpoint_files import check
from nt_pkg.sft.shards import Shards

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

logger = logging.getLogger(__name__)
FILE_SIZE = "5GB"  # of one file of weights: what transformers took for long, and our need of memory
# What belongs to a student beside its weights and its configuration.
_COPIED = (
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "chat_template*",
    "additional_chat_templates",
    "LICENSE*",
    "NOTICE*",
    "USE_POLICY*",
)


def export_model(checkpoint: Path, base_dir: Path, out_dir: Path, dtype: str) -> dict[str, Any]:
    """Write the consolidated model to `out_dir` and return its manifest.

    The checkpoint's files are checked by their digests first. Weights are the fp32 ones of the
    optimiser, rounded to `dtype` once. Tensors pass one by one, so memory is bounded by one file of
    weights, whatever the model. The files are read again and every tensor compared with the shards.

    Args:
        checkpoint: folder of one DeepSpeed checkpoint.
        base_dir: folder of the untrained student, for its config and tokenizer.
        out_dir: folder to write.
        dtype: name of the torch dtype that the weights are stored in.

    Raises:
        ValueError: the checkpoint is damaged or of another model, or an exported tensor differs
            from it.
    """
    import torch
    from transformers import AutoConfig, AutoTokenizer

    kind: torch.dtype = getattr(torch, dtype)
    try:
        check(checkpoint)
    except ValueError as error:
        raise ValueError(f"{checkpoint}: {error}; train again") from error
    shards = Shards(checkpoint)
    config = AutoConfig.from_pretrained(base_dir)
    _same_model(shards, config, checkpoint, base_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    names = _write_weights(shards, out_dir, kind)
    _compare(shards, names, out_dir, kind, checkpoint)
    config.use_cache, config.dtype = True, kind
    config.save_pretrained(out_dir)
    for path in sorted({path for pattern in _COPIED for path in base_dir.glob(pattern)}):
        copy = shutil.copytree if path.is_dir() else shutil.copyfile
        copy(path, out_dir / path.name)
    # Whether the hub may be asked must not decide anything here.
    tokenizer = AutoTokenizer.from_pretrained(out_dir, local_files_only=True)
    write_json(out_dir / "generation_config.json", _generation(base_dir, config, tokenizer))
    return {
        "dtype": dtype,
        "num_tensors": len(shards.shapes),
        "files": {p.name: sha256_file(p) for p in sorted(out_dir.iterdir()) if p.is_file()},
    }


def _same_model(
    shards: Shards, config: "PretrainedConfig", checkpoint: Path, base_dir: Path
) -> None:
    """Check that a checkpoint has the tensors of the student, and no others."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    # A tied output layer is no parameter of its own, so ZeRO need not know it.
    missing = sorted(expected.keys() - shards.shapes.keys() - set(model.all_tied_weights_keys))
    unexpected = sorted(shards.shapes.keys() - expected.keys())
    other = sorted(
        n for n in shards.shapes if expected.get(n, shards.shapes[n]) != shards.shapes[n]
    )
    if missing or unexpected or other:
        raise ValueError(
            f"{checkpoint} is not of the model in {base_dir}: missing {missing}, unexpected "
            f"{unexpected}, of another shape {other}"
        )
    # transformers renames tensors of some families as it loads them; these are written as loaded.
    stored = _stored_names(base_dir)
    renamed = sorted(shards.shapes.keys() - stored) if stored else []
    if renamed:
        raise ValueError(
            f"{base_dir} stores its tensors under other names than transformers gives them, such "
            f"as {renamed[0]}: families like that cannot be exported yet"
        )


def _stored_names(folder: Path) -> set[str]:
    from safetensors import safe_open

    names: set[str] = set()
    for path in folder.glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            names.update(file.keys())
    return names


def _write_weights(shards: Shards, out_dir: Path, kind: "torch.dtype") -> dict[str, list[str]]:
    """Write the weights, and an index if they are several files; return the names in each."""
    import torch
    from huggingface_hub import split_torch_state_dict_into_shards
    from safetensors.torch import save_file

    empty = {
        name: torch.empty(shape, dtype=kind, device="meta") for name, shape in shards.shapes.items()
    }
    split = split_torch_state_dict_into_shards(empty, max_shard_size=FILE_SIZE)
    progress = Progress("tensors written", len(empty), 0)
    for file_name, names in split.filename_to_tensors.items():
        tensors = {}
        for name in names:
            tensors[name] = shards.read(name).to(kind).contiguous()
            progress.add(1)
        save_file(tensors, out_dir / file_name, metadata={"format": "pt"})
        with (out_dir / file_name).open("rb+") as file:
            os.fsync(file.fileno())
    if split.is_sharded:
        index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
        write_json(out_dir / "model.safetensors.index.json", index)
    found: dict[str, list[str]] = split.filename_to_tensors
    return found


def _compare(
    shards: Shards,
    names: dict[str, list[str]],
    out_dir: Path,
    kind: "torch.dtype",
    checkpoint: Path,
) -> None:
    """Read the files again and compare each tensor with the shards, bit for bit."""
    import torch
    from safetensors import safe_open

    seen = set()
    for file_name, expected in names.items():
        with safe_open(out_dir / file_name, "pt") as file:
            if sorted(file.keys()) != sorted(expected):
                raise ValueError(f"{out_dir / file_name} has other tensors than were written")
            for name in expected:
                tensor = file.get_tensor(name)
                if tensor.dtype != kind or not torch.equal(tensor, shards.read(name).to(kind)):
                    raise ValueError(
                        f"{out_dir}: tensor {name} differs from the checkpoint {checkpoint}"
                    )
                seen.add(name)
    if seen != shards.shapes.keys():
        raise ValueError(f"{out_dir} lacks {sorted(shards.shapes.keys() - seen)}")


def _generation(
    base_dir: Path, config: "PretrainedConfig", tokenizer: "PreTrainedTokenizerBase"
) -> dict[str, Any]:
    """Return the student's generation config, which ends at its own tokens and at the template's.

    The template's is the one that the training's loss covers; Llama-3.1 and Qwen2.5 have others
    beside it in their generation configs.
    """
    path = base_dir / "generation_config.json"
    names = ("bos_token_id", "eos_token_id", "pad_token_id")
    found = read_json(path) if path.exists() else {n: getattr(config, n, None) for n in names}
    ends = found.get("eos_token_id")
    ends = [tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])]
    ends = list(dict.fromkeys(end for end in ends if end is not None))
    if tokenizer.pad_token_id is not None:
        found["pad_token_id"] = tokenizer.pad_token_id
    found["eos_token_id"] = ends if len(ends) > 1 else ends[0]
    return {name: value for name, value in found.items() if value is not None}
