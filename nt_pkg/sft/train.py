"""The training loop of one rank: DeepSpeed ZeRO, the same on any number of ranks, resumable."""

import logging
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nt_pkg.config.students import Runtime, Training
from nt_pkg.files.json_files import write_json
from nt_pkg.identity.seeds import digest_int
from nt_pkg.jobs.progress import Progress, ready
from nt_pkg.packing.balance import micro_batches
from nt_pkg.packing.steps import Numbers, Step, Steps
from nt_pkg.sft.attention import choose_attention, layout_for, register
from nt_pkg.sft.batches import collate
from nt_pkg.sft.checkpoint_files import LAST
from nt_pkg.sft.checkpoints import Checkpoints
from nt_pkg.sft.examples import Examples
from nt_pkg.sft.held_out import held_out_record
from nt_pkg.sft.kernels import use_kernels
from nt_pkg.sft.loading import read_mapped, spread
from nt_pkg.sft.loss import give_loss
from nt_pkg.sft.resuming import is_universal
from nt_pkg.sft.steps import StepLog
from nt_pkg.sft.stopping import Notes
from nt_pkg.sft.summary import (
    flops_of,
    known_shape,
    model_flops_utilisation,
    peak_memory_mb,
    versions,
)
from nt_pkg.slurm.stopping import SIGNALS

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig

logger = logging.getLogger(__name__)
_OFFLOADED = {
    "none": (),
    "optimizer": ("offload_optimizer",),
    "all": ("offload_optimizer", "offload_param"),
}
RESULT, STOPPED = "result.json", "stopped.json"  # in the work folder: how the ranks ended


@dataclass(frozen=True)
class Job:
    """One training."""

    model_dir: Path
    examples: Examples
    training: Training
    runtime: Runtime
    seed: int
    work: Path
    held_out: Examples | None = None  # their loss is measured, and nothing learnt from them


def deepspeed_config(training: Training, runtime: Runtime, num_parameters: int) -> dict[str, Any]:
    """Return the DeepSpeed configuration of a run."""
    # DeepSpeed's default of 2 GB, allocated and freed in every backward pass, costs a small student
    # a tenth of its time.
    bucket = min(500_000_000, num_parameters)
    return {
        # What it calls a sample is one of our micro-batches. A step has as many as it needs, so the
        # loop says which one is the last.
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": training.max_grad_norm,
        "bf16": {"enabled": training.dtype == "bfloat16"},
        "zero_optimization": {
            "stage": runtime.zero_stage,
            "reduce_bucket_size": bucket,
            "allgather_bucket_size": bucket,
            **{part: {"device": "cpu"} for part in _OFFLOADED[runtime.offload]},
        },
        "zero_force_ds_cpu_optimizer": False,  # the same reason, for offload
        # We use torch's AdamW, because DeepSpeed's own would have to be compiled first.
        "zero_allow_untested_optimizer": True,
        "steps_per_print": sys.maxsize,
        "wall_clock_breakdown": False,
    }


