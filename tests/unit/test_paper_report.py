"""The report of a study of the paper's size: its runs from the configuration, invented scores."""

from pathlib import Path
from typing import Any

import pytest

from nt_pkg.config.load import read_study
from nt_pkg.files.json_files import read_json
from nt_pkg.identity.seeds import rng
from nt_pkg.plan.study_plan import Plan
from nt_pkg.plan.validate import load_study
from nt_pkg.report.build import build_report
from nt_pkg.report.records import (
    Histogram,
    Histograms,
    Inputs,
    Pool,
    Reading,
    Run,
    Sample,
    Score,
    Source,
    Study,
    Subset,
    Timings,
    TraceSet,
)
from nt_pkg.report.samples import MAX_SAMPLES
from tests.workflow.sandbox import PAPER

ROOT = Path(__file__).parents[2]
QUESTIONS = {"gpqa_diamond": 198, "mmlu_pro": 12_032, "supergpqa": 26_529, "math500": 500}
CATEGORIES = {"gpqa_diamond": 3, "mmlu_pro": 14, "supergpqa": 13, "math500": 7}
STRATEGIES = [f"a strategy of {n} words" for n in range(43)]
DOMAINS = [f"Domain number {n}" for n in range(13)]


def make_plan() -> Plan:
    """Return the plan of `make paper-dry-run`."""
    return Plan(load_study(read_study([PAPER])))


def invent_score(run: dict[str, Any], size: int) -> Score:
    """Return one score of a run: better with size, four graders, all groups."""
    name = run["benchmark"]
    draw = rng("paper", *map(str, run.values()))
    accuracy = 0.25 + 0.03 * len(str(size)) + draw.gauss(0, 0.01)
    is_short = run["format"] == "system1" or run["mode"] == "no_think"
    tokens = (400 if is_short else 8000) + draw.gauss(0, 90)
    part = Reading(accuracy, 0.02, num=40)
    other = Reading(accuracy - 0.02, 0.01, no_answer_rate=0.05)
    counts = [int(9000 / (1 + abs(2**at - tokens) / tokens)) for at in range(15)]
    path = "/".join(str(run[key]) for key in ("student", "subset", "format", "benchmark", "mode"))
    return Score(
        **{**run, "seed": 0},
        num_questions=QUESTIONS[name],
        repeats=1,
        accuracy=accuracy,
        standard_error=0.01,
        by_category={f"{name} group {n}": part for n in range(CATEGORIES[name])},
        by_level={"difficulty": {each: part for each in ("easy", "middle", "hard")}},
        macro={"category": Reading(accuracy, 0.01, num_groups=9)},
        alternatives={"official": other, "simple_evals": other},
        mean_tokens=tokens,
        median_tokens=tokens - 500,
        token_histogram=Histogram([0, *(2**at for at in range(15))], counts),
        truncation_rate=0.02,
        no_answer_rate=0.03,
        failed=0,
        thinking_rate=0.9,
        sampling={"temperature": 0.6, "top_p": 0.95, "max_tokens": 16384},
        prompt_digest="5f0c11d2aa9e01b7",
        versions={"torch": "2.13", "vllm": "0.21"},
        source=_source(f"results/evals/{path}.json"),
    )


