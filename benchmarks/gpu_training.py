"""The part of `benchmarks.gpu_check` that runs `scripts.train`, and TRL beside it."""

import importlib.util
import math
import sys
import time
from pathlib import Path

from benchmarks.gpu_place import MEAN_DOCUMENT, MODELS, Line, Place, within
from benchmarks.sft import PEERS, ROOT, Side
from benchmarks.sft_worker import Order
from nt_pkg.config.students import Training
from nt_pkg.cost import memory
from nt_pkg.cost.decoder_shape import read_shape
from nt_pkg.cost.memory import GIB, Setup
from nt_pkg.files.json_files import write_json
from nt_pkg.files.schemas import Row
from nt_pkg.identity.seeds import rng
from nt_pkg.sft.examples import file_record, write_examples

_STEP_ROWS = 4


def training(place: Place) -> list[Line]:
    """Stop and continue a training; then measure one, and one of TRL, on the same examples."""
    ours = Side("sft_ours", sys.executable, place.folder)
    try:
        lines = _exact(place, ours)
        is_large = not place.is_small
        name, row = ("1B", 16_384) if is_large else ("tiny", 128)
        order = _order(place, name, row, num_steps=6 if is_large else 3)
        found = ours.run(order)
    finally:
        ours.stop()
    speed, run = found["tokens_per_s"], found["run"]
    data, text = {"tokens_per_s": speed}, f"{speed:,.0f} tokens/s"
    if peak := place.peak:
        data["mfu"] = speed * run["flops"] / run["num_tokens"] / peak
        text += f", MFU {data['mfu']:.1%}"
    if place.on_gpu:
        setup = Setup(1, 2, row, recomputes=order["runtime"]["activation_checkpointing"])
        parts = memory.parts(read_shape(MODELS[name]), setup, place.capacity)
        data["estimate_gib"] = (sum(parts.values()) - parts["reserve"]) / GIB
        data["peak_gib"] = run["peak_memory_mb"] * 1e6 / GIB
        text += f", {data['peak_gib']:.1f} GiB, estimated {data['estimate_gib']:.1f}"
    lines.append(Line("training", f"{name}, ZeRO-2, rows of {row}", text, data=data))
    lines.append(_trl(place, order, speed))
    return lines


def _exact(place: Place, ours: Side) -> list[Line]:
    """Return how far a continued and a sharded training are from an undisturbed one."""
    order = _order(place, "tiny", 128, num_steps=6)
    ranks = min(2, _num_gpus()) if place.on_gpu else 2
    runtime = {**order["runtime"], "gpu": ranks if place.on_gpu else 0}
    sharded = {"zero_stage": 3, "ranks": ranks, "runtime": runtime}
    first, again, continued, spread = (
        [loss for _, loss in ours.run({**order, **more})["run"]["loss_curve"]]
        for more in ({}, {}, {"stop_in": 3}, sharded)
    )
    # Attention on a GPU adds gradients in no fixed order, so two undisturbed runs may differ.
    noise, far, other = (
        max(abs(a - b) for a, b in zip(first, each, strict=True))
        for each in (again, continued, spread)
    )
    resumed = Line(
        "training",
        "stopped in step 3 of 6 and continued: loss",
        f"differs by {far:.1e}; two undisturbed ones by {noise:.1e}",
        "no more than undisturbed" if noise else "not at all",
        "ok" if far <= 4 * noise else "BAD",
        {"difference": far, "noise": noise},
    )
    what = f"ZeRO-3 on {ranks} ranks, ZeRO-2 on one: loss"
    return [resumed, within("training", what, other, 0.05 if place.on_gpu else 1e-4)]


def _num_gpus() -> int:
    import torch

    return int(torch.cuda.device_count())


def _trl(place: Place, order: Order, speed: float) -> Line:
    python = sys.executable if _has("trl") else str(PEERS / "bin" / "python")
    if not Path(python).exists() or place.is_small:
        return Line("training", "TRL", "", "", "skipped: no trl, or no GPU")
    if time.monotonic() > place.deadline:
        return Line("training", "TRL", "", "", "skipped: no time left")
    how = {
        "packing": "bfd",
        "padding_free": False,
        "attention": "sdpa",
        "accumulate": _STEP_ROWS,
        "liger": place.on_gpu and _has("liger_kernel"),
        "recompute": order["runtime"]["activation_checkpointing"],
    }
    side = Side("sft_trl", python, place.folder)
    try:
        other = side.run({**order, **how})
    except RuntimeError as error:
        return Line("training", "TRL", "", "", f"skipped: {str(error).strip()[-70:]}")
    finally:
        side.stop()
    ratio = speed / other["tokens_per_s"]
    text = f"{other['tokens_per_s']:,.0f} tokens/s, {other['gib']:.1f} GiB; ours {ratio:.2f} times"
    return Line("training", "TRL, bfd, sdpa", text, data={"ratio": ratio})


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _order(place: Place, model: str, row: int, num_steps: int) -> Order:
    """Write a model and examples for a training, and return its order."""
    folder = place.folder / model
    if not folder.exists():
        _write_model(model, folder, place)
    training = Training(
        tokens_per_step=_STEP_ROWS * row,
        max_example_tokens=row,
        epochs={0: 1},
        dtype="bfloat16" if place.on_gpu else "float32",
        learning_rate=1e-4,
    )
    examples = place.folder / f"examples-{row}-{num_steps}.arrow"
    _write_examples(examples, row, num_steps * _STEP_ROWS * row, MODELS[model]["vocab_size"])
    fits = memory.fits(read_shape(MODELS[model]), Setup(1, 2, row), place.capacity)
    return {
        "model": str(folder),
        "examples": str(examples),
        "training": training.model_dump(mode="json"),
        "row_tokens": row,
        "dtype": training.dtype,
        "threads": 4 if place.on_gpu else 1,
        "ranks": 1,
        "rows": 1,
        "zero_stage": 2,
        "seed": 0,
        "runtime": {"gpu": int(place.on_gpu), "activation_checkpointing": not fits},
    }


def _write_model(name: str, folder: Path, place: Place) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(0)
    with torch.device(place.device):
        model = AutoModelForCausalLM.from_config(
            AutoConfig.for_model(**MODELS[name]),
            dtype=torch.bfloat16 if place.on_gpu else torch.float32,
        )
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(ROOT / "nt_pkg" / "microworld" / "base").save_pretrained(folder)
    del model
    place.free()


def _write_examples(path: Path, row: int, tokens: int, num_words: int) -> None:
    """Write examples of a long tail that fill some steps."""
    rand, rows, mean = rng("gpu check", row), list[Row](), min(MEAN_DOCUMENT, row // 3)
    while tokens > 0:
        length = int(min(max(rand.lognormvariate(math.log(mean), 0.5), 16), row))
        ids = [rand.randrange(4, num_words) for _ in range(length)]
        name = f"{len(rows):016x}"
        rows.append({"id": name, "target": "system2", "input_ids": ids, "num_prompt_tokens": 8})
        tokens -= length
    write_examples(path, rows)
    write_json(path.with_suffix(".json"), {"file": file_record(path)})
