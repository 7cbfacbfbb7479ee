"""The bytes and files that a plan's jobs leave on disk, and the most while trainings run.

Weights have the bytes of their dtype; those of the hub are in bfloat16. Text has some 4 bytes a
token, uncompressed, and so have token ids.
"""

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nt_pkg.assets.fetch import local_files
from nt_pkg.config.sources import Source
from nt_pkg.config.students import Student
from nt_pkg.config.study import Study
from nt_pkg.cost.decoder_shape import shape_of
from nt_pkg.cost.generation import (
    ANSWER_TOKENS,
    PROMPT_TOKENS,
    QUESTION_TOKENS,
    PastAnswers,
    expected_answers,
    model_of,
    rows_of,
    workload_of,
)
from nt_pkg.cost.gpu_hours import OF_TEXT
from nt_pkg.cost.memory import DTYPE_BYTES
from nt_pkg.cost.training import EXAMPLE_TOKENS, examples_of
from nt_pkg.engines._start import engine_kind
from nt_pkg.files import layout
from nt_pkg.files.json_files import canonical
from nt_pkg.snakemake_io.dry_run import Job
from nt_pkg.snakemake_io.stages import STAGES

TOKEN_BYTES = 4
NUM_CHECKPOINTS = 3  # of a training: two that are complete, and the one that is written
# Our own choices: of a log, a timing or a record of Snakemake; of a file of weights; files beside
# the weights; tables and figures of a report; a vector of 384 bytes as text.
_SMALL, _OF_WEIGHTS, _BESIDE, _OF_REPORT, _VECTOR = 4096, 5e9, 8, 60, 512
_TEXTS = {"generate_traces": "traces", "sample_answers": "answers"}
_RUNNING = f"{NUM_CHECKPOINTS} checkpoints of the largest training while it runs"
_RECORDS = "logs, timings, Snakemake's records"


@dataclass(frozen=True)
class Size:
    """Bytes and files."""

    num_bytes: float = 0.0
    num_files: int = 0

    def __add__(self, other: "Size") -> "Size":
        """Return the sum."""
        return Size(self.num_bytes + other.num_bytes, self.num_files + other.num_files)


@dataclass
class Disk:
    """What a plan needs.

    Attributes:
        found: (folder, stage, what) -> size.
        unknown: entries of the catalogue whose files have no known size.
    """

    found: dict[tuple[str, str, str], Size] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    def add(self, folder: str, stage: str, what: str, size: Size) -> None:
        """Count something."""
        key = folder, stage, what
        self.found[key] = self.found.get(key, Size()) + size

    def within(self, *folders: str) -> Size:
        """Return the sum over some folders, or over all."""
        return sum(
            (size for key, size in self.found.items() if not folders or key[0] in folders), Size()
        )


def free_at(folder: Path) -> Size:
    """Return the bytes and files that still have room where a folder is, or will be."""
    place = next(each for each in [folder.absolute(), *folder.absolute().parents] if each.exists())
    found = os.statvfs(place)
    # File systems without a fixed number of files say 0.
    return Size(found.f_bavail * found.f_frsize, found.f_favail if found.f_files else 10**12)


def checkpoint_bytes(student: Student, parameters: float, is_final: bool) -> float:
    """Return the bytes of a checkpoint of a student's training.

    It has the optimiser's float32 weights. Before the end, or if the runtime keeps the optimiser,
    it also has two moments, and below ZeRO-3 the weights once more in the dtype of the training.
    """
    if is_final and not student.runtime.keep_optimizer:
        return 4 * parameters
    again = 0 if student.runtime.zero_stage == 3 else DTYPE_BYTES[student.training.dtype]
    return (12 + again) * parameters


def needed(jobs: Iterable[Job], study: Study, folder: Path) -> Disk:
    """Return what the jobs leave; what is not known is left out, and named if it is downloaded."""
    disk, answers = Disk(), PastAnswers(folder)
    fetched: set[str] = set()
    largest = Size()
    for job in (each for each in jobs if each.rule in STAGES):
        stage = STAGES[job.rule]
        disk.add("logs", "all", _RECORDS, _small(2 + len(job.outputs)))
        try:
            if job.rule == "fetch_asset":
                _add_download(disk, study, job, folder, fetched)
            elif job.rule == "train":
                final, running = _checkpoints(study, job, folder)
                disk.add(layout.RESULTS, stage, "final checkpoints", final)
                largest = max(largest, running, key=lambda each: each.num_bytes)
            else:
                for what, size in _left_by(job, study, folder, answers):
                    disk.add(layout.RESULTS, stage, what, size)
        except ValueError:
            continue
    if largest.num_bytes:
        whole = Size(NUM_CHECKPOINTS * largest.num_bytes, NUM_CHECKPOINTS * largest.num_files)
        disk.add("work", "sft", _RUNNING, whole)
    return disk


def _small(number: int) -> Size:
    return Size(number * _SMALL, number)


def _weights(num_bytes: float) -> Size:
    return Size(num_bytes, math.ceil(num_bytes / _OF_WEIGHTS) + _BESIDE)


def _add_download(disk: Disk, study: Study, job: Job, folder: Path, fetched: set[str]) -> None:
    """Count the files of an entry of the catalogue; equal files are hard links, and count once."""
    kind, name = job.wildcards["kind"], job.wildcards["name"]
    source: Source = getattr(study, kind)[name].source
    what = kind if kind in ("pools", "benchmarks") else "models"
    key = canonical(source.model_dump(mode="json"))
    if key in fetched:
        return
    fetched.add(key)
    try:
        disk.add("assets", "assets", what, _source_size(study, kind, name, source, folder))
    except ValueError:
        disk.unknown.append(f"{kind}.{name}")


