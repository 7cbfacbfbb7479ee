"""Grading goes on where it was killed: hostile answers may take a grader hours."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from nt_pkg.benchmarks._base import Grade, Item
from nt_pkg.benchmarks.micro_free import BENCHMARK, Params
from nt_pkg.files.json_files import read_json, write_json
from nt_pkg.files.parquet import read_parquet, write_parquet
from nt_pkg.files.schemas import GRADES, SAMPLES
from nt_pkg.plugins import registry
from scripts import grade

NUM = 200


class Killed(BaseException):
    """The end of a start."""


def test_no_answer_is_graded_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    items = BENCHMARK.load(Params(num_questions=NUM), None)
    rows = [
        {
            "question_id": item.id,
            "repeat": 0,
            "text": f" hm </think> {item.gold if number % 2 else 'no'}",
            "completion_tokens": 3,
            "finish_reason": "stop",
            "status": "ok",
            "error": None,
        }
        for number, item in enumerate(items)
    ]
    rows.sort(key=lambda row: str(row["question_id"]))
    write_parquet(Path("samples.parquet"), SAMPLES, rows)
    write_json(Path("samples.json"), {"mode": "think", "repeats": 1})
    graded: list[str] = []
    killed_at = [100]

    def counted(answers: Sequence[tuple[Item, str]]) -> list[Grade]:
        if len(graded) + len(answers) > killed_at[0]:
            raise Killed
        graded.extend(item.id for item, _ in answers)
        return BENCHMARK.grade(answers)

    benchmark = dataclasses.replace(BENCHMARK, grade=counted)
    monkeypatch.setattr(registry, "plugin", lambda *_: benchmark)
    spec = json.dumps({"kind": "micro_free", "params": {"num_questions": NUM}})
    arguments = ["--spec", spec, "--names", '{"seed": "0"}', "--samples", "samples.parquet"]
    arguments += ["--samples-manifests", "samples.json", "--source"]
    arguments += ["--out", "score.json", "--grades", "grades.parquet"]

    with pytest.raises(Killed):
        grade.main(arguments)
    assert graded and not Path("score.json").exists()
    killed_at[0] = NUM
    assert grade.main(arguments) == 0

    assert sorted(graded) == sorted(item.id for item in items)
    assert read_json(Path("score.json"))["accuracy"] == 0.5
    assert sum(row["is_correct"] for row in read_parquet(Path("grades.parquet"), GRADES)) == NUM / 2
