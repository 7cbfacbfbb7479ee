"""The last layer of a causal language model, whose logits are too many to hold at a time."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_RESCALES = ("final_logit_softcapping", "logit_scale", "logits_scaling")


def has_plain_head(model: "PreTrainedModel") -> bool:
    """Return whether logits are just the hidden states times a matrix."""
    import torch

    head = model.get_output_embeddings()
    return (
        type(head) is torch.nn.Linear
        and head.bias is None
        and model.base_model is not model
        and not any(getattr(model.config, name, None) for name in _RESCALES)
    )
