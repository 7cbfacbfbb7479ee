"""Labels that ask a student, through their rules: they follow their student, and no other."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from nt_pkg.files.parquet import read_parquet
from nt_pkg.files.schemas import ANNOTATIONS, SUBSET
from tests.workflow.sandbox import TINY, command, copy_repository, plan, run

OVERLAY = """
pools:
  tiny: {params: {num_rows: 60}, num_shards: 2}
students:
  judge: {source: SOURCE}
annotators:
  mine:
    kind: surprisal
    student: tiny-llama
    params: {think_words: 40}
    runtime: {batch: 8, mem_mb: 2000, rows_per_job: 60}
  theirs: {kind: ifd, student: judge, params: {think_words: 40}, runtime: {batch: 8, mem_mb: 2000}}
  solves:
    kind: solve_rate
    student: judge
    params: {answers: 2, think_words: 40}
    sampling: {temperature: 0.7, max_tokens: 30}
    runtime: {batch: 60, mem_mb: 2000, rows_per_job: 60}
subsets:
  mine-4:
    pool: tiny
    teacher: micro-teacher
    selector: by_value
    size: 4
    params: {label: mine, field: trace, rule: lowest}
  theirs-4:
    pool: tiny
    teacher: micro-teacher
    selector: combine
    size: 4
    params: {quality: [{label: theirs}, {label: solves, prefer: lowest}]}
runs:
  - students: [tiny-llama]
    subsets: [mine-4, theirs-4]
    formats: [system2]
    seeds: [0]
    benchmarks: [tiny_free]
    modes: [think]
report: {annotators: []}
"""
PROFILE = ("--profile", "profiles/local")
OPTIONS = ["--configfile", str(TINY), "overlay.yaml", "--", "subsets"]


def other_weights(to: Path) -> None:
    """Copy the micro-world's student, with a little less of each weight."""
    from safetensors.numpy import load_file, save_file

    shutil.copytree(to.parent / "nt_pkg/microworld/base", to)
    weights = load_file(to / "model.safetensors")
    shrunk = {name: 0.9 * each for name, each in weights.items()}
    save_file(shrunk, to / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.slow
def test_another_student_reruns_its_labels_and_what_they_select(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy_repository(copy)
    other_weights(copy / "other")
    overlay = copy / "overlay.yaml"
    overlay.write_text(OVERLAY.replace("SOURCE", "{builtin: micro-base}"))
    snakemake = command("snakemake", *PROFILE)
    run(copy, [*snakemake, *OPTIONS])
    again = run(copy, [*snakemake, "-n", *OPTIONS])
    overlay.write_text(OVERLAY.replace("SOURCE", "{path: other}"))
    edited = plan(copy, [*PROFILE, *OPTIONS])

    assert "othing to be done" in again
    labels = sorted((copy / "results").glob("*/tiny/**/shard-*.parquet"))
    kinds = Counter(p.parent.name for p in labels if "labels" in p.parts[-4] or "anno" in str(p))
    assert {name: kinds[name] for name in ("mine", "theirs", "solves")} == {
        "mine": 1,
        "theirs": 2,
        "solves": 1,
    }
    [of_traces] = (copy / "results/annotations/tiny/micro-teacher/mine").glob("*.parquet")
    surprisal = {
        row["id"]: json.loads(row["value"])["trace"] for row in read_parquet(of_traces, ANNOTATIONS)
    }
    [chosen] = (copy / "results/subsets/tiny/micro-teacher/mine-4").glob("*.parquet")
    picked = read_parquet(chosen, SUBSET)
    assert [row["score"] for row in picked] == sorted(surprisal.values())[:4]
    assert Counter(job.rule for job in edited) == {
        "fetch_asset": 1,
        "annotate": 2,
        "annotate_questions": 1,
        "select_subset": 1,
        "subsets": 1,
    }
    assert {job.wildcards["annotator"] for job in edited if "annotator" in job.wildcards} == {
        "theirs",
        "solves",
    }
    assert [j.wildcards["subset"] for j in edited if j.rule == "select_subset"] == ["theirs-4"]
