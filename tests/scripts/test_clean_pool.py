"""A pool is cleaned by its commands, and no file holds a benchmark's text afterwards."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from nt_pkg.config.load import read_study
from nt_pkg.files.json_files import read_json
from nt_pkg.files.parquet import read_parquet
from nt_pkg.files.schemas import DROPPED, PROMPTS
from nt_pkg.plan.study_plan import Plan
from nt_pkg.plan.validate import load_study
from scripts import fetch_asset, ingest_pool
from tests.workflow.sandbox import ROOT, plan
from tests.workflow.sandbox import STUDY as TESTS

LONG = "Find the zirconium sum of all positive integers below forty-two that are odd"
SHORT = "Compute zirconium squared."
STUDY = """
study: clean
pools:
  clean:
    kind: limo
    source: {path: pool.jsonl}
    decontaminate: {against: [micro_free, exam]}
benchmarks:
  exam: {kind: math500, source: {path: exam.jsonl}}
teachers: {recorded: {engine: replay}}
subsets:
  clean-2: {pool: clean, teacher: recorded, selector: random, size: 2}
runs:
  - students: [micro-llama]
    subsets: [clean-2]
    formats: [system2]
    seeds: [0]
    benchmarks: [micro_free]
    modes: [think]
report: {title: Clean, annotators: [], comparisons: []}
"""


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a study and a pool: three rows hold text of a problem."""
    monkeypatch.chdir(tmp_path)
    problems = [
        {"problem": text, "answer": "1", "subject": "Algebra", "unique_id": f"test/{number}.json"}
        for number, text in enumerate((LONG, SHORT))
    ]
    (tmp_path / "exam.jsonl").write_text("".join(json.dumps(row) + "\n" for row in problems))
    questions = ["What is one?", f"Quick: {LONG.lower()} ?", "What is two?", f" {SHORT}\n", LONG]
    rows = [{"question": q, "solution": "So.\n\n\\boxed{1}", "answer": "1"} for q in questions]
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = tmp_path / "study.yaml"
    found.write_text(STUDY)
    return found


def test_study_is_planned_with_the_files_of_the_benchmark(study: Path) -> None:
    target = "results/prompts/clean/all.parquet"

    options = ["-s", str(ROOT / "Snakefile"), target, "--configfile", str(TESTS), str(study)]
    jobs = plan(study.parent, options)

    assert {output for job in jobs if job.rule == "fetch_asset" for output in job.outputs} == {
        "assets/pools/clean/manifest.json",
        "assets/benchmarks/exam/manifest.json",
    }


def test_no_text_of_a_benchmark_is_written(study: Path) -> None:
    study_plan = Plan(load_study(read_study([TESTS, study])))
    for kind, name in (("pools", "clean"), ("benchmarks", "exam")):
        source = study_plan.source(kind, name)
        assert source is not None
        fetch_asset.main(
            ["--spec", study_plan.asset_spec(kind, name), "--source", source.model_dump_json(),
             "--out", f"assets/{kind}/{name}/manifest.json"]
        )  # fmt: skip
    out = study.parent / "out"

    ingest_pool.main(
        [
            "--spec", study_plan.pool_spec("clean"),
            "--names", '{"pool": "clean"}',
            "--source", "assets/pools/clean/manifest.json",
            "--benchmarks", "assets/benchmarks/exam/manifest.json",
            "--out", str(out / "all.parquet"),
            "--dropped", str(out / "dropped.parquet"),
            "--manifest", str(out / "pool.json"),
        ]
    )  # fmt: skip

    kept = read_parquet(out / "all.parquet", PROMPTS)
    assert {row["question"] for row in kept} == {"What is one?", "What is two?"}
    assert read_parquet(out / "dropped.parquet", DROPPED) == [
        {"source_row": row, "reason": "contaminated", "excerpt": "", "repeats": None}
        for row in (1, 3, 4)
    ]
    manifest = read_json(out / "pool.json")
    assert (manifest["read"], manifest["kept"], manifest["contaminated"]) == (5, 2, 3)
    account = manifest["decontamination"]
    assert account["ngram"] == 13
    assert account["benchmarks"]["exam"] == {
        "questions": 2, "short_questions": 1, "contaminated_rows": 3,
    }  # fmt: skip
    assert account["benchmarks"]["micro_free"]["contaminated_rows"] == 0
    assert [
        (each["source_row"], each["benchmark"], each["question"], each["shared_ngrams"])
        for each in account["matches"]
    ] == [
        (1, "exam", "test/0.json", 4),
        (3, "exam", "test/1.json", 0),
        (4, "exam", "test/0.json", 4),
    ]
    made = [path for path in out.iterdir() if not path.name.startswith(".")]
    for path in made:
        table = pq.read_table(path).to_pylist() if path.suffix == ".parquet" else path.read_text()
        assert "zirconium" not in str(table).lower()
    assert len(made) == 3
