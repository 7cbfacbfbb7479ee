"""Export: turn a ZeRO-sharded checkpoint into a folder that transformers and vLLM load."""

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
FILE_SIZE = "5GB"  # of one file of weights; bounds memory, and was long the default of transformers
# Files of a student other than its weights and its configuration.
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

    The checkpoint's files are first checked against their digests. The weights are the optimiser's
    fp32 weights, rounded to `dtype` once. Tensors are copied one by one, so memory is bounded by
    one file of weights for any model. Afterwards every tensor is read back and compared with the
    shards.

    Args:
        checkpoint: folder of one DeepSpeed checkpoint.
        base_dir: folder of the untrained student, for its config and tokenizer.
        out_dir: folder to write.
        dtype: name of the torch dtype of the stored weights.

    Raises:
        ValueError: the checkpoint is damaged or belongs to another model, or an exported tensor
            differs from it.
    """
    import torch
    from transformers import AutoConfig, AutoTokenizer

    kind: torch.dtype = getattr(torch, dtype)
    try:
        check(checkpoint)
    except ValueError as error:
        raise ValueError(
            f"{checkpoint}: {error}; move its folder elsewhere to train again"
        ) from error
    shards = Shards(checkpoint)
    config = AutoConfig.from_pretrained(base_dir, trust_remote_code=False)
    _same_model(shards, config, checkpoint, base_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    names = _write_weights(shards, out_dir, kind)
    _compare(shards, names, out_dir, kind, checkpoint)
    write_json(out_dir / "config.json", _config(base_dir, config, dtype))
    for path in sorted({path for pattern in _COPIED for path in base_dir.glob(pattern)}):
        copy = shutil.copytree if path.is_dir() else shutil.copyfile
        copy(path, out_dir / path.name)
    # The result must not depend on whether the hub can be reached.
    tokenizer = AutoTokenizer.from_pretrained(
        out_dir, local_files_only=True, trust_remote_code=False
    )
    write_json(out_dir / "generation_config.json", _generation(base_dir, config, tokenizer))
    return {
        "dtype": dtype,
        "num_tensors": len(shards.shapes),
        "files": {p.name: sha256_file(p) for p in sorted(out_dir.iterdir()) if p.is_file()},
    }


def _same_model(
    shards: Shards, config: "PretrainedConfig", checkpoint: Path, base_dir: Path
) -> None:
    """Check that a checkpoint has exactly the tensors of the student."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    # A tied output layer is not a separate parameter, so the checkpoint may lack it.
    missing = sorted(expected.keys() - shards.shapes.keys() - set(model.all_tied_weights_keys))
    unexpected = sorted(shards.shapes.keys() - expected.keys())
    other = sorted(
        n for n in shards.shapes if expected.get(n, shards.shapes[n]) != shards.shapes[n]
    )
    if missing or unexpected or other:
        raise ValueError(
            f"{checkpoint} does not belong to the model in {base_dir}: missing {missing}, "
            f"unexpected {unexpected}, of another shape {other}"
        )
    # transformers renames tensors of some families when it loads them, and we write them as loaded.
    stored = _stored_names(base_dir)
    renamed = sorted(shards.shapes.keys() - stored) if stored else []
    if renamed:
        raise ValueError(
            f"transformers renames tensors of {base_dir} when it loads them, such as {renamed[0]}: "
            "models of this family cannot be exported yet"
        )


def _stored_names(folder: Path) -> set[str]:
    from safetensors import safe_open

    names: set[str] = set()
    for path in folder.glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            names.update(file.keys())
    return names


def _write_weights(shards: Shards, out_dir: Path, kind: "torch.dtype") -> dict[str, list[str]]:
    """Write the weights, and an index for several files; return the tensor names of each file."""
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
    """Read the files back and compare each tensor with the shards, bit for bit."""
    import torch
    from safetensors import safe_open

    seen = set()
    for file_name, expected in names.items():
        with safe_open(out_dir / file_name, "pt") as file:
            if sorted(file.keys()) != sorted(expected):
                raise ValueError(f"{out_dir / file_name} does not hold the tensors that we wrote")
            for name in expected:
                tensor = file.get_tensor(name)
                if tensor.dtype != kind or not torch.equal(tensor, shards.read(name).to(kind)):
                    raise ValueError(
                        f"{out_dir}: tensor {name} differs from the checkpoint {checkpoint}"
                    )
                seen.add(name)
    if seen != shards.shapes.keys():
        raise ValueError(f"{out_dir} lacks {sorted(shards.shapes.keys() - seen)}")


def _config(base_dir: Path, config: "PretrainedConfig", dtype: str) -> dict[str, Any]:
    """Return the student's config.json as it came, with the dtype of the weights.

    Releases of transformers before 5 read the base and the kind of the rotary positions from
    `rope_theta` and `rope_scaling`, and the dtype from `torch_dtype`; without them they compute
    other positions and say nothing. Later ones read both.
    """
    found = read_json(base_dir / "config.json")
    rope = getattr(config, "rope_parameters", None) or {}
    if "rope_theta" in rope:  # one kind for all layers
        found.setdefault("rope_theta", rope["rope_theta"])
        if rope.get("rope_type", "default") != "default":
            scaling = {name: value for name, value in rope.items() if name != "rope_theta"}
            found.setdefault("rope_scaling", scaling)
    return {**found, "dtype": dtype, "torch_dtype": dtype, "use_cache": True}


def _generation(
    base_dir: Path, config: "PretrainedConfig", tokenizer: "PreTrainedTokenizerBase"
) -> dict[str, Any]:
    """Return the student's generation config, with the template's end token among its end tokens.

    Training puts loss on the template's end token. The generation configs of Llama-3.1 and Qwen2.5
    list other end tokens too.
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
