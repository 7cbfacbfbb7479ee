"""Runs compared on the same questions."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from nt_pkg.files.json_files import read_json, write_json
from nt_pkg.files.parquet import write_parquet
from nt_pkg.files.schemas import GRADES, SAMPLES
from nt_pkg.statistics.compare_runs import (
    Answered,
    compare_runs,
    read_first_answers,
    read_lengths,
    read_means,
)
from scripts.compare_scores import main


def answered(name: str, values: Any, benchmark: str = "b") -> Answered:
    """Return a run with these shares right, question by question."""
    return Answered(name, benchmark, {f"q{n:04}": float(v) for n, v in enumerate(values)})


def test_pairing_finds_what_two_errors_would_hide() -> None:
    """Questions differ far more than runs: the paired test is scipy's, and far sharper."""
    draw = np.random.default_rng(0)
    level = draw.random(400)
    a = answered("a", draw.binomial(16, np.clip(level + 0.03, 0, 1)) / 16)
    b = answered("b", draw.binomial(16, level) / 16)
    (found,) = compare_runs([a, b])
    left, right = list(a.means.values()), list(b.means.values())
    expected = stats.ttest_rel(left, right)

    assert found.p_value_raw == pytest.approx(expected.pvalue)
    assert found.interval == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert found.p_value_raw < 0.01 < stats.ttest_ind(left, right).pvalue
    assert found.p_value == found.p_value_raw and found.joint_interval == found.interval


def test_many_pairs_are_corrected() -> None:
    """Three runs are three pairs: Holm multiplies the smallest by three, intervals widen."""
    draw = np.random.default_rng(1)
    runs = [answered(name, draw.random(100)) for name in "abc"]
    found = compare_runs([*runs, answered("a", draw.random(50), "other")])
    smallest = min(found, key=lambda each: each.p_value_raw)

    assert [(each.a, each.b) for each in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert smallest.p_value == pytest.approx(min(1, 3 * smallest.p_value_raw))
    assert all(e.joint_interval[0] < e.interval[0] < e.interval[1] for e in found)
    assert len(compare_runs(runs, only_with_first=True)) == 2
    for each in found:
        span = stats.t.interval(1 - 0.05 / 3, 99, loc=each.difference, scale=each.standard_error)
        assert each.joint_interval == pytest.approx(span), "Bonferroni, 99 degrees of freedom"


def test_other_questions_are_refused() -> None:
    """A difference of means over other questions is no paired difference."""
    with pytest.raises(ValueError, match="1 are on one side only, such as q0039"):
        compare_runs([answered("a", [1] * 40), answered("b", [1] * 39)])
    with pytest.raises(ValueError, match="30 are needed"):
        compare_runs([answered("a", [1] * 9), answered("b", [0] * 9)])
    with pytest.raises(ValueError, match="nothing to compare"):
        compare_runs([answered("a", [1] * 40), answered("b", [1] * 40, "other")])


def test_lengths_of_questions_leave_out_failed_answers(tmp_path: Path) -> None:
    """The mean over a question's answers; one that failed has no length, whatever was counted."""
    row = {"text": "t", "finish_reason": "stop", "error": None}
    counted = [("q", "ok", 10), ("q", "ok", 30), ("q", "failed", 0), ("gone", "failed", 0)]
    rows = [
        {**row, "question_id": q, "repeat": n, "status": status, "completion_tokens": tokens}
        for n, (q, status, tokens) in enumerate(counted)
    ]
    names = ["think.samples.0-of-2.parquet", "think.samples.1-of-2.parquet"]
    write_json(tmp_path / "think.json", {"samples": names})
    for name, some in zip(names, (rows[:1], rows[1:]), strict=True):
        write_parquet(tmp_path / name, SAMPLES, some)

    assert read_lengths(tmp_path / "think.json") == {"q": 20.0, "gone": None}


def test_command_reads_grades_beside_scores(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two runs of 40 questions with two answers each; one is right where the other never is."""
    for name, is_correct in (("x", True), ("y", False)):
        names = {"student": name, "subset": "none", "format": "none", "seed": 0}
        write_json(tmp_path / f"{name}.json", {**names, "mode": "think", "benchmark": "b"})
        row = {"answer": "A", "extracted": "A", "is_correct": is_correct}
        rows = [{**row, "question_id": f"{n}", "repeat": r} for n in range(40) for r in (0, 1)]
        rows[7]["answer"] = "the second"
        rows[0]["is_correct"] = not is_correct
        write_parquet(tmp_path / f"{name}.grades.parquet", GRADES, rows)
        assert read_means(tmp_path / f"{name}.json")["0"] == 0.5
        said = read_first_answers(tmp_path / f"{name}.json", {"3", "of another benchmark"})
        assert said == {"3": "A"}
    scores = [str(tmp_path / f"{name}.json") for name in "xy"]
    assert main([*scores, "--out", str(tmp_path / "out.json")]) == 0

    assert (
        "| b | x/none/none/0/think | y/none/none/0/think | 40 | +97.5 |" in capsys.readouterr().out
    )
    assert read_json(tmp_path / "out.json")[0]["difference"] == pytest.approx(39 / 40)
