"""The parts of `benchmarks.gpu_check` that measure speed and memory without DeepSpeed."""

import statistics
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.gpu_place import (
    MEAN_DOCUMENT,
    MODELS,
    Line,
    Place,
    distance,
    model_of,
    row_of,
    slopes_of,
)
from nt_pkg.cost import memory
from nt_pkg.cost.decoder_shape import Shape, read_shape
from nt_pkg.cost.memory import GIB, Setup

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_ROWS = [8192, 16_384, 32_768]


def kernels(place: Place) -> list[Line]:
    """Compare eager, compiled and Liger kernels: time of forward and backward, and gradients."""
    import torch

    from nt_pkg.sft import kernels as fused

    tokens = 64 if place.is_quick else 8192 if place.on_gpu else 512
    layers = 2 if place.is_small else 4
    config = {**MODELS["8B" if place.on_gpu else "tiny"], "num_hidden_layers": layers}
    name, dtype = ("varlen", torch.bfloat16) if place.on_gpu else ("documents", torch.float32)
    if place.is_quick:  # machine code takes half a minute on a CPU
        fused._compiled = partial(torch.compile, dynamic=True, backend="aot_eager")
    row = row_of(_documents(tokens), name, config, place.device)
    lines: list[Line] = []
    before: tuple[float, list[torch.Tensor], float] | None = None
    for way in ("eager", "compiled", "liger"):
        try:
            model = model_of(config, name, dtype, place.device, way)
            seconds, loss = timed(model, row, place)
        except Exception as error:  # a compiler or a package may be missing
            lines.append(Line("kernels", way, "", "", f"skipped: {str(error)[:70]}"))
            continue
        slopes = slopes_of(model)
        del model
        what = f"{way}, {layers} layers, {tokens} tokens"
        if before is None:
            before = seconds, slopes, loss
            lines.append(Line("kernels", what, f"{seconds * 1e3:.1f} ms", data={"s": seconds}))
            continue
        gain, far = before[0] / seconds, distance(slopes, before[1])
        bound = 0.05 if dtype == torch.bfloat16 else 1e-4
        lines.append(
            Line(
                "kernels",
                what,
                f"{seconds * 1e3:.1f} ms, {gain:.2f} times eager, gradients differ by {far:.1e}",
                f"differ by less than {bound:g}",
                "ok" if far < bound else "BAD",
                {"s": seconds, "gain": gain, "gradients": far, "loss": loss - before[2]},
            )
        )
    return lines


def timed(
    model: "PreTrainedModel", row: dict[str, Any], place: Place, most: int = 5
) -> tuple[float, float]:
    """Return the median seconds of forward and backward after two unmeasured ones, and the loss."""
    import torch

    seconds = []
    for number in range(2 + (1 if place.is_quick else most)):
        model.zero_grad(set_to_none=True)
        begun = time.perf_counter()
        loss = model(**row)
        loss.backward()
        if place.on_gpu:
            torch.cuda.synchronize()
        if number > 1:
            seconds.append(time.perf_counter() - begun)
        if seconds and time.monotonic() > place.deadline:
            break
    return statistics.median(seconds), float(loss.detach())


def passes(place: Place) -> list[Line]:
    """Measure forward and backward of whole models on rows of several lengths.

    Without DeepSpeed and without an optimiser: the states of 8B do not fit on one GPU beside it.
    """
    import torch

    lines = []
    names, rows = (["tiny"], [64, 128]) if place.is_small else (["1B", "8B"], _ROWS)
    for name in names:
        config = MODELS[name]
        shape = read_shape(config)
        kind, dtype = ("varlen", torch.bfloat16) if place.on_gpu else ("documents", torch.float32)
        model = model_of(config, kind, dtype, place.device)
        for tokens in rows:
            what = f"{name}, {tokens} tokens"
            if time.monotonic() > place.deadline:
                lines.append(Line("passes", what, "", "", "skipped: no time left"))
                continue
            lines.append(_pass(model, shape, what, tokens, kind, config, place))
        del model
        place.free()
    return lines


def _pass(
    model: "PreTrainedModel",
    shape: Shape,
    what: str,
    tokens: int,
    kind: str,
    config: dict[str, Any],
    place: Place,
) -> Line:
    import torch

    capacity = place.capacity
    dtype = "bfloat16" if place.on_gpu else "float32"
    ways = [Setup(1, 3, tokens, dtype, recomputes=each) for each in (False, True)]
    needs = [_without_optimizer(shape, each, capacity) for each in ways]
    at = next((n for n, need in enumerate(needs) if need < 0.93 * capacity), None)
    if at is None:
        return Line("passes", what, "", "", f"skipped: needs {needs[-1] / GIB:.0f} GiB")
    recompute(model, bool(at))
    place.free()
    lengths = _documents(tokens)
    try:
        seconds, _ = timed(model, row_of(lengths, kind, config, place.device), place)
    except torch.OutOfMemoryError as error:
        return Line("passes", what, "", "", f"skipped: {str(error)[:70]}")
    flops = shape.flops(lengths, tokens - len(lengths))
    data: dict[str, Any] = {"s": seconds, "tokens_per_s": tokens / seconds, "recomputes": bool(at)}
    text = f"{tokens / seconds:,.0f} tokens/s" + (", layers computed again" if at else "")
    data["estimate_gib"] = needs[at] / GIB
    wanted = verdict = ""
    if place.on_gpu:
        data["peak_gib"] = torch.cuda.max_memory_allocated() / GIB
        text += f", {data['peak_gib']:.1f} GiB, estimated {data['estimate_gib']:.1f}"
        if peak := place.peak:
            data["mfu"], goal = flops / seconds / peak, 0.5 if tokens <= 16_384 else 0.4
            text = f"MFU {data['mfu']:.1%}, {text}"
            wanted, verdict = f"MFU {goal:.0%}", "ok" if data["mfu"] >= goal else "BAD"
    return Line("passes", what, text, wanted, verdict, data)


def recompute(model: "PreTrainedModel", wanted: bool) -> None:
    """Switch activation checkpointing on or off, by the name it has in this transformers."""
    for stem in ("activation_checkpointing", "gradient_checkpointing"):
        if hasattr(model, f"{stem}_enable"):
            if wanted:
                getattr(model, f"{stem}_enable")({"use_reentrant": False})
            else:
                getattr(model, f"{stem}_disable")()
            return


def _without_optimizer(shape: Shape, setup: Setup, capacity: int) -> int:
    parts = memory.parts(shape, setup, capacity)
    return sum(parts[each] for each in ("weights", "gradients", "activations", "logits"))


def _documents(tokens: int) -> tuple[int, ...]:
    """Return lengths of documents that fill a row, none longer than an example of the paper."""
    number = -(-tokens // MEAN_DOCUMENT)
    lengths = [tokens // number] * number
    lengths[0] += tokens - sum(lengths)
    return tuple(lengths)
