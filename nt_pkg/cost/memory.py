"""Memory of a training on one GPU: what it needs, and the smallest setup that fits.

Model states follow ZeRO (Rajbhandari et al. 2020, arXiv 1910.02054, section 3): per parameter a
weight and a gradient in the dtype of training, and 12 bytes of optimiser (float32 weight and two
moments of AdamW). Stage 1 divides the optimiser among the ranks, 2 the gradients as well, 3 the
weights as well. Activations are counted from what autograd keeps of a decoder layer of
`transformers` 5.23 with attention that keeps no scores; a test compares the count with autograd's.
"""

from dataclasses import dataclass, replace
from typing import Literal

from nt_pkg.cost.decoder_shape import Shape

GIB = 2**30
DTYPE_BYTES = {"bfloat16": 2, "float32": 4}
# DeepSpeed's defaults, in elements: reduce_bucket_size, stage3_max_live_parameters, sub_group_size.
_BUCKET, _LIVE, _SUB_GROUP = 500_000_000, 1_000_000_000, 1_000_000_000
# Logits that the loss (nt_pkg/sft/loss.py) has in memory at a time: 256 MiB in float32. Our own
# choice: at 152,064 words that is 441 tokens, enough for the matrix product to fill a GPU.
MAX_LOGITS = 2**26
# CUDA, NCCL and kernels take some 2 GiB before the first tensor, and the allocator cannot use every
# gap. Our own choice, to be replaced by a measurement on a GPU.
_RESERVE_BYTES, _RESERVE_SHARE = 2 * GIB, 0.05


@dataclass(frozen=True)
class Setup:
    """How a training is distributed, as far as memory is concerned."""

    num_ranks: int
    zero_stage: int
    micro_batch_tokens: int  # of one forward pass of a rank
    dtype: str = "bfloat16"
    recomputes: bool = False  # activation checkpointing: a layer keeps its input only
    offload: Literal["none", "optimizer", "all"] = (
        "none"  # what is kept in main memory; all: weights too
    )


def kept_per_token(shape: Shape, dtype: str) -> int:
    """Return the bytes that autograd keeps of one token in one decoder layer."""
    size = DTYPE_BYTES[dtype]
    # Inputs of q/k/v and of gate/up, two outputs of the norms; gate, its SiLU, up, their product.
    linear = size * (4 * shape.hidden_size + 4 * shape.intermediate_size)
    attention = size * 2 * (shape.query_width + shape.key_width) + 4 * shape.num_attention_heads
    norms = 2 * (4 * shape.hidden_size + 4)  # they compute in float32
    return linear + attention + norms


def activations(shape: Shape, setup: Setup) -> int:
    """Return the bytes of activations at their peak, one forward pass of one rank."""
    size, layers = DTYPE_BYTES[setup.dtype], shape.num_hidden_layers
    per_layer = kept_per_token(shape, setup.dtype)
    last_norm = (4 + size) * shape.hidden_size + 4
    if setup.recomputes:
        per_token = layers * size * shape.hidden_size + per_layer + last_norm
    else:
        per_token = layers * per_layer + last_norm
    # In the layer of the backward pass, gradients exist next to the kept activations.
    per_token += size * (2 * shape.hidden_size + 3 * shape.intermediate_size)
    return per_token * setup.micro_batch_tokens


def states(count: int, setup: Setup) -> dict[str, int]:
    """Return the bytes of one GPU's weights, gradients and optimiser for `count` parameters."""
    size, stage, offload = DTYPE_BYTES[setup.dtype], setup.zero_stage, setup.offload
    share = -(-count // setup.num_ranks)
    # With the optimiser, gradients go to main memory as soon as they are divided.
    gradients = count if stage == 1 else share if offload == "none" else 0
    return {
        "weights": 0 if offload == "all" else size * (share if stage == 3 else count),
        "gradients": size * gradients,
        "optimizer": 12 * share if offload == "none" else 0,
    }


def parts(shape: Shape, setup: Setup, gpu_bytes: int) -> dict[str, int]:
    """Return what takes the memory of one GPU at the peak of a step, in bytes by part."""
    count, size, stage = shape.num_parameters, DTYPE_BYTES[setup.dtype], setup.zero_stage
    share = -(-count // setup.num_ranks)
    chunk = min(setup.micro_batch_tokens, max(1, MAX_LOGITS // shape.vocab_size))
    # Buckets of gradients are in transfer; the step makes gradients float32, whole or by groups.
    buffers = size * min(count, _BUCKET)
    if setup.offload == "none":
        buffers += 4 * (min(share, _SUB_GROUP) if stage == 3 else share)
    if stage == 3:  # weights that were gathered and not yet freed
        buffers += size * min(count, _LIVE)
    return {
        **states(count, setup),
        "activations": activations(shape, setup),
        # A chunk of them in both precisions and their gradient; the output layer's gradient, summed
        # in float32.
        "logits": chunk * shape.vocab_size * (4 + 2 * size) + (4 + size) * shape.num_embedding,
        "buffers": buffers,
        "reserve": int(_RESERVE_BYTES + _RESERVE_SHARE * gpu_bytes),
    }


def start_up(shape: Shape, setup: Setup, gpu_bytes: int) -> dict[str, int]:
    """Return what takes the memory of one GPU at the peak of a start, in bytes by part.

    Weights come module by module (nt_pkg/sft/loading.py), and DeepSpeed copies the rank's share
    before it makes it float32.
    """
    count, size = shape.num_parameters, DTYPE_BYTES[setup.dtype]
    share = -(-count // setup.num_ranks)
    wide = shape.hidden_size * max(shape.intermediate_size, shape.query_width)
    largest = max(shape.num_embedding, wide)
    if setup.zero_stage < 3:
        loading, weights = 0, size * count
    else:
        loading, weights = size * largest, 0 if setup.offload == "all" else size * share
    copied = min(share, _SUB_GROUP) if setup.zero_stage == 3 else share
    if setup.offload == "none":
        master = 4 * share + size * copied
    else:  # at stage 3 it is copied in main memory
        master = 0 if setup.zero_stage == 3 else size * copied
    return {
        "weights": weights,
        "buffers": max(loading, master),  # one after the other
        "reserve": int(_RESERVE_BYTES + _RESERVE_SHARE * gpu_bytes),
    }


def fits(shape: Shape, setup: Setup, gpu_bytes: int) -> bool:
    """Return whether all parts fit into one GPU, at the start and in a step."""
    peaks = (each(shape, setup, gpu_bytes) for each in (start_up, parts))
    return all(sum(peak.values()) <= gpu_bytes for peak in peaks)


def smallest_that_fits(shape: Shape, wanted: Setup, gpu_bytes: int) -> Setup | None:
    """Return the setup with the fewest GPUs that fits, and of these the one nearest to `wanted`.

    It tries the requested ranks and every power of two, each stage, and activation
    checkpointing. Offloading and micro-batches stay as in `wanted`.
    """
    for ranks in sorted({wanted.num_ranks, *(2**power for power in range(11))}):
        for recomputes in sorted({wanted.recomputes, True}):
            # The stage that was asked for first, then those that take less memory one by one.
            stages = (3,) if wanted.offload == "all" else (wanted.zero_stage, 1, 2, 3)
            for stage in stages:
                setup = replace(wanted, num_ranks=ranks, zero_stage=stage, recomputes=recomputes)
                if fits(shape, setup, gpu_bytes):
                    return setup
    return None
