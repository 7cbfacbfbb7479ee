"""The training loop of one rank: DeepSpeed ZeRO, exact however it is spread, and resumable."""

import logging
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nt_pkg.config import Runtime, Training
from nt_pkg.manifest import write_json
from nt_pkg.progress import Progress, ready
from nt_pkg.records import Row
from nt_pkg.seeds import digest_int
from nt_pkg.sft.checkpoints import LAST, Checkpoints, is_universal
from nt_pkg.sft.data import PackedRow, Step, plan_steps
from nt_pkg.sft.stopping import SIGNALS, Notes

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)
RESULT, STOPPED = "result.json", "stopped.json"  # in the work folder: how the ranks ended


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        examples_path: where ranks on other nodes read `examples` again.
    """

    model_dir: Path
    examples: list[Row]
    training: Training
    runtime: Runtime
    seed: int
    work: Path
    examples_path: Path | None = None


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


class _Trainer:
    """The loop of one rank."""

    def __init__(self, job: Job, rank: int, launched: float, notes: Notes) -> None:
        import deepspeed
        import torch
        from transformers import AutoModelForCausalLM

        self._job, self._rank, self._notes, training = job, rank, notes, job.training
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
            config={
                **deepspeed_config(training, job.runtime, self._num_micro_batches),
                "checkpoint": {"load_universal": is_universal(job.work)},
            },
        )
        self._engine.train()
        self._checkpoints = Checkpoints(self._engine, job.work, rank, job.runtime)
        self._losses: list[float] = []
        self._seconds = 0.0
        self._saved_at = time.monotonic()
        # What the ranks agreed on at the end of the last step.
        self._stop_by, self._is_checkpoint_due = "", False
        if rank == 0:
            threads = job.runtime.num_ranks * job.runtime.threads_per_rank
            ready("train ranks", threads=threads, started=launched)

    def run(self) -> None:
        """Train from the newest checkpoint to the end, or until the ranks are told to stop."""
        done = self._resume()
        num_steps = len(self._steps)
        progress = Progress("optimiser steps", num_steps, done) if self._rank == 0 else None
        begun = time.monotonic() - self._seconds
        for number, step in enumerate(self._steps[done:], start=done + 1):
            self._losses.append(self._step(number, step))
            self._seconds = time.monotonic() - begun
            last = number == num_steps
            if (
                last
                or number % self._job.runtime.checkpoint_steps == 0
                or self._is_checkpoint_due
                or self._stop_by
            ):
                self._save(LAST if last else f"step{number}", number)
            if progress:
                progress.add(1, f", loss {self._losses[-1]:.4f}")
            if self._stop_by and not last:
                self._checkpoints.finish()
                if self._rank == 0:
                    how = {"name": self._stop_by, "step": number, "num_steps": num_steps}
                    write_json(self._job.work / STOPPED, {**how, "num_new_steps": number - done})
                return
        self._checkpoints.finish()
        if self._rank == 0:
            write_json(self._job.work / RESULT, self._summary())

    def _step(self, number: int, step: Step) -> float:
        """Run one optimiser step and return its loss per response token, the same on every rank."""
        import torch

        training, runtime = self._job.training, self._job.runtime
        # Chance within a step hangs on its number alone, so a checkpoint need not hold its state.
        torch.manual_seed(digest_int("step", self._job.seed, number, self._rank) % 2**63)
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
        value = self._agree(total) / step.num_loss_tokens
        # DeepSpeed skips a step whose gradient overflows, and says so in its log only.
        if not math.isfinite(value) or not self._engine.was_step_applied():
            ids = [self._job.examples[e]["id"] for row in step.rows for e in row.examples]
            raise RuntimeError(
                f"loss or gradient of step {number} is not finite (loss {value}); its examples: "
                f"{' '.join(ids)}"
            )
        return value

    def _agree(self, loss: "torch.Tensor") -> float:
        """Return the loss summed over ranks, and note what some rank wants done after this step.

        A signal may have reached some ranks only, and clocks differ; all must do the same, and one
        reduction for everything costs what that of the loss does.
        """
        import torch

        minutes = (time.monotonic() - self._saved_at) / 60
        is_due = self._rank == 0 and minutes > self._job.runtime.checkpoint_minutes
        wishes = torch.tensor([*self._notes.flags, float(is_due)], device=loss.device)
        news = torch.cat([loss.reshape(1), wishes])
        torch.distributed.all_reduce(news)
        summed, *stops, due = news.tolist()
        told = [each.name for each, count in zip(SIGNALS, stops, strict=True) if count]
        self._stop_by, self._is_checkpoint_due = told[0] if told else "", due > 0
        return float(summed)

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
        state = {"step": number, "losses": self._losses, "seconds": self._seconds}
        self._checkpoints.save(tag, state)
        self._saved_at = time.monotonic()

    def _resume(self) -> int:
        """Continue at a checkpoint, if there is one, and return the number of its step, or 0."""
        state = self._checkpoints.load()
        if state is None:
            return 0
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
