"""Whether the trainings of a study fit on the requested GPUs, and what they would cost."""

import json
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from nt_pkg.config.students import Runtime, Training
from nt_pkg.config.study import Study
from nt_pkg.cost import memory
from nt_pkg.cost.balance import balance
from nt_pkg.cost.decoder_shape import Shape, shape_of
from nt_pkg.cost.hardware import gpu_of
from nt_pkg.cost.memory import GIB, Setup
from nt_pkg.files import layout
from nt_pkg.files.json_files import read_json

# Share of a GPU's peak that goes into the model. Until a training of the study was measured: what
# torchtitan says of Llama-3.1-8B in bfloat16 on H100 is 33 to 39 %.
MFU = 0.35
# Tokens of an example until its traces exist; our own choice. The paper's mean is 3,500 words.
EXAMPLE_TOKENS = 4_500


@dataclass(frozen=True)
class Need:
    """What one rank of a student's training needs of its GPU."""

    student: str
    shape: Shape
    setup: Setup
    gpu: str | None  # as the cluster names it

    @property
    def gpu_bytes(self) -> int | None:
        """Return the memory of that GPU, if it is known."""
        known = gpu_of(self.gpu)
        return known.memory if known else None

    @cached_property
    def parts(self) -> dict[str, int]:
        """Return the bytes by part."""
        return memory.parts(self.shape, self.setup, self.gpu_bytes or 0)

    @property
    def fits(self) -> bool | None:
        """Return whether it fits; None if the GPU is not known."""
        known = self.gpu_bytes
        return None if known is None else sum(self.parts.values()) <= known

    @property
    def text(self) -> str:
        """Return the sum and its parts."""
        total = f"{sum(self.parts.values()) / GIB:.1f} GiB"
        of = f" of {self.gpu_bytes / GIB:.1f}" if self.gpu_bytes else ""
        each = ", ".join(f"{name} {size / GIB:.1f}" for name, size in self.parts.items())
        return (
            f"{total}{of} on each of {self.setup.num_ranks} {self.gpu or 'GPUs of unknown type'}, "
            f"ZeRO-{self.setup.zero_stage}: {each}"
        )

    @property
    def todo(self) -> str:
        """Return the edits that make it fit: with the fewest GPUs, and with those requested."""
        found = [self._smallest(self.setup)]
        if found[0] is None or found[0].num_ranks > self.setup.num_ranks:
            found += [self._smallest(replace(self.setup, offload="optimizer"))]
        edits = [self._edits(each) for each in found if each]
        if not edits:
            return (
                f"no number of {self.gpu} is enough: lower students.{self.student}.training."
                "max_example_tokens and runtime.micro_batch_tokens, or use GPUs with more memory"
            )
        return f"the smallest that fits, in students.{self.student}.runtime: {'; or '.join(edits)}"

    def _smallest(self, wanted: Setup) -> Setup | None:
        return memory.smallest_that_fits(self.shape, wanted, self.gpu_bytes or 0)

    def _edits(self, setup: Setup) -> str:
        now, changes = self.setup, []
        if setup.num_ranks != now.num_ranks:
            changes.append(f"num_ranks and gpu {setup.num_ranks}")
        if setup.zero_stage != now.zero_stage:
            changes.append(f"zero_stage {setup.zero_stage}")
        if setup.recomputes != now.recomputes:
            changes.append("activation_checkpointing true")
        if setup.offload != now.offload:
            changes.append(f"offload {setup.offload}")
        total = sum(memory.parts(self.shape, setup, self.gpu_bytes or 0).values())
        return f"{', '.join(changes)} ({total / GIB:.1f} GiB a GPU)"


def need(study: Study, student: str, folder: Path, gpu: str | None) -> Need:
    """Return what a student's training needs.

    Args:
        study: the checked study.
        student: name in the catalogue.
        folder: where results and assets lie.
        gpu: the GPUs' type, as the cluster names it.

    Raises:
        ValueError: the model's size is not known; the message says what to do.
    """
    entry = study.students[student]
    runtime, training = entry.runtime, entry.training
    setup = Setup(
        num_ranks=runtime.num_ranks,
        zero_stage=runtime.zero_stage,
        micro_batch_tokens=most_tokens(training, runtime),
        dtype=training.dtype,
        recomputes=runtime.activation_checkpointing,
        offload=runtime.offload,
    )
    return Need(student, shape_of(entry, student, folder), setup, gpu)