def invent_histograms(name: str, size: int) -> Histograms:
    """Return lengths, domains and strategies of a subset or a pool."""
    draw = rng("histograms", name)
    peak = draw.randint(2, 6)
    return Histograms(
        num_tokens=Histogram(
            [1365 * at for at in range(14)],
            [size // (1 + abs(at - peak) ** 2) for at in range(13)],
        ),
        domain={each: 1 + int(size * draw.random()) for each in DOMAINS},
        strategies={each: 1 + size // (n + 2) for n, each in enumerate(STRATEGIES)},
    )


def invent_answers(score: Score) -> dict[str, float]:
    """Return the share right of 60 questions."""
    draw = rng("answers", str(score.source))
    return {f"q{n}": min(1.0, score.accuracy + 0.1 * draw.random()) for n in range(60)}


def invent_lengths(score: Score) -> dict[str, float | None]:
    """Return the tokens of 60 answers."""
    draw = rng("lengths", str(score.source))
    return {f"q{n}": (score.mean_tokens or 0) * (0.5 + draw.random()) for n in range(60)}


def invent_inputs(plan: Plan) -> Inputs:
    """Return the records of a study with the plan's runs."""
    sizes = {name: entry.size for name, entry in plan.study.subsets.items()}
    curve = [(at, 0.6 + 1 / (1 + at / 90)) for at in range(0, 9000, 100)]
    sample: Any = {"question": "Why? " * 60, "gold": "B", "reasoning": "So. " * 3000}
    chance = {name: each.chance for name, each in plan.study.benchmarks.items() if each.chance}
    return Inputs(
        study=Study("paper", plan.study.report, chance),
        scores=[invent_score(run, sizes.get(run["subset"], 0)) for run in plan.evals()],
        subsets=[
            Subset(
                **{**w, "seed": 0},
                selector=plan.study.subsets[w["subset"]].selector,
                size=sizes[w["subset"]],
                num_available=1_000_000,
                histograms=invent_histograms(w["subset"], sizes[w["subset"]]),
                source=_source(f"results/subsets/{w['subset']}/seed0.json"),
            )
            for w in plan.subsets()
        ],
        pools=[
            Pool(
                pool=w["pool"],
                num_rows_in=1_145_824,
                num_kept=1_100_000,
                histograms=invent_histograms(w["pool"], 1_100_000),
            )
            for w in plan.pools()
        ],
        traces=[
            TraceSet(
                **w,
                num_rows=1_100_000,
                failed={"timeout": 40},
                incomplete={"reasoning not closed": 90_000},
                mean_tokens=4400.0,
            )
            for w in plan.trace_sets()
        ],
        runs=[
            Run(
                **w,
                num_examples=sizes[w["subset"]],
                num_tokens=10**9,
                num_steps=9000,
                final_loss=0.6,
                loss_curve=curve,
                wall_seconds=80_000.0,
                tokens_per_second=90_000.0,
                world_size=32,
                zero_stage=3,
                source=_source(f"results/sft/{w['student']}/{w['subset']}/run.json"),
            )
            for w in plan.sft()
        ],
        samples=[
            Sample(**sample, **run, answer="B", is_correct=n % 2 == 0)
            for run in plan.evals()
            if run["benchmark"] != "gpqa_diamond"
            for n in range(4)
        ],
        timings=Timings({"traces": 9e6, "sft": 5e6, "evals": 2e6}),
    )


def _source(path: str) -> Source:
    return Source(path, "0f" * 8, f"snakemake {path}")


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_report_of_the_papers_size(tmp_path: Path) -> None:
    """205 scores of 45 runs: a page of a few megabytes, a verdict with a test for every claim."""
    plan = make_plan()
    build_report(invent_inputs(plan), tmp_path, invent_answers, invent_lengths)
    page = (tmp_path / "index.html").read_text()
    summary = read_json(tmp_path / "summary.json")
    tokens = {each["name"]: each for each in summary["effects"] if each["tokens"]}

    assert len(page) < 3_000_000
    assert all(path.stat().st_size < 400_000 for path in (tmp_path / "figures").glob("*.svg"))
    assert [claim["name"] for claim in summary["claims"]] == [f"C{n}" for n in range(1, 10)]
    assert "not enough data" not in {claim["verdict"] for claim in summary["claims"]}
    assert all(each["p_value"] is not None for each in summary["effects"])
    assert tokens["difficulty-mix-fewer-tokens"]["paper"] == pytest.approx(7562.4 / 8740.6)
    assert tokens["difficulty-mix-switches"]["verdict"] == "these two models differ"  # one training
    # Formats were compared on one benchmark; what others were asked alone is no part of that.
    assert "How long the answers to gpqa_diamond are" in page
    assert page.count('<details class="sample">') == 3 * MAX_SAMPLES
