"""Vectors of a model, and neighbours of another pool's questions, through their rules."""

import json
from collections import Counter
from pathlib import Path

import pytest

from nt_pkg.files.parquet import read_parquet
from nt_pkg.files.schemas import ANNOTATIONS, SUBSET
from tests.workflow.sandbox import TINY, command, copy_repository, plan, run

OVERLAY = """
pools:
  tiny: {params: {num_rows: 60}, num_shards: 2}
  seeds: {kind: micro, params: {num_rows: 5, seed: NUMBER}}
annotators:
  embedding: {kind: hidden_states, source: {builtin: micro-base}, runtime: {batch: 8, mem_mb: 2000}}
subsets:
  tiny-random: {selector: coverage, size: 4}
  tiny-near: {pool: tiny, teacher: micro-teacher, selector: nearest, near: seeds, size: 6}
runs:
  - students: [tiny-llama]
    subsets: [tiny-random, tiny-near]
    formats: [system2]
    seeds: [0]
    benchmarks: [tiny_free]
    modes: [think]
"""
PROFILE = ("--profile", "profiles/local")
SNAKEMAKE = command("snakemake", *PROFILE)
OPTIONS = ["--configfile", str(TINY), "overlay.yaml", "--", "subsets"]


@pytest.mark.slow
def test_another_seed_pool_reruns_what_is_near_to_it(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy_repository(copy)
    (copy / "overlay.yaml").write_text(OVERLAY.replace("NUMBER", "1"))
    run(copy, [*SNAKEMAKE, *OPTIONS])
    again = run(copy, [*SNAKEMAKE, "-n", *OPTIONS])
    (copy / "overlay.yaml").write_text(OVERLAY.replace("NUMBER", "2"))
    edited = plan(copy, [*PROFILE, *OPTIONS])

    assert "othing to be done" in again
    assert (copy / "assets/annotators/embedding/model.safetensors").exists()
    labels = sorted((copy / "results/question_labels").glob("*/embedding/*.parquet"))
    assert [path.parts[-3] for path in labels] == ["seeds", "tiny", "tiny"]
    assert {row["status"] for path in labels for row in read_parquet(path, ANNOTATIONS)} == {"ok"}
    [chosen] = (copy / "results/subsets/tiny/micro-teacher/tiny-near").glob("*.parquet")
    assert len(read_parquet(chosen, SUBSET)) == 6
    manifest = json.loads(chosen.with_suffix(".json").read_text())
    assert 1 <= manifest["counts"]["num_near"] <= 5
    assert Counter(job.rule for job in edited) == {
        "ingest_pool": 1,
        "shard_prompts": 1,
        "annotate_questions": 1,
        "select_subset": 1,
        "subsets": 1,
    }
    assert [job.wildcards["subset"] for job in edited if job.rule == "select_subset"] == [
        "tiny-near"
    ]