def _source_size(study: Study, kind: str, name: str, source: Source, folder: Path) -> Size:
    if not source.is_remote:
        files = local_files(source)
        return Size(sum(path.stat().st_size for path in files), len(files))
    if source.expected_gb is not None:
        return Size(1e9 * source.expected_gb, 1)
    if kind == "pools":
        return Size(rows_of(study, name, folder) * _row_bytes(study, name), 1)
    if kind == "benchmarks":
        answers = expected_answers(study, name)
        if answers is None:
            raise ValueError(f"give benchmarks.{name} its `expected_questions`")
        questions = answers / study.benchmarks[name].repeats
        return Size(questions * PROMPT_TOKENS * TOKEN_BYTES, 1)
    shape = shape_of(getattr(study, kind)[name], name, folder, kind)
    return _weights(DTYPE_BYTES["bfloat16"] * shape.num_parameters)


def _row_bytes(study: Study, pool: str) -> float:
    """Return the bytes of a row of a pool: a question, an answer, and a recorded trace if used."""
    teachers = {entry.teacher for entry in study.subsets.values() if entry.pool == pool}
    is_replayed = any(study.teachers[each].engine == "replay" for each in teachers)
    trace = EXAMPLE_TOKENS if is_replayed else ANSWER_TOKENS
    return float((QUESTION_TOKENS + trace) * TOKEN_BYTES)


def _checkpoints(study: Study, job: Job, folder: Path) -> tuple[Size, Size]:
    """Return a training's final checkpoint, and one while it runs."""
    name = job.wildcards["student"]
    student = study.students[name]
    parameters = float(shape_of(student, name, folder).num_parameters)
    ranks = student.runtime.num_ranks
    # Every rank has its states and a note; at ZeRO-3 weights as well, otherwise one file has them.
    files = 2 * ranks + (ranks if student.runtime.zero_stage == 3 else 1)
    final, running = (checkpoint_bytes(student, parameters, each) for each in (True, False))
    return Size(final, files + len(job.outputs)), Size(running, files)


def _left_by(
    job: Job, study: Study, folder: Path, answers: PastAnswers
) -> Iterator[tuple[str, Size]]:
    """Yield what another job leaves in the folder of results.

    Raises:
        ValueError: it is not known.
    """
    run, files = job.wildcards, len(job.outputs)
    if job.rule in ("ingest_pool", "shard_prompts"):
        shards = 1 if job.rule == "ingest_pool" else study.pools[run["pool"]].num_shards
        rows = rows_of(study, run["pool"], folder) / shards
        yield "questions", Size(rows * _row_bytes(study, run["pool"]), files)
    elif job.rule == "annotate_questions":
        texts = workload_of(study, job.rule, run, folder, answers)
        yield "labels", Size(texts.count * _VECTOR, files)
    elif job.rule in OF_TEXT:
        texts = workload_of(study, job.rule, run, folder, answers)
        num_bytes = texts.count * texts.new_tokens * TOKEN_BYTES
        yield _TEXTS.get(job.rule, "labels"), Size(num_bytes, files)
        engine = model_of(study, run).engine
        if job.rule != "sample_answers" and engine and engine_kind(engine).keeps_texts:
            yield "kept answers, for another reading of them", Size(num_bytes, 1)
    elif job.rule == "build_examples":
        number, mean = examples_of(study, run, folder)
        yield "examples", Size(number * mean * TOKEN_BYTES, files)
    elif job.rule == "export_model":
        student = study.students[run["student"]]
        shape = shape_of(student, run["student"], folder)
        yield "exports", _weights(DTYPE_BYTES[student.training.dtype] * shape.num_parameters)
    else:
        what = {"select_subset": "ids", "grade": "scores", "build_report": "pages"}
        extra = _OF_REPORT if job.rule == "build_report" else 0
        yield what.get(job.rule, "statistics"), _small(files + extra)


def lines(disk: Disk, free: Size) -> list[str]:
    """Return the table, and warnings if it does not fit.

    Args:
        disk: of `needed`.
        free: what still has room.
    """
    if not disk.found:
        return []
    stages = [*dict.fromkeys(STAGES.values()), "all"]
    rows = sorted(disk.found.items(), key=lambda each: stages.index(each[0][1]))
    total = disk.within()
    here = f"disk ({free.num_bytes / 1e9:,.0f} GB free here)"
    table = [f"{here:65} {'GB':>9} {'files':>9}"]
    table += [_row(f"{stage:12} {what}", size) for (_, stage, what), size in rows]
    table.append(_row("all", total))
    if disk.unknown:
        table.append(
            f"not counted, since nothing says how large they are: {', '.join(disk.unknown)}; give "
            "their source `expected_gb`"
        )
    for what, need, have in (
        ("GB", total.num_bytes / 1e9, free.num_bytes / 1e9),
        ("files", total.num_files, free.num_files),
    ):
        if need > have:
            table.append(
                f"WARNING {need - have:,.0f} {what} do not fit: run with --directory on another "
                "file system, or plan fewer runs"
            )
    return table


def _row(name: str, size: Size) -> str:
    return f"{name:65} {size.num_bytes / 1e9:>9,.1f} {size.num_files:>9,}"
