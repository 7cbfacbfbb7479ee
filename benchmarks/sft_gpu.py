"""One GPU: what training Llamas of one to eight billion random weights costs with our loop and TRL.

    python -m benchmarks.sft --gpu

Rows of 16,384 tokens, documents of about 4,500 tokens, bfloat16 with float32 master weights on both
sides, activation checkpointing where the planner says that it does not fit without. A model that
does not fit either way is left out, with the memory it would need. TRL has fused kernels (Liger)
and tries its attentions; one that fails or runs out of memory is a line that says so. Prints
tokens/s, the share of the GPU's peak (MFU), and the peak memory beside the planner's estimate.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.sft import PEERS, Side
from benchmarks.sft_worker import Order
from nt_pkg.config.students import Training
from nt_pkg.cost import memory
from nt_pkg.cost.decoder_shape import read_shape
from nt_pkg.cost.hardware import gpu_of
from nt_pkg.cost.memory import GIB, Setup
from nt_pkg.files.json_files import write_json
from nt_pkg.files.schemas import Row
from nt_pkg.identity.seeds import generator
from nt_pkg.sft.examples import file_record, write_examples
from tests.workflow.sandbox import table

_ROW_TOKENS, _STEP_ROWS, _NUM_STEPS, _SEED = 16_384, 4, 8, 0
_WORDS = 128_256
# The shapes of Llama-3.2-1B and -3B and Llama-3.1-8B.
_MODELS: dict[str, dict[str, Any]] = {
    "1B": {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "head_dim": 64},
    "3B": {
        "hidden_size": 3072,
        "intermediate_size": 8192,
        "num_hidden_layers": 28,
        "head_dim": 128,
    },
    "8B": {
        "hidden_size": 4096,
        "intermediate_size": 14_336,
        "num_hidden_layers": 32,
        "head_dim": 128,
        "tie_word_embeddings": False,
    },
}
_TRL = [("bfd", "sdpa"), ("bfd", "flex_attention"), ("wrapped", "sdpa")]


def main() -> None:
    """Run all models that fit."""
    import torch

    name = torch.cuda.get_device_name()
    capacity, gpu = torch.cuda.get_device_properties(0).total_memory, gpu_of(name)
    peak = gpu.peak("bfloat16") if gpu else None
    lines: list[list[str]] = []
    ratios = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        mean = _write_examples(folder / "examples.arrow")
        for model, numbers in _MODELS.items():
            config = _config(numbers)
            shape = read_shape(config)
            setups = [Setup(1, 2, _ROW_TOKENS, recomputes=each) for each in (False, True)]
            setup = next((each for each in setups if memory.fits(shape, each, capacity)), None)
            if setup is None:
                least = sum(memory.parts(shape, setups[1], capacity).values()) / GIB
                lines.append([model, "none", f"does not fit: {least:.0f} GiB", "", "", "", ""])
                continue
            _write_model(folder / model, config)
            planned = sum(memory.parts(shape, setup, capacity).values()) / GIB
            speeds: dict[str, list[float]] = {}
            for side, how, order in _orders(folder, model, setup.recomputes):
                found = _try(side, order, folder)
                if isinstance(found, str):
                    lines.append([model, side, f"{how}: failed: {found}", "", "", "", ""])
                    continue
                speed = found["tokens_per_s"]
                share = f"{speed * shape.flops_per_token(mean) / peak:.1%}" if peak else "?"
                gib = found.get("gib") or found["run"]["peak_memory_mb"] * 1e6 / GIB
                cells = [f"{speed:,.0f}", share, f"{gib:.1f}"]
                lines.append([model, side, how, *cells, f"{planned:.1f}" if side == "ours" else ""])
                speeds.setdefault(side, []).append(speed)
            if len(speeds) == 2:
                ratios[model] = round(max(speeds["ours"]) / max(speeds["TRL"]), 3)
    print(name)
    print(table(["model", "side", "how", "tokens/s", "MFU", "peak GiB", "planned"], lines))
    print(json.dumps({"device": name, "tokens_per_s_ratio_vs_trl": ratios}))


def _config(numbers: dict[str, Any]) -> dict[str, Any]:
    return {
        "model_type": "llama",
        "vocab_size": _WORDS,
        "num_attention_heads": numbers["hidden_size"] // numbers["head_dim"],
        "num_key_value_heads": 8,
        "max_position_embeddings": 131_072,
        "tie_word_embeddings": True,
        **numbers,
    }


def _write_model(folder: Path, config: dict[str, Any]) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    from benchmarks.sft import ROOT

    torch.manual_seed(_SEED)
    with torch.device("cuda"):
        model = AutoModelForCausalLM.from_config(
            AutoConfig.for_model(**config), dtype=torch.bfloat16
        )
    model.save_pretrained(folder)
    del model
    torch.cuda.empty_cache()
    base = ROOT / "nt_pkg" / "microworld" / "base"
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)


def _write_examples(path: Path) -> float:
    """Write examples that fill the steps, and return their mean tokens."""
    rng, rows, left = generator("bench sft gpu"), list[Row](), _NUM_STEPS * _STEP_ROWS * _ROW_TOKENS
    total = left
    while left > 0:
        length = int(min(max(rng.lognormal(8.2, 0.6), 300), _ROW_TOKENS))
        ids = rng.integers(4, _WORDS, length).tolist()
        row_id = f"{len(rows):016x}"
        rows.append({"id": row_id, "target": "system2", "input_ids": ids, "num_prompt_tokens": 150})
        left -= length
    write_examples(path, rows)
    write_json(path.with_suffix(".json"), {"file": file_record(path)})
    return (total - left) / len(rows)


def _orders(folder: Path, model: str, recomputes: bool) -> list[tuple[str, str, Order]]:
    """Return (side, how, order) of all trainings of a model."""
    training = Training(
        tokens_per_step=_STEP_ROWS * _ROW_TOKENS, max_example_tokens=_ROW_TOKENS, epochs={0: 1}
    )
    common = {
        "model": str(folder / model),
        "examples": str(folder / "examples.arrow"),
        "training": training.model_dump(mode="json"),
        "row_tokens": _ROW_TOKENS,
        "dtype": "bfloat16",
        "threads": 8,
        "ranks": 1,
        "rows": 1,
        "zero_stage": 2,
        "seed": _SEED,
        "runtime": {"gpu": 1, "activation_checkpointing": recomputes},
    }
    again = ", layers computed again" if recomputes else ""
    found = [("ours", f"ZeRO-2{again}", common)]
    for packing, attention in _TRL:
        how: Order = {
            "packing": packing,
            "padding_free": False,
            "attention": attention,
            "accumulate": _STEP_ROWS,
            "liger": True,
            "recompute": recomputes,
        }
        found.append(("TRL", f"{packing}, {attention}, Liger{again}", {**common, **how}))
    return found


def _try(side: str, order: Order, folder: Path) -> dict[str, Any] | str:
    """Return what a training took in a process of its own, or why it failed."""
    module, python = {
        "ours": ("sft_ours", sys.executable),
        "TRL": ("sft_trl", str(PEERS / "bin" / "python")),
    }[side]
    worker = Side(module, python, folder)
    try:
        return worker.run(order)
    except RuntimeError as error:
        return str(error).strip().splitlines()[-1][:80]
    finally:
        worker.stop()
