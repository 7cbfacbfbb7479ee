"""The disk that a plan needs, against numbers reckoned by hand."""

from pathlib import Path
from typing import Any

import pytest

from nt_pkg.cost.disk import Disk, Size, lines, needed
from nt_pkg.snakemake_io.dry_run import Job
from tests.unit.test_forecast import RUN, SHARD, _job, _study

PARAMETERS = 8_030_261_248  # of Llama-3.1-8B


@pytest.mark.parametrize(
    ("dtype", "zero_stage", "keeps", "export", "final", "running"),
    [
        ("bfloat16", 3, False, 2, 4, 12),
        ("bfloat16", 2, False, 2, 4, 14),
        ("bfloat16", 1, True, 2, 14, 14),
        ("bfloat16", 3, True, 2, 12, 12),
        ("float32", 3, False, 4, 4, 12),
        ("float32", 1, False, 4, 4, 16),
        ("float32", 2, True, 4, 16, 16),
    ],
)
def test_bytes_of_a_parameter(
    tmp_path: Path,
    dtype: str,
    zero_stage: int,
    keeps: bool,
    export: int,
    final: int,
    running: int,
) -> None:
    """The files of trainings of 5 million parameters have these numbers of bytes for each."""

    def change(found: dict[str, Any]) -> None:
        student = found["students"]["llama-3.1-8b"]
        student.setdefault("training", {})["dtype"] = dtype
        student["runtime"] |= {"zero_stage": zero_stage, "keep_optimizer": keeps}

    jobs = [_job("train", 8, **RUN), _job("export_model", 0, **RUN)]
    found = needed(jobs, _study(change), tmp_path).found
    assert found["results", "sft", "exports"].num_bytes == export * PARAMETERS
    assert found["results", "sft", "final checkpoints"].num_bytes == final * PARAMETERS
    largest = found["work", "sft", "3 checkpoints of the largest training while it runs"]
    assert largest.num_bytes == 3 * running * PARAMETERS
    # Two a rank and one for all, or three; five exports of 5 GB or less have 4 or 7, and 8 beside.
    assert largest.num_files == 3 * (24 if zero_stage == 3 else 17)
    assert found["results", "sft", "exports"].num_files == (4 if export == 2 else 7) + 8


def test_text_has_four_bytes_a_token(tmp_path: Path) -> None:
    jobs = [_job("generate_traces", 0, **SHARD, teacher="served") for _ in range(16)]
    found = needed(jobs, _study(), tmp_path).found
    traces = Size(pytest.approx(1_145_824 * 4500 * 4), 0)
    assert found["results", "traces", "traces"] == traces
    kept = found["results", "traces", "kept answers, for another reading of them"]
    assert kept == Size(traces.num_bytes, 16)


def test_questions_are_there_twice(tmp_path: Path) -> None:
    jobs = [_job("ingest_pool", 0, pool="natural-reasoning")]
    jobs += [_job("shard_prompts", 0, **SHARD) for _ in range(16)]
    found = needed(jobs, _study(), tmp_path).found
    once = 1_145_824 * (80 + 500) * 4
    assert found["results", "prompts", "questions"].num_bytes == pytest.approx(2 * once)


def _fetch(kind: str, name: str) -> Job:
    return _job("fetch_asset", 0, kind=kind, name=name)


def test_downloads_are_known_or_reckoned_and_counted_once(tmp_path: Path) -> None:
    names = [("pools", "natural-reasoning"), ("benchmarks", "supergpqa")]
    names += [("students", "llama-3.1-8b"), ("annotators", "embedding")]  # the same files
    names += [("annotators", "strategies"), ("annotators", "verbosity")]
    found = needed([_fetch(*each) for each in names], _study(), tmp_path)
    assert found.unknown == []
    assert found.found["assets", "assets", "pools"] == Size(4.2e9, 1)
    assert found.found["assets", "assets", "benchmarks"] == Size(26_529 * 250 * 4, 1)
    models = found.found["assets", "assets", "models"]
    assert models == Size(2 * (PARAMETERS + 70_553_706_496), 4 + 8 + 29 + 8)


def test_files_of_this_machine_are_measured(tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()
    for name in ("a", "b"):
        (tmp_path / "pool" / name).write_bytes(b"x" * 1000)

    def change(found: dict[str, Any]) -> None:
        found["pools"]["natural-reasoning"]["source"] = {"path": str(tmp_path / "pool")}

    found = needed([_fetch("pools", "natural-reasoning")], _study(change), tmp_path).found
    assert found["assets", "assets", "pools"] == Size(2000, 2)


def test_what_is_not_known_is_said(tmp_path: Path) -> None:
    def change(found: dict[str, Any]) -> None:
        del found["benchmarks"]["supergpqa"]["expected_questions"]
        found["students"]["llama-3.1-8b"]["architecture"] = None

    jobs = [_fetch("benchmarks", "supergpqa"), _fetch("students", "llama-3.1-8b")]
    found = needed(jobs, _study(change), tmp_path)
    assert found.unknown == ["benchmarks.supergpqa", "students.llama-3.1-8b"]
    said = "\n".join(lines(found, Size(1e12, 10**6)))
    assert "not counted" in said and "benchmarks.supergpqa, students.llama-3.1-8b" in said


def test_what_does_not_fit_is_said() -> None:
    disk = Disk({("results", "sft", "exports"): Size(5e9, 30)})
    assert "WARNING 3 GB do not fit" in "\n".join(lines(disk, Size(2e9, 30)))
    assert "WARNING 20 files do not fit" in "\n".join(lines(disk, Size(6e9, 10)))
    assert "WARNING" not in "\n".join(lines(disk, Size(6e9, 30)))
    assert lines(Disk(), Size()) == []
