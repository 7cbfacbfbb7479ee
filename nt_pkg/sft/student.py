"""Load the student of a training, so that no node holds more copies of it than it has to."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


@dataclass
class _Zero3:
    """What transformers asks before it loads a model; its own class for that needs accelerate."""

    config: dict[str, Any]

    def is_zero3(self) -> bool:
        return True


def load_student(
    model_dir: Path, dtype: str, zero_stage: int, attention: str = "sdpa"
) -> "PreTrainedModel":
    """Return the student on this rank.

    At ZeRO stage 3 it is sharded as it is loaded: the first rank reads one tensor after the other,
    and each rank keeps its piece. Otherwise every rank has all weights, as it needs them.

    Args:
        model_dir: folder of the student.
        dtype: name of the torch dtype of the weights.
        zero_stage: of the training.
        attention: implementation that transformers shall use.
    """
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.integrations.deepspeed import (
        set_hf_deepspeed_config,
        unset_hf_deepspeed_config,
    )

    zero3 = _Zero3(
        {
            "train_micro_batch_size_per_gpu": 1,  # it wants one; nothing hangs on it here
            "bf16": {"enabled": dtype == "bfloat16"},
            "zero_optimization": {"stage": 3},
        }
    )
    if zero_stage == 3:
        set_hf_deepspeed_config(zero3)  # a weak reference
    try:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            model_dir, dtype=getattr(torch, dtype), attn_implementation=attention
        )
    finally:
        unset_hf_deepspeed_config()
    model.config.use_cache = False
    return model


def num_parameters(model: "PreTrainedModel") -> int:
    """Return the parameters of a model, sharded or not; tied ones count once."""
    return sum(map(num_elements, model.parameters()))


def num_elements(parameter: "torch.Tensor") -> int:
    """Return the elements of a whole parameter, of which this rank may have a piece or nothing."""
    return int(getattr(parameter, "ds_numel", parameter.numel()))
