"""Load a student so that no rank ever holds all of its weights where ZeRO-3 shards them.

The files are mapped into memory in the dtype in which they are stored. Module by module, weights
then move to the rank's device, and at ZeRO-3 each rank keeps its share before the next module
moves. So a rank holds at most its share and one module, and no copy of the model in main memory.
DeepSpeed alone would move the whole model to every GPU first.
"""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nt_pkg.jobs.model_folder import check_whole, loading

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


def read_mapped(folder: Path, dtype: str, attention: str) -> "PreTrainedModel":
    """Return a model whose weights are mapped from its files, in the dtype of most of them.

    Args:
        folder: of the model.
        dtype: what to convert weights to as they are read if they are no safetensors.
        attention: name of its attention in transformers.

    Raises:
        ValueError: the files are damaged, lack weights, or are of another kind of model.
    """
    import torch
    from transformers import AutoModelForCausalLM

    model: PreTrainedModel
    with loading(folder):
        model, info = AutoModelForCausalLM.from_pretrained(
            folder,
            trust_remote_code=False,
            dtype=_stored_dtype(folder) or getattr(torch, dtype),
            attn_implementation=attention,
            output_loading_info=True,
        )
        check_whole(folder, info)
    return model


def _stored_dtype(folder: Path) -> "torch.dtype | None":
    import torch
    from safetensors import safe_open

    kinds: Counter[torch.dtype] = Counter()
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118 - it is no mapping
                # A slice has no torch dtype before something is taken from it.
                kinds[file.get_slice(name)[:0].dtype] += 1
    floats = [kind for kind, _ in kinds.most_common() if kind.is_floating_point]
    return floats[0] if floats else None


def spread(
    model: "PreTrainedModel", dtype: str, device: "torch.device", rank: int, config: dict[str, Any]
) -> None:
    """Move the weights to this rank's device: all of them, or at ZeRO-3 the rank's share.

    Only rank 0 reads them. DeepSpeed sends its weights to the other ranks, at ZeRO-3 here and
    otherwise in `initialize`. All ranks must call this at the same time.

    Args:
        model: what `read_mapped` returned; it changes in place.
        dtype: dtype of the training.
        device: of this rank.
        rank: of this process.
        config: DeepSpeed's configuration.
    """
    import deepspeed
    import torch

    kind: torch.dtype = getattr(torch, dtype)
    is_sharded = config["zero_optimization"]["stage"] == 3
    moved: set[torch.nn.Parameter] = set()  # a tied weight belongs to two modules
    for module in reversed(list(model.modules())):  # children come before their parents
        own = [each for each in module.parameters(recurse=False) if each not in moved]
        moved.update(own)
        for weight in own:
            # A copy even on a CPU: what is received is written into it, and must not be into pages
            # of the mapped file, which would then belong to this rank alone.
            weight.data = (
                weight.data.to(device, kind, copy=True)
                if rank == 0
                else torch.empty_like(weight.data, dtype=kind, device=device)
            )
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, buffer.to(device))
        if own and is_sharded:
            deepspeed.zero.Init(module=module, config_dict_or_path=config, dtype=kind)
