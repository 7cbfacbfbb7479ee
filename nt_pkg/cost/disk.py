"""The bytes that a plan's jobs leave on disk, and the most while trainings run.

An export has the student's weights in its dtype. Text has some 4 bytes a token, uncompressed, and
so have token ids.
"""

from collections.abc import Iterable
from pathlib import Path

from nt_pkg.config.students import Student
from nt_pkg.config.study import Study
from nt_pkg.cost.decoder_shape import shape_of
from nt_pkg.cost.generation import PastAnswers, workload_of
from nt_pkg.cost.gpu_hours import OF_TEXT
from nt_pkg.cost.memory import DTYPE_BYTES
from nt_pkg.cost.training import examples_of
from nt_pkg.snakemake_io.dry_run import Job

TOKEN_BYTES = 4
NUM_CHECKPOINTS = 3  # of a training: two that are complete, and the one that is written


def checkpoint_bytes(student: Student, parameters: float, is_final: bool) -> float:
    """Return the bytes of a checkpoint of a student's training.

    It has the optimiser's float32 weights. Before the end, or if the runtime keeps the optimiser,
    it also has two moments, and below ZeRO-3 the weights once more in the dtype of the training.
    """
    if is_final and not student.runtime.keep_optimizer:
        return 4 * parameters
    again = 0 if student.runtime.zero_stage == 3 else DTYPE_BYTES[student.training.dtype]
    return (12 + again) * parameters


def sizes(jobs: Iterable[Job], study: Study, folder: Path) -> dict[str, float]:
    """Return what -> bytes that the jobs leave; what is not known is left out."""
    answers, found = PastAnswers(folder), dict[str, float]()
    largest = 0.0
    for job in jobs:
        try:
            if job.rule in ("train", "export_model"):
                name = job.wildcards["student"]
                student = study.students[name]
                parameters = float(shape_of(student, name, folder).num_parameters)
                if job.rule == "train":
                    what, size = "final checkpoints", checkpoint_bytes(student, parameters, True)
                    largest = max(largest, checkpoint_bytes(student, parameters, False))
                else:
                    what, size = "exports", DTYPE_BYTES[student.training.dtype] * parameters
            elif job.rule == "build_examples":
                number, mean = examples_of(study, job.wildcards, folder)
                what, size = "examples", number * mean * TOKEN_BYTES
            elif job.rule in OF_TEXT:
                texts = workload_of(study, job.rule, job.wildcards, folder, answers)
                what = {"generate_traces": "traces", "sample_answers": "answers"}.get(
                    job.rule, "labels"
                )
                size = texts.count * texts.new_tokens * TOKEN_BYTES
            else:
                continue
        except ValueError:
            continue
        found[what] = found.get(what, 0.0) + size
    if largest:
        found["three checkpoints of the largest training while it runs"] = NUM_CHECKPOINTS * largest
    return found


def lines(found: dict[str, float], free: float) -> list[str]:
    """Return the table, and a warning if it does not fit.

    Args:
        found: of `sizes`.
        free: bytes of the file system that are free.
    """
    if not found:
        return []
    total = sum(found.values())
    table = [f"disk, in GB ({free / 1e9:,.0f} free here; without downloads and questions)"]
    table += [f"{what:56} {size / 1e9:>9,.1f}" for what, size in found.items()]
    table.append(f"{'all':56} {total / 1e9:>9,.1f}")
    if total > free:
        table.append(
            f"WARNING {(total - free) / 1e9:,.0f} GB do not fit: run with --directory on another "
            "file system, or plan fewer runs"
        )
    return table
