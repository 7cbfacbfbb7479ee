"""The training loop: DeepSpeed ZeRO over one or more ranks, exact and resumable."""

import logging
import math
import multiprocessing
import os
import shutil
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nt_pkg.config import Runtime, Training
from nt_pkg.manifest import read_json, write_json
from nt_pkg.progress import Progress, ready
from nt_pkg.records import Row
from nt_pkg.seeds import digest_int
from nt_pkg.sft.data import PackedRow, Step, plan_steps
from nt_pkg.warm import die_with_parent

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """One training."""

    model_dir: Path
    examples: list[Row]
    training: Training
    runtime: Runtime
    seed: int
    work: Path


def train(job: Job) -> dict[str, Any]:
    """Train a student and return what `run.json` says of it.

    The ranks are forked, so that they share what is imported: call it before this process computes
    with torch on several threads. The finished ZeRO-sharded checkpoint is `job.work /
    "checkpoint"`. A call that finds checkpoints of an earlier one continues at the newest complete
    one; the loss curve is that of an uninterrupted run.

    Raises:
        RuntimeError: a rank died or the loss is not finite; its log lines say where.
    """
    context = multiprocessing.get_context("fork")
    address = f"127.0.0.1:{_free_port()}"
    launched = time.time()
    ranks = [
        context.Process(target=_rank, args=(job, rank, address, launched))
        for rank in range(job.runtime.num_ranks)
    ]
    for process in ranks:
        process.start()
    try:
        _wait(ranks)
    finally:
        for process in ranks:
            process.kill()
            process.join()
    result: dict[str, Any] = read_json(job.work / "result.json")
    return result


def _wait(ranks: Sequence[multiprocessing.process.BaseProcess]) -> None:
    """Wait until all ranks have ended; raise as soon as one fails, since the others then hang."""
    from multiprocessing.connection import wait

    waiting = {process.sentinel: process for process in ranks}
    while waiting:
        for sentinel in wait(list(waiting)):
            process = waiting.pop(sentinel)  # type: ignore[arg-type]
            process.join()
            if process.exitcode != 0:
                raise RuntimeError(
                    f"training rank {process.name} ended with status {process.exitcode}; run the "
                    "same command again to continue at the last checkpoint"
                )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def deepspeed_config(
    training: Training, runtime: Runtime, num_micro_batches: int
) -> dict[str, Any]:
    """Return the DeepSpeed configuration of a run."""
    return {
        # Rows are counted, not examples: one packed row is one sample for DeepSpeed.
        "train_micro_batch_size_per_gpu": runtime.rows_per_micro_batch,
        "gradient_accumulation_steps": num_micro_batches,
        "gradient_clipping": training.max_grad_norm,
        "bf16": {"enabled": training.dtype == "bfloat16"},
        "zero_optimization": {"stage": runtime.zero_stage},
        # AdamW comes from torch: DeepSpeed's own would be compiled first.
        "zero_allow_untested_optimizer": True,
        "steps_per_print": sys.maxsize,
        "wall_clock_breakdown": False,
    }


