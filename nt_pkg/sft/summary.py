"""Figures of a finished training for `run.json`."""

import resource
from typing import TYPE_CHECKING

from nt_pkg.config.students import Training
from nt_pkg.cost.decoder_shape import Shape, read_shape
from nt_pkg.cost.hardware import gpu_of
from nt_pkg.packing.steps import Numbers, Steps

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


def known_shape(model: "PreTrainedModel") -> Shape | None:
    """Return the shape of a model; None if it is of an architecture that is not known."""
    try:
        return read_shape(model.config.to_dict())
    except ValueError:
        return None


def flops_of(shape: Shape | None, lengths: Numbers, steps: Steps) -> float | None:
    """Return the floating-point operations of all steps over examples of these lengths."""
    if shape is None:
        return None
    epochs = steps.num_epochs
    return epochs * shape.flops(lengths.tolist(), steps.num_loss_tokens / epochs)


def model_flops_utilisation(
    flops: float | None,
    seconds: float,
    num_ranks: int,
    device: "torch.device",
    training: Training,
) -> float | None:
    """Return the operations per second as a share of the GPUs' peak, if both are known."""
    import torch

    if flops is None or device.type != "cuda":
        return None
    gpu = gpu_of(torch.cuda.get_device_name(device))
    peak = gpu.peak(training.dtype) if gpu else None
    return round(flops / seconds / num_ranks / peak, 4) if peak else None


def peak_memory_mb(device: "torch.device") -> float:
    """Return the peak memory of any rank in MB: of its GPU, or of its process on a CPU."""
    import torch

    own = (
        torch.cuda.max_memory_allocated(device) / 1e6
        if device.type == "cuda"
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    )
    most = torch.tensor([own], device=device)
    torch.distributed.all_reduce(most, op=torch.distributed.ReduceOp.MAX)
    return round(float(most), 1)


def versions() -> dict[str, str]:
    """Return the versions of the training libraries."""
    import deepspeed
    import torch
    import transformers

    return {each.__name__: each.__version__ for each in (torch, transformers, deepspeed)}
