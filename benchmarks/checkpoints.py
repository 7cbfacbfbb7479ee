"""How long a checkpoint stops a training: written at once, and in the background.

    python -m benchmarks.checkpoints

Trains a random Llama of 91 million parameters on two ranks at ZeRO-2, with a checkpoint of 1.5 GB
every three steps, both ways in turn. Prints a table and as its last line one JSON object. It needs
6 GiB of memory and 5 GB of disk, and some minutes.
"""

import json
import logging
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from nt_pkg.config import Runtime, Training
from nt_pkg.seeds import rng
from nt_pkg.sft import launch
from nt_pkg.sft import train as loop
from nt_pkg.sft.checkpoints import Checkpoints

_VOCABULARY, _TOKENS = 8192, 128
_EXAMPLES = [
    {
        "id": f"row{n}",
        "target": "system2",
        "input_ids": [rng("ids", n, at).randrange(_VOCABULARY) for at in range(_TOKENS)],
        "num_prompt_tokens": 8,
    }
    for n in range(24)
]
_TRAINING = Training(
    learning_rate=1e-4,
    tokens_per_step=2 * _TOKENS,
    row_tokens=_TOKENS,
    epochs={0: 1},
    dtype="float32",
)
_save = Checkpoints.save


def make_student(folder: Path) -> Path:
    """Write a random Llama of 91 million parameters."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=_VOCABULARY,
        hidden_size=768,
        intermediate_size=2048,
        num_hidden_layers=12,
        num_attention_heads=12,
        max_position_embeddings=_TOKENS,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def _timed(self: Checkpoints, tag: str, state: dict[str, Any]) -> None:
    begun = time.monotonic()
    _save(self, tag, state)
    line = {
        "blocked": time.monotonic() - begun,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    with (self._work / f"times-{self._rank}.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


def measure(student: Path, work: Path, in_background: bool) -> dict[str, float]:
    """Return the seconds that a checkpoint blocks, those of the training, and a rank's peak MiB."""
    runtime = Runtime(
        num_ranks=2, zero_stage=2, checkpoint_steps=3, async_checkpoints=in_background
    )
    work.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "save", _timed)
        result = launch.train(loop.Job(student, _EXAMPLES, _TRAINING, runtime, 0, work))
    lines = [
        json.loads(line)
        for path in work.glob("times-*.jsonl")
        for line in path.read_text().splitlines()
    ]
    shutil.rmtree(work)
    return {
        "blocked_s": statistics.median(line["blocked"] for line in lines),
        "training_s": result["wall_seconds"],
        "peak_mib": max(line["peak_mib"] for line in lines),
    }


def main() -> int:
    """Run the command line."""
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    found: dict[str, list[dict[str, float]]] = {"at_once": [], "in_background": []}
    with tempfile.TemporaryDirectory(dir=".") as folder:
        student = make_student(Path(folder, "student"))
        for _ in range(2):
            for way, runs in found.items():
                runs.append(measure(student, Path(folder, "work"), way == "in_background"))
    medians = {
        way: {key: round(statistics.median(run[key] for run in runs), 2) for key in runs[0]}
        for way, runs in found.items()
    }
    for way, values in medians.items():
        sys.stdout.write(f"{way:15} {json.dumps(values)}\n")
    sys.stdout.write(json.dumps(medians) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