def _rank(job: Job, rank: int, address: str, launched: float) -> None:
    """Run one rank; the process ends with it."""
    die_with_parent()
    host, port = address.split(":")
    world = job.runtime.num_ranks
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(world),
        MASTER_ADDR=host,
        MASTER_PORT=port,
    )
    if sys.platform == "linux":
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"  # the ranks of one machine need no other
    import torch

    if not torch.cuda.is_available():
        os.environ["DS_ACCELERATOR"] = "cpu"
        torch.set_num_threads(max(1, _num_cores() // world))
    import deepspeed

    for noisy in ("DeepSpeed", "deepspeed"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # Used by inference only, and compiled on first use, which takes minutes on a CPU.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    torch.manual_seed(digest_int("train", job.seed) % 2**63)
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    deepspeed.init_distributed(dist_backend=backend, verbose=False)
    _Trainer(job, rank, launched).run()
    torch.distributed.destroy_process_group()


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Trainer:
    """The loop of one rank."""

    def __init__(self, job: Job, rank: int, launched: float) -> None:
        import deepspeed
        import torch
        from transformers import AutoModelForCausalLM

        self._job, self._rank, training = job, rank, job.training
        lengths = [len(row["input_ids"]) for row in job.examples]
        loss_lengths = [len(r["input_ids"]) - r["num_prompt_tokens"] for r in job.examples]
        self._steps = plan_steps(lengths, loss_lengths, training, job.seed)
        most_rows = max(len(step.rows) for step in self._steps)
        per_round = job.runtime.num_ranks * job.runtime.rows_per_micro_batch
        self._num_micro_batches = math.ceil(most_rows / per_round)
        model = AutoModelForCausalLM.from_pretrained(
            job.model_dir, dtype=getattr(torch, training.dtype), attn_implementation="sdpa"
        )
        model.config.use_cache = False
        self._num_parameters = model.num_parameters()  # ZeRO-3 takes the tensors away
        optimizer = torch.optim.AdamW(
            model.parameters(),
            lr=training.learning_rate,
            betas=training.betas,
            weight_decay=training.weight_decay,
        )
        self._engine, _, _, _ = deepspeed.initialize(
            model=model,
            optimizer=optimizer,
            config=deepspeed_config(training, job.runtime, self._num_micro_batches),
        )
        self._engine.train()
        self._losses: list[float] = []
        self._seconds = 0.0
        if rank == 0:
            ready("train ranks", threads=job.runtime.num_ranks, started=launched)

    def run(self) -> None:
        """Train from the newest checkpoint to the end and write the result."""
        done = self._resume()
        progress = Progress("optimiser steps", len(self._steps), done) if self._rank == 0 else None
        begun = time.monotonic() - self._seconds
        for number, step in enumerate(self._steps[done:], start=done + 1):
            self._losses.append(self._step(number, step))
            self._seconds = time.monotonic() - begun
            last = number == len(self._steps)
            if last or number % self._job.runtime.checkpoint_steps == 0:
                self._save("checkpoint" if last else f"step{number}", number)
            if progress:
                progress.add(1, f", loss {self._losses[-1]:.4f}")
        if self._rank == 0:
            write_json(self._job.work / "result.json", self._summary())

    def _step(self, number: int, step: Step) -> float:
        """Run one optimiser step and return its loss per response token, the same on every rank."""
        import torch

        training, runtime = self._job.training, self._job.runtime
        rate = training.learning_rate * min(1.0, number / max(1, training.warmup_steps))
        for group in self._engine.optimizer.param_groups:
            group["lr"] = rate
        # Row i goes to rank i mod ranks: which rows a step has does not depend on the ranks.
        mine = step.rows[self._rank :: runtime.num_ranks]
        size = runtime.rows_per_micro_batch
        total = torch.zeros((), device=self._engine.device)
        for part in range(self._num_micro_batches):
            batch = self._batch(mine[part * size : (part + 1) * size])
            loss = self._summed_loss(*batch)
            total += loss.detach()
            # DeepSpeed averages over ranks and micro-batches; the loss is per token of the whole
            # step.
            scale = runtime.num_ranks * self._num_micro_batches / step.num_loss_tokens
            self._engine.backward(loss * scale)
            self._engine.step()
        torch.distributed.all_reduce(total)
        value = float(total.item()) / step.num_loss_tokens
        # DeepSpeed skips a step whose gradient overflows, and says so in its log only.
        if not math.isfinite(value) or not self._engine.was_step_applied():
            ids = [self._job.examples[e]["id"] for row in step.rows for e in row.examples]
            raise RuntimeError(
                f"loss or gradient of step {number} is not finite (loss {value}); its examples: "
                f"{' '.join(ids)}"
            )
        return value

    def _batch(
        self, rows: Sequence[PackedRow]
    ) -> tuple["torch.Tensor", "torch.Tensor", "torch.Tensor"]:
        """Return (ids, labels, positions), each rows x tokens.

        Positions restart with every document; transformers then keeps packed documents apart, if no
        attention mask is given and the cache is off. A rank without rows gets one without loss.
        """
        import torch

        width = max((row.num_tokens for row in rows), default=2)
        ids = torch.zeros((max(1, len(rows)), width), dtype=torch.long)
        labels = torch.full_like(ids, -100)
        # Padding is a document of its own.
        positions = torch.arange(width).repeat(len(ids), 1)
        for at, row in enumerate(rows):
            start = 0
            for number in row.examples:
                example = self._job.examples[number]
                tokens, prompt = example["input_ids"], example["num_prompt_tokens"]
                stop = start + len(tokens)
                ids[at, start:stop] = torch.tensor(tokens)
                labels[at, start + prompt : stop] = ids[at, start + prompt : stop]
                positions[at, start:stop] = torch.arange(len(tokens))
                start = stop
            positions[at, start:] = torch.arange(width - start)
        device = self._engine.device
        return ids.to(device), labels.to(device), positions.to(device)

    def _summed_loss(
        self, ids: "torch.Tensor", labels: "torch.Tensor", positions: "torch.Tensor"
    ) -> "torch.Tensor":
        from torch.nn.functional import cross_entropy

        logits = self._engine(input_ids=ids, position_ids=positions, use_cache=False).logits
        return cross_entropy(
            logits[:, :-1].flatten(0, 1).float(),
            labels[:, 1:].flatten(),
            ignore_index=-100,
            reduction="sum",
        )

    def _save(self, tag: str, number: int) -> None:
        """Write a complete checkpoint, then say so, then drop those before the last two."""
        import torch

        work = self._job.work
        state = {"step": number, "losses": self._losses, "seconds": self._seconds}
        self._engine.save_checkpoint(str(work), tag=tag, client_state=state, save_latest=False)
        torch.distributed.barrier()
        if self._rank == 0:
            known = read_json(work / "complete.json") if (work / "complete.json").exists() else []
            write_json(work / "complete.json", [*known[-1:], tag])
            for old in known[:-1]:
                shutil.rmtree(work / old, ignore_errors=True)

    def _resume(self) -> int:
        """Load the newest complete checkpoint and return the number of its step, or 0."""
        work = self._job.work
        known = read_json(work / "complete.json") if (work / "complete.json").exists() else []
        # The last one is gone if a kill came after it was moved to the results.
        tags = [tag for tag in known if (work / tag).is_dir()]
        if not tags:
            return 0
        path, state = self._engine.load_checkpoint(str(work), tag=tags[-1])
        if path is None:
            raise RuntimeError(f"checkpoint {work / tags[-1]} cannot be loaded: delete its folder")
        self._losses, self._seconds = state["losses"], state["seconds"]
        step: int = state["step"]
        return step

    def _summary(self) -> dict[str, Any]:
        import deepspeed
        import torch
        import transformers

        tokens = sum(row.num_tokens for step in self._steps for row in step.rows)
        return {
            "num_examples": len(self._job.examples),
            "num_steps": len(self._steps),
            "num_tokens": tokens,
            "num_parameters": self._num_parameters,
            "final_loss": self._losses[-1],
            "loss_curve": [[n, round(loss, 6)] for n, loss in enumerate(self._losses, start=1)],
            "world_size": self._job.runtime.num_ranks,
            "zero_stage": self._job.runtime.zero_stage,
            "wall_seconds": round(self._seconds, 3),
            "tokens_per_second": round(tokens / self._seconds, 1),
            "versions": {
                "torch": torch.__version__,
                "transformers": transformers.__version__,
                "deepspeed": deepspeed.__version__,
            },
        }
