"""Floating-point operations of a training, and the share of a GPU's peak that they come to (MFU).

Counted are the multiplications that the model needs, forward and backward (three times forward):

- 6 x tokens x parameters of the layers: one multiplication and one addition per weight;
- 6 x tokens that bear loss x parameters of the output layer, since only they have logits;
- 6 x layers x width of attention x the sum of squared document lengths: scores and their use, half
  of each square, since attention is causal and stays within a document.

What activation checkpointing computes again is not counted, nor are padding, norms and softmax.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Dense bfloat16 operations, and bytes of its memory, per second; from NVIDIA's data sheets. The
# first name that fits counts.
_PEAKS = {
    "H100 PCIe": (756e12, 2.0e12),
    "H100 NVL": (835e12, 3.9e12),
    "H100": (989e12, 3.35e12),
    "H200": (989e12, 4.8e12),
    "A100": (312e12, 1.555e12),  # of 40 GB; that of 80 GB reads its memory at 2.0e12
}


@dataclass(frozen=True)
class Shape:
    """What of a model counts: parameters of the layers and of the output layer, and attention."""

    layer_parameters: int
    output_parameters: int
    num_layers: int
    attention_width: int

    def flops(self, lengths: Sequence[int], loss_tokens: int) -> float:
        """Return the operations for documents of these lengths."""
        squares = sum(length**2 for length in lengths)
        return 6.0 * (
            sum(lengths) * self.layer_parameters
            + loss_tokens * self.output_parameters
            + self.num_layers * self.attention_width * squares
        )


def shape_of(model: "PreTrainedModel") -> Shape:
    """Return the shape of a decoder, before ZeRO-3 takes its tensors away."""
    config = model.config
    inputs, outputs = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    embeddings = {id(each): each.numel() for each in (inputs, outputs)}
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return Shape(
        model.num_parameters() - sum(embeddings.values()),
        outputs.numel(),
        config.num_hidden_layers,
        head * config.num_attention_heads,
    )


def peak_flops(device: str, dtype: str = "bfloat16") -> float | None:
    """Return the operations per second of a GPU at its best, or None where we do not know them.

    Args:
        device: its name, as torch or Slurm gives it.
        dtype: of the weights; float32 has no entry, since it depends on TF32.
    """
    if dtype != "bfloat16":
        return None
    return _peaks(device)[0]


def memory_bandwidth(device: str) -> float | None:
    """Return the bytes per second that a GPU reads of its memory at its best, if it is known."""
    return _peaks(device)[1]


def _peaks(device: str) -> tuple[float, float] | tuple[None, None]:
    found = (peaks for name, peaks in _PEAKS.items() if name.lower() in device.lower())
    return next(found, (None, None))
