"""Ranges of GPU-hours, against numbers reckoned by hand."""

from pathlib import Path
from typing import Any

import pytest

from nt_pkg.cost.gpu_hours import Forecasts
from nt_pkg.cost.ranges import Ranges, load_seconds
from nt_pkg.cost.speeds import published
from nt_pkg.snakemake_io.dry_run import Job
from nt_pkg.snakemake_io.timings import Timings
from tests.unit.test_forecast import RUN, SHARD, _job, _study, _timed

R1 = "deepseek-ai/DeepSeek-R1"


def _ranges(folder: Path, *jobs: Job) -> Ranges:
    def serve(found: dict[str, Any]) -> None:
        found["teachers"]["served"]["params"]["model"] = R1

    study = _study(serve)
    forecasts = Forecasts(jobs, study, Timings(folder / "timings"), folder)
    return Ranges(jobs, study, forecasts, folder)


def test_only_the_model_itself_has_its_published_speeds() -> None:
    assert [round(each.tokens_per_second) for each in published(R1)] == [328, 2200]
    assert published(f"{R1}-0528") == published(R1)
    assert not published(f"{R1}-Distill-Qwen-7B")
    assert not published("")


def test_a_70b_loads_in_minutes() -> None:
    """141 GB at 0.5 and 0.25 GB a second, and one or two minutes of starting."""
    assert load_seconds(141e9) == pytest.approx((282 + 60, 564 + 120))


def test_a_served_teacher_is_counted_by_its_tokens(tmp_path: Path) -> None:
    """1,145,824 traces of 4,500 tokens at 2,200 and 327.6 tokens a second."""
    jobs = [_job("generate_traces", 0, **SHARD, teacher="served") for _ in range(16)]
    found = _ranges(tmp_path, *jobs).found["traces", "served"]
    assert (found.low, found.high) == pytest.approx((651.04, 4_371.6), rel=1e-3)
    assert found.loading == (0, 0)  # by whoever runs the server


def test_a_teacher_on_its_own_gpus_loads_in_every_job(tmp_path: Path) -> None:
    jobs = [_job("generate_traces", 16, **SHARD, teacher="served") for _ in range(16)]
    found = _ranges(tmp_path, *jobs).found["traces", "served"]
    each = (685 / 0.5 + 60) * 16 / 3600, (685 / 0.25 + 120) * 16 / 3600
    assert found.loading == pytest.approx((16 * each[0], 16 * each[1]))
    assert found.low == pytest.approx(651.04 + 16 * each[0], rel=1e-3)


def test_short_jobs_of_a_large_model_are_warned_about(tmp_path: Path) -> None:
    labels = {**SHARD, "teacher": "served"}
    quick = [_job("annotate", 4, **labels, annotator="domain") for _ in range(16)]
    alone = [
        _job(
            "annotate_questions",
            1,
            **{**SHARD, "pool": pool, "num_shards": "1"},
            annotator="embedding",
        )
        for pool in ("natural-reasoning", "micro")
    ]
    slow = [_job("annotate", 4, **labels, annotator="verbosity") for _ in range(16)]
    ranges = _ranges(tmp_path, *quick, *slow, *alone)
    text = "\n".join(ranges.lines())
    assert "WARNING annotations by domain: " in text
    assert "in 16 starts of jobs; make them longer (`rows_per_job` of the annotator, or" in text
    # One job for each pool: no setting makes them longer.
    assert "note: annotations by embedding: " in text
    assert "in 2 jobs on different data, 0.08 GPU-hours of loading in all" in text
    assert "WARNING annotations by verbosity" not in text
    # 141.1 GB: (282.2 + 60) s on four GPUs, sixteen times.
    assert ranges.found["annotations", "domain"].loading[0] == pytest.approx(6.084, rel=1e-3)


def test_measured_jobs_have_no_range(tmp_path: Path) -> None:
    _timed(tmp_path, job := _job("sample_answers", 1, **RUN), 7200)
    found = _ranges(tmp_path, job).found["evals", "llama-3.1-8b"]
    assert (found.low, found.high) == (2, 2)


def test_answers_may_be_longer_until_there_are_scores(tmp_path: Path) -> None:
    job = _job("sample_answers", 1, **RUN)
    before = _ranges(tmp_path, job).found["evals", "llama-3.1-8b"]
    load = before.loading
    ratio = (before.high - load[1]) / (before.low - load[0])
    assert ratio == pytest.approx(8741 / 4500 * 0.85 / 0.47)
