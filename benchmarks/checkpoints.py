"""What checkpoints and export of a training cost.

    python -m benchmarks.checkpoints            # also: make bench-checkpoints
    python -m benchmarks.checkpoints --quick    # with a tiny model: only that it still runs

With a random Llama of 91 million parameters in fp32:

- how long a checkpoint of 1.5 GB stops a training on two ranks at ZeRO-2, written at once and in
  the background, and the bytes per parameter of one during the training and of the final one;
- the memory of an export, as DeepSpeed consolidates and one tensor at a time.

Prints a table and as its last line one JSON object. It needs 6 GiB of memory, 5 GB of disk, and
some minutes.
"""

import argparse
import json
import logging
import multiprocessing
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from nt_pkg.config.students import Runtime, Training
from nt_pkg.identity.seeds import rng
from nt_pkg.sft import export, launch
from nt_pkg.sft import train as loop
from nt_pkg.sft.checkpoint_files import LAST
from nt_pkg.sft.checkpoints import Checkpoints
from nt_pkg.sft.examples import Examples, write_examples

_VOCABULARY, _TOKENS = 8192, 64
_EXAMPLES = [
    {
        "id": f"row{n}",
        "target": "system2",
        "input_ids": [rng("ids", n, at).randrange(_VOCABULARY) for at in range(_TOKENS)],
        "num_prompt_tokens": 8,
    }
    for n in range(18)
]
_TRAINING = Training(
    learning_rate=1e-4,
    tokens_per_step=2 * _TOKENS,
    max_example_tokens=_TOKENS,
    epochs={0: 1},
    dtype="float32",
)
_TOKENIZER = Path("nt_pkg/microworld/base")
_save = Checkpoints.save


def make_student(folder: Path, is_tiny: bool = False) -> Path:
    """Write a random Llama of 91 million parameters, or a tiny one."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=_VOCABULARY,
        hidden_size=24 if is_tiny else 768,
        intermediate_size=64 if is_tiny else 2048,
        num_hidden_layers=2 if is_tiny else 12,
        num_attention_heads=2 if is_tiny else 12,
        max_position_embeddings=_TOKENS,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    for path in _TOKENIZER.glob("*token*"):
        shutil.copy(path, folder)
    return folder


def _timed(self: Checkpoints, tag: str, state: dict[str, Any]) -> None:
    begun = time.monotonic()
    _save(self, tag, state)
    seconds = time.monotonic() - begun
    if tag != LAST:  # the training waits for that one in any case
        _note(self._work / f"times-{self._rank}.jsonl", seconds)


def _note(path: Path, value: float) -> None:
    with path.open("a") as file:
        file.write(f"{value}\n")


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _values(paths: Iterable[Path]) -> list[float]:
    return [float(line) for path in paths for line in path.read_text().splitlines()]


def saving(student: Path, work: Path, in_background: bool) -> dict[str, float]:
    """Return the seconds that a checkpoint blocks, those of all, and the bytes per parameter."""
    runtime = Runtime(
        num_ranks=2, zero_stage=2, checkpoint_steps=3, async_checkpoints=in_background
    )
    work.mkdir()
    examples = work.with_name("examples.arrow")
    write_examples(examples, _EXAMPLES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "save", _timed)
        result = launch.train(loop.Job(student, Examples(examples), _TRAINING, runtime, 0, work))
    blocked = statistics.median(_values(work.glob("times-*.jsonl")))

    def size(folder: Path) -> float:
        num_bytes = sum(each.stat().st_size for each in folder.iterdir())
        return num_bytes / float(result["num_parameters"])

    return {
        "blocked_s": blocked,
        "training_s": result["wall_seconds"],
        "bytes_per_parameter": max(size(each) for each in work.glob("step[0-9]*")),
        "final_bytes_per_parameter": size(work / LAST),
    }


def exporting(student: Path, checkpoint: Path, out: Path, is_streamed: bool) -> dict[str, float]:
    """Return the peak memory of reading a checkpoint's weights and writing them, in MiB."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        return pool.submit(_exporting, student, checkpoint, out, is_streamed).result()


def _exporting(student: Path, checkpoint: Path, out: Path, is_streamed: bool) -> dict[str, float]:
    begun = _peak()
    if is_streamed:
        export.FILE_SIZE = "50MB"  # as small beside this model as 5 GB beside a large one
        export.export_model(checkpoint, student, out, "bfloat16")
    else:
        from deepspeed.utils.zero_to_fp32 import get_fp32_state_dict_from_zero_checkpoint
        from transformers import AutoModelForCausalLM

        state = get_fp32_state_dict_from_zero_checkpoint(str(checkpoint.parent), checkpoint.name)
        model = AutoModelForCausalLM.from_pretrained(student)
        model.load_state_dict(state, strict=False)
        model.bfloat16().save_pretrained(out)
    return {"peak_mib": _peak() - begun}


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="with a tiny model")
    args = parser.parse_args()
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    found: dict[str, dict[str, float]] = {}

    def note(way: str, values: dict[str, float]) -> None:
        found[way] = values
        cells = ", ".join(f"{key} {value:.2f}" for key, value in values.items())
        sys.stdout.write(f"{way:26}{cells}\n")
        sys.stdout.flush()

    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        student = make_student(folder / "student", args.quick)
        work, out = folder / "work", folder / "hf"
        for in_background in (False, True):
            shutil.rmtree(work, ignore_errors=True)
            way = "in background" if in_background else "at once"
            note(f"saving, {way}", saving(student, work, in_background))
        for is_streamed in (False, True):
            way = "by tensor" if is_streamed else "as DeepSpeed does"
            note(f"export, {way}", exporting(student, work / LAST, out, is_streamed))
            shutil.rmtree(out)
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
