"""Export: a ZeRO-sharded checkpoint becomes a folder that transformers and vLLM load."""

from pathlib import Path
from typing import Any

from nt_pkg.manifest import sha256_file


def export_model(checkpoint: Path, base_dir: Path, out_dir: Path, dtype: str) -> dict[str, Any]:
    """Write the consolidated model to `out_dir` and return its manifest.

    The file is opened again and every tensor compared with the shards; the generation config names
    the student's end-of-turn token, so that generation stops.

    Args:
        checkpoint: folder of one DeepSpeed checkpoint.
        base_dir: folder of the untrained student, for its config and tokenizer.
        out_dir: folder to write.
        dtype: name of the torch dtype that the weights are stored in.

    Raises:
        ValueError: a tensor of the exported file differs from the checkpoint.
    """
    import torch
    from deepspeed.utils.zero_to_fp32 import get_fp32_state_dict_from_zero_checkpoint
    from transformers import AutoModelForCausalLM, AutoTokenizer

    kind: torch.dtype = getattr(torch, dtype)
    state = get_fp32_state_dict_from_zero_checkpoint(str(checkpoint.parent), tag=checkpoint.name)
    # What is saved says whether the hub was asked, so HF_HUB_OFFLINE must not decide that.
    tokenizer = AutoTokenizer.from_pretrained(base_dir, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(base_dir, dtype=torch.float32)
    missing, unexpected = model.load_state_dict(state, strict=False)
    # A tied output layer is no parameter of its own, so ZeRO need not know it.
    missing = sorted(set(missing) - set(model.all_tied_weights_keys))
    if missing or unexpected:
        raise ValueError(
            f"{checkpoint} is not of the model in {base_dir}: missing {missing}, unexpected "
            f"{sorted(unexpected)}"
        )
    model.to(kind)
    model.config.use_cache = True
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(out_dir)
    tokenizer.save_pretrained(out_dir)
    again = AutoModelForCausalLM.from_pretrained(out_dir, dtype=kind).state_dict()
    for name, tensor in state.items():
        if not torch.equal(again[name], tensor.to(kind)):
            raise ValueError(f"{out_dir}: tensor {name} differs from the checkpoint {checkpoint}")
    return {
        "dtype": dtype,
        "num_tensors": len(again),
        "files": {p.name: sha256_file(p) for p in sorted(out_dir.iterdir()) if p.is_file()},
    }
