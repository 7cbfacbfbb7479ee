"""A tiny student, its training of 12 steps, and ways to disturb it."""

import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nt_pkg.config.students import Runtime, Training
from nt_pkg.files.json_files import read_json
from nt_pkg.identity.seeds import rng
from nt_pkg.sft import train as loop
from nt_pkg.sft.examples import Examples, write_examples
from tests.unit.sft.templates import MICRO

FORK = multiprocessing.get_context("fork")
EXAMPLES = [
    {
        "id": f"row{n:02}",
        "target": "system2",
        "input_ids": [rng("ids", n, at).randrange(6, 300) for at in range(5 + 3 * n % 17)],
        "num_prompt_tokens": 2 + n % 3,
    }
    for n in range(22)
]
TRAINING = Training(
    learning_rate=0.01,
    warmup_steps=3,
    max_grad_norm=0.5,  # so low that every step is clipped
    tokens_per_step=96,
    max_example_tokens=32,
    epochs={0: 4},
    dtype="float32",
)

one_step = loop._Trainer._step
Outcome = tuple[dict[str, Any], dict[str, Any]]
Runs = Callable[..., Outcome]


def make_student(folder: Path, is_tied: bool, **changes: Any) -> Path:
    """Write a tiny random student with the micro-world's tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    sizes = {
        "vocab_size": 347,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
        "initializer_range": 0.2,
    }
    config = LlamaConfig(
        tie_word_embeddings=is_tied,
        bos_token_id=2,
        eos_token_id=3,
        pad_token_id=0,
        **{**sizes, **changes},
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    for path in MICRO.iterdir():
        if "token" in path.name or "template" in path.name:
            shutil.copy(path, folder)
    return folder


def written(path: Path, rows: list[dict[str, Any]] = EXAMPLES) -> Examples:
    """Return rows as the examples of a file."""
    write_examples(path, rows)
    return Examples(path)


def job_of(
    student: Path, work: Path, examples: list[dict[str, Any]] = EXAMPLES, **changes: Any
) -> loop.Job:
    values = {"training": TRAINING, "runtime": Runtime(), "seed": 0}
    work.mkdir(parents=True, exist_ok=True)
    mapped = written(Path(f"{work}.arrow"), examples)
    return loop.Job(student, mapped, work=work, **{**values, **changes})


def weights(checkpoint: Path) -> dict[str, Any]:
    from deepspeed.utils.zero_to_fp32 import get_fp32_state_dict_from_zero_checkpoint

    return get_fp32_state_dict_from_zero_checkpoint(str(checkpoint.parent), tag=checkpoint.name)


def complete(work: Path) -> list[str]:
    """Return the checkpoints that all ranks have finished, in order."""
    folders = [path for path in work.glob("step*") if path.name[4:].isdigit()]
    folders.sort(key=lambda path: int(path.name[4:]))
    return [
        path.name
        for path in folders
        if (path / "rank-0.json").exists()
        and len(list(path.glob("rank-*.json"))) == read_json(path / "rank-0.json")["num_ranks"]
    ]


def losses(result: dict[str, Any]) -> list[float]:
    return [loss for _, loss in result["loss_curve"]]


KILLED = Runtime(num_ranks=2, zero_stage=2, checkpoint_steps=3)


def kill_one_rank(trainer: loop._Trainer, number: int, step: Any) -> float:
    """Die without a word at step 8, between the checkpoints of steps 6 and 9."""
    if number == 8:
        trainer._checkpoints.finish()
    if number == 8 and trainer._rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return one_step(trainer, number, step)


def stop_in_six_and_twelve(trainer: loop._Trainer, number: int, step: Any) -> float:
    """Send this rank a signal in two steps."""
    if number in (6, 12):
        os.kill(os.getpid(), signal.SIGTERM)
    return one_step(trainer, number, step)


def wait_at_step_two(trainer: loop._Trainer, number: int, step: Any) -> float:
    """Say where this rank is, then hang."""
    if number == 2:
        (trainer._job.work / f"rank{os.getpid()}").touch()
        time.sleep(600)
    return one_step(trainer, number, step)


def hanging_ranks(job: loop.Job) -> list[int]:
    """Return the processes of two ranks, once both hang in `wait_at_step_two`."""
    ranks: list[int] = []
    deadline = time.monotonic() + 60
    while len(ranks) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
        ranks = [int(path.name.removeprefix("rank")) for path in job.work.glob("rank*")]
    assert len(ranks) == 2
    return ranks


def is_alive(pid: int) -> bool:
    """Return whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
