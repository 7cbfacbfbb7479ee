"""The parts of `benchmarks.gpu_check` that compare results: attention and packing."""

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.gpu_place import (
    MODELS,
    SEED,
    Line,
    Place,
    distance,
    model_of,
    row_of,
    slopes_of,
    within,
)
from nt_pkg.cost.memory import GIB

if TYPE_CHECKING:
    import torch


def machine(place: Place) -> list[Line]:
    """Return what runs the check."""
    import torch

    if not place.on_gpu:
        return [Line("machine", "device", "CPU", data={"device": "CPU"})]
    name, found = torch.cuda.get_device_name(0), torch.cuda.get_device_properties(0)
    peak = place.peak
    text = f"{name}, {found.total_memory / GIB:.1f} GiB"
    known = f"{peak / 1e12:.0f} TFLOP/s in bfloat16" if peak else "its peak is not known, so no MFU"
    return [Line("machine", "device", f"{text}, {known}", data={"device": name, "peak": peak})]


def attention(place: Place) -> list[Line]:
    """Compare each attention with the plain formula in float32: output and three gradients."""
    import torch
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    from nt_pkg.sft.attention import layout_for, register

    lines = []
    lengths = (1, 5, 24) if place.is_small else (1, 77, 500, 1470)
    for heads, fewer, width in [(4, 2, 16)] if place.is_small else [(32, 8, 64), (32, 8, 128)]:
        torch.manual_seed(SEED)
        # As the projections leave them: rows x tokens x heads x width, seen with heads first.
        given = [
            torch.randn(1, sum(lengths), each, width, device=place.device).bfloat16()
            for each in (heads, fewer, fewer, heads)
        ]
        *inputs, slope = (each.transpose(1, 2) for each in given)
        by_formula = partial(_plain, lengths=lengths)
        wanted = _with_slopes(by_formula, inputs, slope, torch.float32)
        for name in ("documents", "varlen"):
            what = f"{name}, {heads}/{fewer} heads of {width}"
            if name == "varlen" and not place.on_gpu:
                lines.append(Line("attention", what, "", "", "skipped: needs a GPU"))
                continue
            attend = ALL_ATTENTION_FUNCTIONS[register(name)]
            run = partial(_attend, attend, layout_for(name, lengths, place.device))
            found = _with_slopes(run, inputs, slope, torch.bfloat16)
            worst = max(distance([a], [b]) for a, b in zip(found, wanted, strict=True))
            lines.append(within("attention", what, worst, 0.02))
    return lines


def _attend(
    attend: Any, layout: dict[str, Any], query: "torch.Tensor", *others: "torch.Tensor"
) -> "torch.Tensor":
    found, _ = attend(None, query, *others, None, scaling=query.shape[-1] ** -0.5, **layout)
    turned: torch.Tensor = found.transpose(1, 2)
    return turned


def _plain(
    query: "torch.Tensor", key: "torch.Tensor", value: "torch.Tensor", lengths: tuple[int, ...]
) -> "torch.Tensor":
    """Attend within each document by the formula; tensors are 1 x heads x tokens x width."""
    import torch

    groups = query.shape[1] // key.shape[1]
    found = []
    parts = (each.split(lengths, dim=2) for each in (query, key, value))
    for q, k, v in zip(*parts, strict=True):
        k, v = (each.repeat_interleave(groups, dim=1) for each in (k, v))
        scores = q @ k.transpose(2, 3) * q.shape[-1] ** -0.5
        later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
        found.append(scores.masked_fill(later, -math.inf).softmax(-1) @ v)
    return torch.cat(found, dim=2)


def _with_slopes(
    attend: Callable[..., "torch.Tensor"],
    inputs: list["torch.Tensor"],
    slope: "torch.Tensor",
    dtype: "torch.dtype",
) -> list["torch.Tensor"]:
    given = [each.detach().to(dtype).requires_grad_() for each in inputs]
    out = attend(*given)
    out.backward(slope.to(dtype))
    return [out.detach(), *(each.grad for each in given if each.grad is not None)]


def packed(place: Place) -> list[Line]:
    """Compare loss and gradients of a packed row with those of its documents one by one."""
    import torch

    lengths = (7, 20, 33) if place.is_small else (77, 500, 900, 571)
    config = MODELS["tiny"] if place.is_small else {**MODELS["1B"], "num_hidden_layers": 2}
    lines = []
    alone = _loss_and_slopes(config, "documents", torch.float32, lengths, place, True)
    for name, dtype, bound in (
        ("documents", torch.float32, 1e-4),
        ("sdpa", torch.float32, 1e-4),
        ("documents", torch.bfloat16, 0.05),
        ("varlen", torch.bfloat16, 0.05),
    ):
        what = f"{name} in {str(dtype).removeprefix('torch.')}: packed and alone in float32"
        if name == "varlen" and not place.on_gpu:
            lines.append(Line("packed", what, "", "", "skipped: needs a GPU"))
            continue
        found = _loss_and_slopes(config, name, dtype, lengths, place, False)
        worst = max(abs(found[0] / alone[0] - 1), distance(found[1], alone[1]))
        lines.append(within("packed", what, worst, bound))
    return lines


def _loss_and_slopes(
    config: dict[str, Any],
    attention: str,
    dtype: "torch.dtype",
    lengths: tuple[int, ...],
    place: Place,
    one_by_one: bool,
) -> tuple[float, list["torch.Tensor"]]:
    """Return the loss and all gradients, of a packed row or of its documents one after another."""
    import torch

    model = model_of(config, attention, torch.float32, place.device).to(dtype)
    total = 0.0
    for group in ([each] for each in lengths) if one_by_one else [lengths]:
        # The ids of a document depend on its length only.
        loss = model(**row_of(tuple(group), attention, config, place.device))
        loss.backward()
        total += float(loss.detach())
    return total, slopes_of(model)
