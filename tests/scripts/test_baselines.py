"""Baselines go through the workflow: from files of their hub shape to a subset."""

import json
from pathlib import Path
from typing import Any

import pytest

from nt_pkg.config.load import read_study
from nt_pkg.files.json_files import read_json
from nt_pkg.files.parquet import read_parquet
from nt_pkg.files.schemas import SUBSET, TRACES
from nt_pkg.plan.study_plan import Plan
from nt_pkg.plan.validate import load_study
from scripts import (
    fetch_asset,
    generate_traces,
    ingest_pool,
    select_subset,
    shard_prompts,
    summarise_traces,
)
from tests.scripts.test_bad_input import STUDY, dry_run

QUESTIONS = [f"What is {number} + 1?" for number in range(4)]
OVERLAY = """
pools: {pools}
teachers: {{recorded: {{engine: replay}}}}
subsets: {subsets}
runs:
  - students: [micro-llama]
    subsets: {names}
    formats: [system2]
    seeds: [0]
    benchmarks: [micro_free]
    modes: [think]
report: {{title: Baselines, annotators: [], comparisons: []}}
"""


def files() -> dict[str, list[dict[str, Any]]]:
    """Return rows of every kind: four questions, the last without a complete trace."""
    thoughts = [("Hm.", "Two."), ("So.", "Three."), ("Yes.", "Four."), ("Oh.", "")]
    told = list(zip(QUESTIONS, thoughts, strict=True))
    return {
        "limo": [
            {"question": q, "solution": f"{r}\n\n\\boxed{{{a}}}" if a else r, "answer": "1"}
            for q, (r, a) in told
        ],
        "s1k": [
            {"question": q, "solution": "1", "deepseek_thinking_trajectory": r,
             "deepseek_attempt": a}
            for q, (r, a) in told
        ],
        "openthoughts": [
            {"conversations": [{"from": "user", "value": q}, {"from": "assistant", "value":
             f"<|begin_of_thought|>{r}<|end_of_thought|><|begin_of_solution|>{a}"
             f"{'<|end_of_solution|>' if a else ''}"}]}
            for q, (r, a) in told
        ],
        "openthoughts3": [
            {"conversations": [{"from": "human", "value": q},
                               {"from": "gpt", "value": f"<think> {r} </think> {a}{again}"}]}
            for q, (r, a) in told for again in ("", a and " Again.")
        ],
    }  # fmt: skip


@pytest.fixture
def overlay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the files and a study that trains on a subset of each kind."""
    monkeypatch.chdir(tmp_path)
    pools, subsets = {}, {}
    for kind, rows in files().items():
        (tmp_path / "files" / kind).mkdir(parents=True)
        path = tmp_path / "files" / kind / "train.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        pools[kind] = {"kind": kind, "source": {"path": str(path)}}
        subsets[f"{kind}-3"] = {
            **{"pool": kind, "teacher": "recorded", "selector": "random", "size": 3},
        }
    pools["openthoughts3-all"] = {**pools["openthoughts3"], "params": {"answer": "all"}}
    subsets["openthoughts3-all-3"] = {**subsets["openthoughts3-3"], "pool": "openthoughts3-all"}
    found = tmp_path / "study.yaml"
    texts = map(json.dumps, (pools, subsets, list(subsets)))
    found.write_text(OVERLAY.format(**dict(zip(("pools", "subsets", "names"), texts, strict=True))))
    return found


def test_study_is_planned(overlay: Path) -> None:
    done = dry_run(overlay.parent, overlay.read_text())

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", files())
def test_rows_become_a_subset_of_complete_traces(overlay: Path, kind: str) -> None:
    at = made(overlay, kind)

    traces = read_parquet(at / "traces.parquet", TRACES)
    complete = {row["id"] for row in traces if row["status"] == "ok"}
    assert {row["id"] for row in read_parquet(at / "subset.parquet", SUBSET)} == complete
    assert sorted(row["answer"].strip("\\boxed{}") for row in traces if row["id"] in complete) == [
        "Four.", "Three.", "Two.",
    ]  # fmt: skip
    statistics = read_json(at / "statistics.json")
    assert statistics["status"] == {"incomplete": 1, "ok": 3}
    assert len(statistics["incomplete"]) == 1


def test_every_answer_to_a_question_has_a_trace_of_its_own(overlay: Path) -> None:
    at = made(overlay, "openthoughts3-all")

    answers = {row["id"]: row["answer"] for row in read_parquet(at / "traces.parquet", TRACES)}
    assert sorted(answers.values()) == [
        "", "", "Four.", "Four. Again.", "Three.", "Three. Again.", "Two.", "Two. Again.",
    ]  # fmt: skip
    assert read_json(at / "statistics.json")["status"] == {"incomplete": 2, "ok": 6}
    picked = [answers[row["id"]] for row in read_parquet(at / "subset.parquet", SUBSET)]
    assert len(set(picked)) == 3
    assert all(picked)


def made(overlay: Path, kind: str) -> Path:
    """Run a pool's jobs up to its subset; return the folder of their files."""
    plan = Plan(load_study(read_study([STUDY, overlay])))
    source = plan.study.pools[kind].source
    assert source is not None

    def at(name: str) -> str:
        return str(overlay.parent / kind / name)

    for script, arguments in (
        (fetch_asset, ["--spec", plan.asset_spec("pools", kind), "--source",
                       source.model_dump_json(), "--out", at("asset/manifest.json")]),
        (ingest_pool, ["--spec", plan.pool_spec(kind), "--names", json.dumps({"pool": kind}),
                       "--source", at("asset/manifest.json"), "--out", at("all.parquet"),
                       "--dropped", at("dropped.parquet"), "--manifest", at("pool.json")]),
        (shard_prompts, ["--prompts", at("all.parquet"), "--shard", "0", "--num-shards", "1",
                         "--out", at("shard.parquet")]),
        (generate_traces, ["--spec", plan.trace_spec("recorded"), "--names",
                           json.dumps({"pool": kind, "teacher": "recorded"}), "--prompts",
                           at("shard.parquet"), "--out", at("traces.parquet")]),
        (summarise_traces, ["--spec", plan.statistics_spec(), "--names", "{}", "--traces",
                            at("traces.parquet"), "--out", at("statistics.json")]),
        (select_subset, ["--spec", plan.subset_spec(f"{kind}-3"), "--names", "{}", "--seed", "0",
                         "--traces", at("traces.parquet"), "--out", at("subset.parquet"),
                         "--manifest", at("subset.json")]),
    ):  # fmt: skip
        assert script.main(arguments) == 0

    return overlay.parent / kind
