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


def invent_score(run: dict[str, Any], size: int) -> dict[str, Any]:
    """Return one score of a run: better with size, four graders, all groups."""
    name = run["benchmark"]
    draw = rng("paper", *map(str, run.values()))
    accuracy = 0.25 + 0.03 * len(str(size)) + draw.gauss(0, 0.01)
    is_short = run["format"] == "system1" or run["mode"] == "no_think"
    tokens = (400 if is_short else 8000) + draw.gauss(0, 90)
    part = {"num": 40, "accuracy": accuracy, "standard_error": 0.02}
    other = {"accuracy": accuracy - 0.02, "standard_error": 0.01, "no_answer_rate": 0.05}
    groups = {f"{name} group {n}": part for n in range(CATEGORIES[name])}
    counts = [int(9000 / (1 + abs(2**at - tokens) / tokens)) for at in range(15)]
    path = "/".join(str(run[key]) for key in ("student", "subset", "format", "benchmark", "mode"))
    return {
        **{**run, "seed": 0, "num_questions": QUESTIONS[name], "repeats": 1},
        **{"accuracy": accuracy, "standard_error": 0.01, "by_category": groups},
        "by_level": {"difficulty": {each: part for each in ("easy", "middle", "hard")}},
        "macro": {"category": {"num_groups": 9, "accuracy": accuracy, "standard_error": 0.01}},
        "alternatives": {"official": other, "simple_evals": other},
        **{"mean_tokens": tokens, "median_tokens": tokens - 500},
        "token_histogram": {"edges": [0, *(2**at for at in range(15))], "counts": counts},
        **{"truncation_rate": 0.02, "no_answer_rate": 0.03, "failed": 0, "thinking_rate": 0.9},
        "sampling": {"temperature": 0.6, "top_p": 0.95, "max_tokens": 16384},
        **{"prompt_digest": "5f0c11d2aa9e01b7", "versions": {"torch": "2.13", "vllm": "0.21"}},
        "source": _source(f"results/evals/{path}.json"),
        "is_confidential": name == "gpqa_diamond",
    }


def invent_histograms(name: str, size: int) -> dict[str, Any]:
    """Return lengths, domains and strategies of a subset or a pool."""
    draw = rng("histograms", name)
    peak = draw.randint(2, 6)
    return {
        "num_tokens": {
            "edges": [1365 * at for at in range(14)],
            "counts": [size // (1 + abs(at - peak) ** 2) for at in range(13)],
        },
        "domain": {each: 1 + int(size * draw.random()) for each in DOMAINS},
        "strategies": {each: 1 + size // (n + 2) for n, each in enumerate(STRATEGIES)},
    }


def invent_report(plan: Plan, out: Path) -> None:
    """Write a report of the plan's runs; every claim is tested over 60 questions."""
    sizes = {name: entry.size for name, entry in plan.study.subsets.items()}
    scores = [invent_score(run, sizes.get(run["subset"], 0)) for run in plan.evals()]
    pools = [w["pool"] for w in plan.pools()]
    run = {"final_loss": 0.6, "world_size": 32, "zero_stage": 3, "dropped": {}, "num_tokens": 10**9}
    run |= {"num_steps": 9000, "wall_seconds": 80_000.0, "tokens_per_second": 90_000.0}
    curve = [[at, 0.6 + 1 / (1 + at / 90)] for at in range(0, 9000, 100)]

    def answers(score: Any) -> dict[str, float]:
        draw = rng("answers", score["source"]["path"])
        return {f"q{n}": min(1.0, score["accuracy"] + 0.1 * draw.random()) for n in range(60)}

    def lengths(score: Any) -> dict[str, float | None]:
        draw = rng("lengths", score["source"]["path"])
        return {f"q{n}": score["mean_tokens"] * (0.5 + draw.random()) for n in range(60)}

    sample = {"question": "Why? " * 60, "gold": "B", "reasoning": "So. " * 3000, "answer": "B"}
    build_report(
        study={
            "name": "paper",
            "chance": {n: b.chance for n, b in plan.study.benchmarks.items() if b.chance},
            **plan.study.report.model_dump(mode="json", exclude_defaults=True),
        },
        scores=scores,
        subsets=[
            {
                **w,
                **{"selector": plan.study.subsets[w["subset"]].selector, "params": {}, "seed": 0},
                **{"size": sizes[w["subset"]], "num_available": 1_000_000, "unusable": {}},
                "histograms": invent_histograms(w["subset"], sizes[w["subset"]]),
                "source": _source(f"results/subsets/{w['subset']}/seed0.json"),
            }
            for w in plan.subsets()
        ],
        pools=[
            {
                **{"pool": name, "num_rows_in": 1_145_824, "num_kept": 1_100_000, "dropped": {}},
                "histograms": invent_histograms(name, 1_100_000),
            }
            for name in pools
        ],
        traces=[
            {
                **{**w, "num_rows": 1_100_000, "failed": {"timeout": 40}, "mean_tokens": 4400.0},
                "incomplete": {"reasoning not closed": 90_000},
            }
            for w in plan.trace_sets()
        ],
        annotations=[],
        runs=[
            {
                **{**w, **run, "num_examples": sizes[w["subset"]], "loss_curve": curve},
                "source": _source(f"results/sft/{w['student']}/{w['subset']}/run.json"),
            }
            for w in plan.sft()
        ],
        samples=[
            {**sample, **run, "is_correct": n % 2 == 0}
            for run in plan.evals()
            if run["benchmark"] != "gpqa_diamond"
            for n in range(4)
        ],
        timings={"seconds_per_stage": {"traces": 9e6, "sft": 5e6, "evals": 2e6}},
        out_dir=out,
        answers=answers,
        lengths=lengths,
    )


def _source(path: str) -> dict[str, str]:
    return {"path": path, "spec_digest": "0f" * 8, "command": f"snakemake {path}"}


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_report_of_the_papers_size(tmp_path: Path) -> None:
    """205 scores of 45 runs: a page of a few megabytes, a verdict with a test for every claim."""
    plan = make_plan()
    invent_report(plan, tmp_path)
    page = (tmp_path / "index.html").read_text()
    summary = read_json(tmp_path / "summary.json")
    tokens = {each["name"]: each for each in summary["effects"] if each["tokens"]}

    assert len(page) < 3_000_000
    assert all(path.stat().st_size < 400_000 for path in (tmp_path / "figures").glob("*.svg"))
    assert [claim["name"] for claim in summary["claims"]] == [f"C{n}" for n in range(1, 10)]
    assert "not enough data" not in {claim["verdict"] for claim in summary["claims"]}
    assert all(each["p_value"] is not None for each in summary["effects"])
    assert tokens["difficulty-mix-fewer-tokens"]["paper"] == pytest.approx(7562.4 / 8740.6)
    assert tokens["difficulty-mix-switches"]["verdict"] == "supported"
    # Formats were compared on one benchmark; what others were asked alone is no part of that.
    assert "How long the answers to gpqa_diamond are" in page
    assert page.count('<details class="sample">') == 3 * MAX_SAMPLES
