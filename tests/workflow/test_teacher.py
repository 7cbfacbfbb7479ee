"""A teacher whose model we run: its files are fetched, and its jobs get them and their GPUs."""

from pathlib import Path

import pytest

from nt_pkg.dry_run import parse_jobs
from nt_pkg.records import TRACES, read_parquet
from tests.workflow.sandbox import TINY, command, copy_repository, run

OVERLAY = """
pools:
  tiny: {params: {num_rows: 6}, num_shards: 1}
teachers:
  base:
    engine: transformers
    source: {builtin: micro-base}
    sampling: {max_tokens: 8}
    runtime: {gpu: 2, batch: 2, mem_mb: 3000}
subsets:
  tiny-random: {teacher: base, size: 2}
  tiny-long: {teacher: base, size: 2}
"""


@pytest.mark.slow
def test_model_of_a_teacher_is_an_input_of_its_traces(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy_repository(copy)
    (copy / "overlay.yaml").write_text(OVERLAY)
    snakemake = command("snakemake", "--profile", "profiles/local")
    options = ["--configfile", str(TINY), "overlay.yaml", "--", "traces"]

    planned = parse_jobs(run(copy, [*snakemake, "-n", *options]))
    run(copy, [*snakemake, *options])

    assert [job.gpus for job in planned if job.rule == "generate_traces"] == [2]
    assert (copy / "assets/teachers/base/model.safetensors").exists()
    folder = copy / "results/traces/tiny/base"
    rows = [row for path in sorted(folder.glob("*.parquet")) for row in read_parquet(path, TRACES)]
    assert len(rows) >= 5  # of six drawn, some may be the same
    assert all(row["status"] != "failed" and 1 <= row["completion_tokens"] <= 8 for row in rows)
