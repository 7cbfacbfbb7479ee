"""Norms, rotary embedding and SwiGLU in fewer passes over memory than transformers takes.

Eagerly each of them is several kernels, each of which reads and writes all tokens. Products of
matrices and attention stay as they are. Results differ by rounding only.
"""

import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from nt_pkg.cost.decoder_shape import MODEL_TYPES

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

Kernels = Literal["eager", "compiled", "liger"]
_ROTARY = "apply_rotary_pos_emb"


def use_kernels(model: "PreTrainedModel", wanted: Kernels, device: str) -> None:
    """Change a model in place, and its rotary embedding for all models of this process.

    Args:
        model: of transformers, before its loss is changed.
        wanted: what the configuration asks for.
        device: "cuda" or "cpu".

    Raises:
        ValueError: the machine or the student does not support what is wanted.
    """
    if wanted == "eager":
        return
    kind = model.config.model_type
    if kind not in MODEL_TYPES:
        raise ValueError(
            f"runtime.kernels {wanted!r} is for {', '.join(MODEL_TYPES)}, and this student is "
            f"{kind}: set it to 'eager'"
        )
    if wanted == "compiled":
        _compile(model)
    else:
        _use_liger(model, device)


def _compile(model: "PreTrainedModel") -> None:
    """Compile what stands between the products of matrices; each is compiled on first use."""
    norm, gate = (_compiled(each) for each in (_norm, _gate))
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            module.forward = partial(norm, module)
        elif hasattr(module, "gate_proj"):
            module.forward = partial(_swiglu, gate, module)
    modeling = sys.modules[type(model).__module__]
    if not hasattr(modeling, f"_nt_{_ROTARY}"):
        setattr(modeling, f"_nt_{_ROTARY}", getattr(modeling, _ROTARY))
    setattr(modeling, _ROTARY, _compiled(getattr(modeling, f"_nt_{_ROTARY}")))


def _compiled(function: Any) -> Any:
    import torch

    # Rows differ in length, and compiling for each would take longer than it saves.
    return torch.compile(function, dynamic=True)


def _norm(module: Any, hidden: "torch.Tensor") -> "torch.Tensor":
    found: torch.Tensor = type(module).forward(module, hidden)
    return found


def _gate(activation: Any, gate: "torch.Tensor", up: "torch.Tensor") -> "torch.Tensor":
    found: torch.Tensor = activation(gate) * up
    return found


def _swiglu(gate: Any, module: Any, hidden: "torch.Tensor") -> "torch.Tensor":
    # The projections stay modules that are called, since ZeRO-3 gathers their weights in hooks.
    found = gate(module.act_fn, module.gate_proj(hidden), module.up_proj(hidden))
    result: torch.Tensor = module.down_proj(found)
    return result


def _use_liger(model: "PreTrainedModel", device: str) -> None:
    if device != "cuda":
        raise ValueError("runtime.kernels 'liger' needs a GPU: set it to 'eager' or 'compiled'")
    try:
        from liger_kernel.transformers import _apply_liger_kernel_to_instance
    except ModuleNotFoundError:
        raise ValueError(
            "runtime.kernels 'liger' needs the package liger-kernel, which is not installed: "
            "install it, or set kernels to 'eager' or 'compiled'"
        ) from None
    # The loss is our own (nt_pkg/sft/loss.py).
    _apply_liger_kernel_to_instance(
        model=model,
        rope=True,
        rms_norm=True,
        swiglu=True,
        cross_entropy=False,
        fused_linear_cross_entropy=False,
    )
