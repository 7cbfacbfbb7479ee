"""Students: formats of their targets, training, and resources of their jobs."""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from nt_pkg.config.base import Strict
from nt_pkg.config.engines import Architecture, EngineRuntime, OrCpu, Sampling
from nt_pkg.config.sources import Source


class Format(Strict):
    """What a student is trained to write (paper, section 3.3)."""

    kind: Literal["system2", "system1", "random_mix", "difficulty_mix"] = Field(
        description="system2: full trace; system1: only the answer; random_mix: system2 with "
        "probability p; difficulty_mix: system2 if the models disagree."
    )
    p: float | None = Field(None, gt=0, lt=1, description="Share of System-2 in random_mix.")
    think_words: Annotated[int, Field(ge=1)] | Literal["per_trace"] = Field(
        3500,
        description="K of the think instruction (paper: 3500, its mean trace in words), or "
        "per_trace: the number of words of each trace, to two digits.",
    )

    @model_validator(mode="after")
    def _p_belongs(self) -> Self:
        if (self.kind == "random_mix") != (self.p is not None):
            raise ValueError(
                "`p` belongs to kind random_mix, and random_mix needs it (paper: 0.2-0.6)"
            )
        return self


class Training(Strict):
    """Supervised fine-tuning; the defaults are those of section 4 of the paper."""

    learning_rate: float = Field(2e-5, gt=0, description="At its highest (paper: 2e-5).")
    schedule: Literal["constant", "cosine"] = Field(
        "constant",
        description="The learning rate after the warm-up: constant (paper), or falling along half "
        "a cosine to a twentieth at the last step.",
    )
    weight_decay: float = Field(0.1, ge=0, description="AdamW (paper: 0.1).")
    betas: tuple[float, float] = Field(
        (0.9, 0.95), description="AdamW (the usual choice for LLMs; the paper is silent)."
    )
    warmup_steps: int = Field(0, ge=0, description="Steps of linear warm-up (the paper is silent).")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradient clipping (the paper is silent).")
    tokens_per_step: int = Field(
        400_000,
        ge=1,
        description="Tokens of one optimiser step over all ranks, on average (paper: about 400k).",
    )
    max_example_tokens: int = Field(
        20_480,
        ge=8,
        description="Longer examples, question and response, are left out, never cut (the paper is "
        "silent; its longest response and 4,096 tokens to read).",
    )
    max_response_tokens: int = Field(
        16_384, ge=1, description="Longer responses are left out, never cut (paper: 16,384)."
    )
    epochs: dict[int, int] = Field(
        {0: 10, 10_000: 6, 100_000: 8},
        description="Epochs by the size of the subset, whatever is left of it under the length "
        "limits: each entry holds from its number on (paper: 10 at 1k, 6 at 10k, 8 at 100k and "
        "500k).",
    )
    dtype: Literal["float32", "bfloat16"] = Field(
        "bfloat16", description="Number format of the weights (the paper is silent)."
    )

    @field_validator("epochs")
    @classmethod
    def _from_zero(cls, value: dict[int, int]) -> dict[int, int]:
        if 0 not in value or min(value.values()) < 1:
            raise ValueError("epochs needs an entry for 0, and every number must be at least 1")
        return value

    def rate(self, step: int, num_steps: int) -> float:
        """Return the learning rate of an optimiser step, counted from 1, of `num_steps`."""
        share = min(1.0, step / max(1, self.warmup_steps))
        if self.schedule == "cosine":
            share *= 0.05 + 0.95 * (1 + math.cos(math.pi * (step - 1) / max(1, num_steps - 1))) / 2
        return self.learning_rate * share

    def num_epochs(self, size: int) -> int:
        """Return the number of epochs for a subset of this size."""
        return self.epochs[max(start for start in self.epochs if start <= size)]

    def with_epochs(self, epochs: int) -> Self:
        """Return the training with these epochs for any number of rows."""
        return self.model_copy(update={"epochs": {0: epochs}})