class _Trainer:
    """The loop of one rank."""

    def __init__(self, job: Job, rank: int, launched: float, notes: Notes) -> None:
        import deepspeed
        import torch
        from deepspeed.accelerator import get_accelerator
        from transformers import AutoConfig

        self._job, self._rank, self._notes, training = job, rank, notes, job.training
        self._lengths = job.examples.lengths
        self._steps = Steps(self._lengths, job.examples.loss_lengths, training, job.seed)
        self._team, self._share = divmod(rank, job.runtime.sequence_parallel)
        own = AutoConfig.from_pretrained(job.model_dir, trust_remote_code=False)
        self._attention = choose_attention(
            job.runtime.attention,
            own,
            training.dtype,
            get_accelerator().device_name(),
        )
        attention = register(self._attention, self._sharing(own))
        model = read_mapped(job.model_dir, training.dtype, attention)
        use_kernels(model, job.runtime.kernels, get_accelerator().device_name())
        model.config.use_cache = False
        if job.runtime.activation_checkpointing:
            # Older versions of transformers have the second name only.
            names = ("activation_checkpointing_enable", "gradient_checkpointing_enable")
            enable = next(getattr(model, name) for name in names if hasattr(model, name))
            enable({"use_reentrant": False})
        give_loss(model)
        # Read this now: under ZeRO-3 a rank will no longer hold the whole tensors.
        self._num_parameters = model.num_parameters()
        self._shape = known_shape(model)
        # Without a shape, as if attention took no time.
        self._costs = (
            self._shape.document_flops(self._lengths) if self._shape else self._lengths * 1.0
        )
        self._num_words = model.config.vocab_size
        config = {
            **deepspeed_config(training, job.runtime, self._num_parameters),
            "checkpoint": {"load_universal": is_universal(job.work)},
        }
        device = torch.device(get_accelerator().current_device_name())
        spread(model, training.dtype, device, rank, config)
        optimizer = torch.optim.AdamW(
            model.parameters(),
            lr=training.learning_rate,
            betas=training.betas,
            weight_decay=training.weight_decay,
            # In main memory a step is limited by its passes over the state; fused makes only one.
            fused=job.runtime.offload != "none" or None,
        )
        self._engine, _, _, _ = deepspeed.initialize(
            model=model, optimizer=optimizer, config=config
        )
        self._engine.train()
        self._checkpoints = Checkpoints(self._engine, job.work, rank, job.runtime)
        self._losses: list[float] = []
        self._held_losses: list[float] = []  # before the training, and after it
        self._seconds = 0.0
        self._saved_at = time.monotonic()
        # What the ranks agreed to do after the last step.
        self._stop_by, self._is_checkpoint_due = "", False
        if rank == 0:
            threads = job.runtime.num_ranks * job.runtime.threads_per_rank
            ready("train ranks", threads=threads, started=launched)

    def _sharing(self, config: "PretrainedConfig") -> "torch.distributed.ProcessGroup | None":
        """Return the ranks that share tokens with this one; None if it shares none."""
        import torch

        runtime, found = self._job.runtime, None
        if runtime.sequence_parallel == 1:
            return None
        heads = config.num_attention_heads
        runtime.check_heads(heads, getattr(config, "num_key_value_heads", None) or heads)
        # Every rank takes part in making every group.
        for first in range(0, runtime.num_ranks, runtime.sequence_parallel):
            ranks = list(range(first, first + runtime.sequence_parallel))
            group = torch.distributed.new_group(ranks)
            found = group if self._rank in ranks else found
        return found

    def run(self) -> None:
        """Train from the newest checkpoint to the end, or until a signal stops the ranks."""
        done = self._resume()
        if not self._held_losses:
            self._measure_held_out()
        num_steps = len(self._steps)
        told = self._rank == 0
        progress = Progress("optimiser steps", num_steps, done, 60.0) if told else None
        log = StepLog(self._job.work, done) if told else None
        begun = time.monotonic() - self._seconds
        for number in range(done + 1, num_steps + 1):
            step = self._steps[number - 1]
            started = time.monotonic()
            self._losses.append(self._step(number, step))
            self._seconds = time.monotonic() - begun
            if log:
                log.add(number, **self._values(number, step, time.monotonic() - started))
            last = number == num_steps
            if (
                last
                or number % self._job.runtime.checkpoint_steps == 0
                or self._is_checkpoint_due
                or self._stop_by
            ):
                self._save(LAST if last else f"step{number}", number)
            if progress:
                progress.add(1, f", loss {self._losses[-1]:.4f}", step.num_tokens)
            if self._stop_by and not last:
                self._checkpoints.finish()
                if told:
                    how = {"name": self._stop_by, "step": number, "num_steps": num_steps}
                    write_json(self._job.work / STOPPED, {**how, "num_new": number - done})
                return
        self._checkpoints.finish()
        self._measure_held_out()
        memory = peak_memory_mb(self._engine.device)
        if log:
            result = {**self._summary(), **log.curves(num_steps), "peak_memory_mb": memory}
            write_json(self._job.work / RESULT, result)

    def _rate(self, number: int) -> float:
        return self._job.training.rate(number, len(self._steps))

    def _values(self, number: int, step: Step, seconds: float) -> dict[str, float]:
        """Return the logged values of a step."""
        return {
            "loss": self._losses[-1],
            "learning_rate": self._rate(number),
            "grad_norm": float(self._engine.get_global_grad_norm()),  # before clipping
            "tokens_per_second": round(step.num_tokens / seconds, 1),
        }

    def _step(self, number: int, step: Step) -> float:
        """Run one optimiser step and return its loss per response token, the same on every rank."""
        import torch

        runtime = self._job.runtime
        # Random numbers of a step depend only on its number, so checkpoints need no random state.
        torch.manual_seed(digest_int("step", self._job.seed, number, self._rank) % 2**63)
        for group in self._engine.optimizer.param_groups:
            group["lr"] = self._rate(number)
        parts = [each[self._team] for each in self._micro_batches(step)]
        total = torch.zeros((), device=self._engine.device)
        for left, part in zip(reversed(range(len(parts))), parts, strict=True):
            self._engine.set_gradient_accumulation_boundary(not left)
            loss = self._summed_loss(self._job.examples, step.examples[part])
            total += loss.detach()
            # DeepSpeed averages over ranks, but the loss is per token of the whole step.
            self._engine.backward(loss * (runtime.num_ranks / step.num_loss_tokens))
        self._engine.step()
        value = self._agree(total) / step.num_loss_tokens
        # DeepSpeed skips a step whose gradient overflows, and only its log says so.
        if not math.isfinite(value) or not self._engine.was_step_applied():
            raise RuntimeError(
                f"loss or gradient of step {number} is not finite (loss {value}); "
                f"{self._named(step)}"
            )
        # Far worse than a uniform guess and than the first loss. The paper has no such bound.
        bound = 2 * max(math.log(self._num_words), *self._losses[:1], 0.0)
        if self._losses and value > bound:
            raise RuntimeError(
                f"the training diverges: the loss of step {number} is {value:.4g}, over {bound:.4g}"
                ", twice the larger of the first loss and that of a uniform guess; lower "
                f"training.learning_rate or add warmup_steps; {self._named(step)}"
            )
        return value

    def _named(self, step: Step) -> str:
        ids = [self._job.examples.name(e) for e in step.examples]
        return f"its examples: {' '.join(ids)}"

    def _agree(self, loss: "torch.Tensor") -> float:
        """Return the loss summed over ranks, and note what any rank wants to do after this step.

        A signal may have reached only some ranks, and clocks differ, but all ranks must do the
        same. One reduction for everything costs no more than that of the loss.
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

    def _micro_batches(self, step: Step) -> list[list[Numbers]]:
        chosen = step.examples
        return micro_batches(self._lengths[chosen], self._costs[chosen], self._job.runtime)

    def _measure_held_out(self) -> None:
        """Note the loss per response token of the examples that are held out, if there are any."""
        import torch

        held = self._job.held_out
        if held is None:
            return
        total = torch.zeros((), device=self._engine.device)
        self._engine.eval()
        with torch.no_grad():
            for parts in micro_batches(held.lengths, held.lengths * 1.0, self._job.runtime):
                total += self._summed_loss(held, parts[self._team])
        self._engine.train()
        torch.distributed.all_reduce(total)
        self._held_losses.append(float(total) / int(held.loss_lengths.sum()))
        if self._rank == 0:
            logger.info("loss of held-out examples: %.4f", self._held_losses[-1])

    def _summed_loss(self, examples: Examples, chosen: Numbers) -> "torch.Tensor":
        """Return the loss of this rank's part of a micro-batch, summed over its tokens."""
        device, shares = self._engine.device, self._job.runtime.sequence_parallel
        batch = collate(examples, chosen, device, self._share, shares)
        # transformers' own attention separates packed documents if positions restart, no mask is
        # given and the cache is off.
        loss: torch.Tensor = self._engine(
            at=batch.at,
            targets=batch.targets,
            input_ids=batch.ids,
            position_ids=batch.positions,
            use_cache=False,
            **layout_for(self._attention, batch.lengths, device),
        )
        return loss

    def _save(self, tag: str, number: int) -> None:
        state = {
            "step": number,
            "losses": self._losses,
            "held_losses": self._held_losses,
            "seconds": self._seconds,
        }
        self._checkpoints.save(tag, state)
        self._saved_at = time.monotonic()

    def _resume(self) -> int:
        """Continue from a checkpoint if there is one; return the number of its step, else 0."""
        state = self._checkpoints.load()
        if state is None:
            return 0
        self._losses, self._seconds = state["losses"], state["seconds"]
        self._held_losses = state.get("held_losses", [])  # absent from an older version's
        step: int = state["step"]
        return step

    def _summary(self) -> dict[str, Any]:
        job, seconds, losses = self._job, self._seconds, self._held_losses
        tokens = self._steps.num_tokens
        flops = flops_of(self._shape, self._lengths, self._steps)
        return {
            "num_examples": len(job.examples),
            "num_steps": len(self._steps),
            "num_tokens": tokens,
            "num_parameters": self._num_parameters,
            "final_loss": self._losses[-1],
            "loss_curve": [[n, round(loss, 6)] for n, loss in enumerate(self._losses, start=1)],
            **({"held_out": held_out_record(job.held_out, losses)} if job.held_out else {}),
            "world_size": job.runtime.num_ranks,
            "zero_stage": job.runtime.zero_stage,
            "attention": self._attention,
            "kernels": job.runtime.kernels,
            "wall_seconds": round(seconds, 3),
            "tokens_per_second": round(tokens / seconds, 1),
            "flops": flops,
            "mfu": model_flops_utilisation(
                flops, seconds, job.runtime.num_ranks, self._engine.device, job.training
            ),
            "versions": versions(),
        }