def most_tokens(training: Training, runtime: Runtime) -> int:
    """Return the most tokens that a rank has in one forward pass.

    An example that is longer than a micro-batch has one of its own. A step has no more tokens than
    its last example adds to `tokens_per_step`, in which it begins (nt_pkg/packing/steps.py).
    """
    longest, team = training.max_example_tokens, runtime.sequence_parallel
    room = max(runtime.micro_batch_tokens * team, longest)
    return math.ceil(min(room, training.tokens_per_step - 1 + longest) / team)


def misfits(study: Study, gpus: Mapping[str, str | None], folder: Path) -> list[str]:
    """Return a line on each student whose training cannot fit on its GPUs: why, and a fix.

    Students are skipped if their size or the memory of their GPUs is not known.

    Args:
        study: the checked study.
        gpus: student -> type of the GPUs that its trainings request, as the cluster names it.
        folder: where results and assets lie.
    """
    found = []
    for student, gpu in sorted(gpus.items()):
        try:
            needed = need(study, student, folder, gpu)
        except ValueError:
            continue
        if needed.fits is False:
            found.append(f"students.{student} does not fit: {needed.text}; {needed.todo}")
    return found


@dataclass(frozen=True)
class Cost:
    """The estimated work of a job, over all its GPUs."""

    tokens: float  # that it trains on, or writes
    gpu_seconds: float
    basis: str  # measured speed: of finished jobs of this model; published speed; or arithmetic
    balance: float | None = None  # of a training's ranks: share of time in which they do not wait


def training_cost(study: Study, run: Mapping[str, str], folder: Path, needed: Need) -> Cost | None:
    """Return the cost of one training; None if nothing is known of its GPUs.

    Args:
        study: the checked study.
        run: its wildcards: student, subset, format, seed.
        folder: where results lie.
        needed: what its student needs.
    """
    num_examples, mean = examples_of(study, run, folder)
    tokens = num_examples * mean * study.num_epochs(run["student"], run["subset"])
    if speed := _measured_speed(run["student"], folder):
        return Cost(tokens, tokens / speed, "measured speed")
    known = gpu_of(needed.gpu)
    peak = known.peak("bfloat16") if known else None
    if peak is None:
        return None
    entry, shape = study.students[run["student"]], needed.shape
    share = balance(shape, entry.training.tokens_per_step, entry.runtime, mean)
    seconds = tokens * shape.flops_per_token(mean) / (MFU * peak * share)
    return Cost(tokens, seconds, "arithmetic", balance=share)


def examples_of(study: Study, run: Mapping[str, str], folder: Path) -> tuple[int, float]:
    """Return (examples, mean tokens of one): counted, or otherwise expected."""
    student, subset = run["student"], run["subset"]
    manifest = layout.artifact(layout.EXAMPLES, folder, **run)
    if manifest.exists():
        found = read_json(manifest)
        return found["num_examples"], found["num_tokens"] / found["num_examples"]
    entry = study.subsets[subset]
    mean = mean_trace(folder, entry.pool, entry.teacher)
    size = min(entry.size, int(entry.tokens / mean)) if entry.tokens else entry.size
    return size, min(mean, study.students[student].training.max_example_tokens)


def mean_trace(folder: Path, pool: str, teacher: str) -> float:
    """Return the tokens of a trace: counted, or otherwise expected."""
    traces = layout.artifact(layout.TRACE_STATISTICS, folder, pool=pool, teacher=teacher)
    mean = read_json(traces)["num_tokens"]["mean"] if traces.exists() else None
    return float(mean or EXAMPLE_TOKENS)


def _measured_speed(student: str, folder: Path) -> float | None:
    """Return the tokens a second and rank of this student's finished trainings, their median."""
    speeds = []
    for path in layout.artifacts(layout.TRAINING, folder, student=student):
        try:
            run = read_json(path)
            speeds.append(run["tokens_per_second"] / run["world_size"])
        except (KeyError, json.JSONDecodeError):
            continue  # it is rebuilt before it counts
    return statistics.median(speeds) if speeds else None
