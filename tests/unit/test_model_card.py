"""The card of a trained student."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from nt_pkg.config.load import read_study
from nt_pkg.export.student import render_student
from nt_pkg.files.json_files import write_json
from nt_pkg.plan.study_plan import Plan
from nt_pkg.plan.validate import load_study

STUDY = Path(__file__).parents[1] / "study.yaml"
NAMES = {"student": "micro-llama", "subset": "long-300", "format": "system2", "seed": 1}


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Return the tests' study, with one trained student and scores of two seeds."""
    monkeypatch.chdir(tmp_path)
    run: dict[str, Any] = {"num_examples": 300, "num_tokens": 9000, "num_steps": 40}
    folder = Path("results/sft/micro-llama/long-300/system2/seed1")
    write_json(folder / "run.json", {**run, "final_loss": 0.5, "spec": {}})
    write_json(folder / "hf.json", {"files": {"model.safetensors": "abc123"}})
    for seed, accuracy in ((1, 0.6), (2, 0.4)):
        path = Path(f"results/evals/micro-llama/long-300/system2/seed{seed}/micro_free/think.json")
        score = {"accuracy": accuracy, "standard_error": 0.05, "mean_tokens": 30.0}
        examples = [{"question": "secret text"}]
        write_json(path, {**score, "num_questions": 200, "examples": examples})
    return Plan(load_study(read_study([STUDY])))


def test_card_has_training_scores_with_errors_and_comparisons(plan: Plan) -> None:
    compared = next(
        each.name for each in plan.study.report.comparisons if each.a.get("subset") == "long-300"
    )
    effect = {"name": compared, "contrast": "long-300 - random-300", "benchmark": "mean of 2"}
    effect |= {"difference": 0.031, "interval": [0.01, 0.052], "num_seeds": 5}
    other = {**effect, "name": "another", "contrast": "of others"}
    summary = {"effects": [{**effect, "verdict": "supported"}, {**other, "verdict": "x"}]}
    write_json(Path("results/report/demo/summary.json"), summary)
    text = render_student(plan, NAMES, [STUDY], "c0ffee")

    front = yaml.safe_load(text.split("---")[1])
    assert front["library_name"] == "transformers" and "license" in front
    assert "| its parameters | scale_tokens 60.0 |" in text and "Long: keep a trace" in text
    assert "| examples | 300 |" in text and "| last loss | 0.5000 |" in text
    # Two seeds of 60 and 40 %: mean 50, error sqrt(200) / sqrt(2) = 10 points.
    assert "| micro_free | think | 60.0 ± 5.0 | 50.0 ± 10.0 | 2 | 200 | 30 |" in text
    assert "8 scores of the study are not there yet" in text
    line = "| long-300 - random-300 | mean of 2 | +3.1 | +1.0 to +5.2 | 5 | supported |"
    assert line in text and "of others" not in text
    assert "| model.safetensors | abc123 |" in text
    assert "git checkout c0ffee" in text and "secret" not in text


def test_card_without_a_report_and_without_a_training(plan: Plan) -> None:
    assert "no report yet" in render_student(plan, NAMES, [STUDY], "c")
    with pytest.raises(ValueError, match=r"run\.json is not there: run the study first"):
        render_student(plan, {**NAMES, "seed": 2}, [STUDY], "c")
    with pytest.raises(ValueError, match=r"trains no such student; it trains .*long-300, system2"):
        render_student(plan, {**NAMES, "subset": "other"}, [STUDY], "c")
