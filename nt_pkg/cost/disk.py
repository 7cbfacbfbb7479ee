"""The bytes that a plan's jobs leave on disk, and the most while trainings run.

Weights have 2 bytes a parameter in bfloat16 and 4 in a final checkpoint. Text has some 4 bytes a
token, uncompressed, and so have token ids.
"""

from collections.abc import Iterable
from pathlib import Path

from nt_pkg.config.study import Study
from nt_pkg.cost.decoder_shape import shape_of
from nt_pkg.cost.generation import PastAnswers, workload_of
from nt_pkg.cost.gpu_hours import OF_TEXT
from nt_pkg.cost.training import examples_of
from nt_pkg.snakemake_io.dry_run import Job

TOKEN_BYTES = 4


def checkpoint_bytes(parameters: float, zero_stage: int) -> float:
    """Return the bytes of a checkpoint: float32 weights, two moments, and below ZeRO-3 bfloat16."""
    return parameters * (12.0 if zero_stage == 3 else 14.0)


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
                what, size = "exports", 2 * parameters
                if job.rule == "train":
                    whole = checkpoint_bytes(parameters, student.runtime.zero_stage)
                    largest = max(largest, whole)
                    what = "final checkpoints"
                    size = whole if student.runtime.keep_optimizer else 4 * parameters
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
        found["two checkpoints of the largest training while it runs"] = 2 * largest
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