class Runtime(Strict):
    """Resources of a student's jobs; never part of a result's identity."""

    nodes: int = Field(1, ge=1, description="Nodes of one training; more than one needs Slurm.")
    num_ranks: int = Field(1, ge=1, description="Processes of one training on all its nodes.")
    threads_per_rank: int = Field(1, ge=1, description="CPU cores of each of these processes.")
    zero_stage: Literal[1, 2, 3] = Field(2, description="DeepSpeed ZeRO stage.")
    micro_batch_tokens: int = Field(
        32_768,
        ge=1,
        description="Tokens of one forward pass of a rank, at most; a longer example has one of "
        "its own.",
    )
    sequence_parallel: int = Field(
        1,
        ge=1,
        description="Ranks that share the tokens of a micro-batch and exchange heads of attention, "
        "for long examples on many ranks (DeepSpeed-Ulysses).",
    )
    attention: Literal["auto", "documents", "varlen", "sdpa"] = Field(
        "auto",
        description="How attention over packed documents is computed: documents, one after the "
        "other; varlen, all with one GPU kernel; sdpa, with a mask over the whole row. auto takes "
        "the fastest that the machine and the student support.",
    )
    kernels: Literal["eager", "compiled", "liger"] = Field(
        "eager",
        description="How norms, rotary embedding and SwiGLU are computed: eager, as in "
        "transformers; compiled, by torch.compile; liger, by the package liger-kernel, on GPUs. "
        "Results differ by rounding only.",
    )
    activation_checkpointing: bool = Field(
        False, description="Recompute each layer in the backward pass to save its memory."
    )
    offload: Literal["none", "optimizer", "all"] = Field(
        "none",
        description="What is kept in main memory: optimizer, the optimiser's state and its step; "
        "all, the weights too (ZeRO-3 only).",
    )
    checkpoint_steps: int = Field(100, ge=1, description="Optimiser steps between checkpoints.")
    checkpoint_minutes: float = Field(
        30, gt=0, description="Maximum minutes between checkpoints, however long a step takes."
    )
    async_checkpoints: bool = Field(
        True,
        description="Write checkpoints in the background, from a copy of each rank's state in main "
        "memory.",
    )
    keep_optimizer: bool = Field(
        False,
        description="Keep the optimiser's state in the final checkpoint, which otherwise has the "
        "float32 weights only.",
    )
    minutes: int = Field(
        1440,
        ge=1,
        description="Time limit of a training; one that needs longer continues in the next job.",
    )
    stop_seconds: int = Field(
        300,
        ge=0,
        description="Seconds before a Slurm job's time limit at which a training stops with a "
        "checkpoint, at most a tenth of the limit; 0: never.",
    )
    generation_batch: int = Field(64, ge=1, description="Answers generated at the same time.")
    generation_answers: int = Field(
        10_000,
        ge=1,
        description="Most answers of one evaluation job, and at least a batch; a benchmark with "
        "more is answered by several jobs. Its `expected_questions` say how many it has.",
    )
    gpu: int = Field(
        0, ge=0, description="GPUs of a training on all its nodes: one per rank, or none."
    )
    or_cpu: OrCpu = False
    generation_gpu: int = Field(0, ge=0, description="GPUs of one evaluation job, on one node.")
    generation_cpus: int | None = Field(
        None, ge=1, description="CPU cores of an evaluation job; absent: what its engine needs."
    )
    generation_minutes: int = Field(720, ge=1, description="Time limit of an evaluation job.")
    generation_mem_mb: int | None = Field(
        None, ge=1, description="Main memory of an evaluation job in MB; by default mem_mb."
    )
    mem_mb: int = Field(8_000, ge=1, description="Main memory of a training in MB, per node.")

    @property
    def generation(self) -> EngineRuntime:
        """Return the resources of an evaluation job."""
        return EngineRuntime(
            gpu=self.generation_gpu,
            cpus=self.generation_cpus,
            or_cpu=self.or_cpu,
            mem_mb=self.generation_mem_mb or self.mem_mb,
            minutes=self.generation_minutes,
            batch=self.generation_batch,
        )

    @property
    def num_tasks(self) -> int:
        """Return the number of processes that Slurm starts: the ranks."""
        return self.num_ranks

    @property
    def ranks_per_node(self) -> int:
        """Return the ranks of a training on each of its nodes."""
        return self.num_ranks // self.nodes

    @property
    def job_threads(self) -> int:
        """Return the cores that a training requests: all of them, or per rank on several nodes.

        On several nodes every rank is a Slurm task, and Slurm counts cores per task.
        """
        return self.threads_per_rank * (self.num_ranks if self.nodes == 1 else 1)

    def check_heads(self, num_heads: int, num_key_value_heads: int) -> None:
        """Raise if the ranks that share tokens cannot have equal parts of a student's heads.

        Raises:
            ValueError: the message says what to do.
        """
        ranks = self.sequence_parallel
        for kind, count in (("", num_heads), ("key and value ", num_key_value_heads)):
            if count % ranks:
                most = math.gcd(num_heads, num_key_value_heads)
                raise ValueError(
                    f"runtime.sequence_parallel is {ranks}, and the student's {count} {kind}heads "
                    f"are no multiple of it: set it to {most} or a divisor of that"
                )

    @model_validator(mode="after")
    def _even(self) -> Self:
        if self.num_ranks % self.nodes:
            raise ValueError(
                f"{self.num_ranks} ranks cannot be spread evenly over {self.nodes} nodes: make "
                "num_ranks a multiple of nodes"
            )
        if self.ranks_per_node % self.sequence_parallel:
            raise ValueError(
                f"{self.sequence_parallel} ranks share the tokens of a micro-batch, and the "
                f"{self.ranks_per_node} of a node are no multiple of that: lower "
                "sequence_parallel, or make num_ranks / nodes a multiple of it"
            )
        if self.offload == "all" and self.zero_stage != 3:
            raise ValueError(
                f"offload 'all' needs sharded weights, but ZeRO-{self.zero_stage} does not shard "
                "them: set zero_stage to 3, or offload to 'optimizer'"
            )
        if self.gpu not in (0, self.num_ranks):
            raise ValueError(
                f"a training has one GPU per rank, or none; gpu is {self.gpu} and num_ranks "
                f"{self.num_ranks}: set gpu to {self.num_ranks} or to 0"
            )
        return self


class Student(Strict):
    """A model to train."""

    source: Source = Field(description="Where the untrained model comes from.")
    architecture: Architecture = None
    training: Training = Field(Training(), description="How it is trained.")
    held_out: str | None = Field(
        None,
        description="Catalogue name of a subset, of another pool, whose loss is measured before "
        "and after every training, in the format of the run. Nothing is trained on it.",
    )
    engine: str = Field(
        "transformers",
        description="Module of nt_pkg/engines that makes its answers (docs/engines.md).",
    )
    engine_params: dict[str, Any] = Field(
        default_factory=dict, description="Parameters of that engine."
    )
    sampling: Sampling = Field(
        Sampling(),
        description="Sampling of its answers (paper: 0.6 / 0.95 for Llama, 0.7 / 1.0 for Qwen).",
    )
    runtime: Runtime = Field(Runtime(), description="Resources of its jobs; edits rerun nothing.")

    @model_validator(mode="after")
    def _heads_can_be_shared(self) -> Self:
        heads = (self.architecture or {}).get("num_attention_heads")
        if isinstance(heads, int):
            assert self.architecture is not None
            own = self.architecture.get("num_key_value_heads")
            self.runtime.check_heads(heads, own if isinstance(own, int) else heads)
        return self
