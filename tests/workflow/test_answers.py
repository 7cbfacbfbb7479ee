"""docs/answers.md, followed word for word: answers from elsewhere, from questions to a report."""

import re
import shlex
from pathlib import Path

import pytest

from nt_pkg.files.json_files import read_json
from tests.workflow.sandbox import ROOT, command, copy_repository, plan, run

PAGE = (ROOT / "docs" / "answers.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.M | re.S)
SCORE = "results/evals/{}/imported/none/seed0/micro_free/no_think.json"


def _follow(folder: Path) -> list[str]:
    """Do what the page says and return what its commands printed."""
    said = []
    for language, text in BLOCKS:
        if language == "yaml":
            (folder / "theirs.yaml").write_text(text)
        elif language == "python":
            (folder / "model.py").write_text(text)
            said.append(run(folder, command("model")))
        else:
            for line in text.splitlines():
                words = shlex.split(line, comments=True)
                assert words[:2] == ["python", "-m"]
                said.append(run(folder, command(*words[2:])))
    return said


@pytest.mark.timeout(600)
def test_the_page_leads_to_a_report(tmp_path: Path) -> None:
    copy_repository(tmp_path)

    asked, _, checked, ran = _follow(tmp_path)

    assert asked == "200 questions in questions.jsonl\n"
    assert checked == (
        "answers of parrot to micro_free: can be imported (rows: 200)\n"
        "answers of monday to micro_free: can be imported (rows: 200, tokens not known: 200)\n"
    )
    assert "Student parrot" in ran and "results/report/theirs/index.html" in ran
    parrot, monday = (read_json(tmp_path / SCORE.format(name)) for name in ("parrot", "monday"))
    assert (parrot["mean_tokens"], monday["mean_tokens"]) == (1.0, None)
    assert 0 < monday["accuracy"] < 0.3
    summary = read_json(tmp_path / "results/report/theirs/summary.json")
    assert summary["headline"][0].startswith(
        "Answers of monday and parrot from elsewhere, scored on micro_free (200 questions)"
    )
    [effect] = summary["effects"]
    assert effect["difference"] == pytest.approx(parrot["accuracy"] - monday["accuracy"])
    assert effect["p_value"] is not None and effect["basis"] == "models"
    assert not (tmp_path / "results/sft").exists()

    # The file is an input: with another answer, what hangs on it runs again, and no more.
    arguments = ["--profile", "profiles/local", "all", "--configfile", "theirs.yaml"]
    text = (tmp_path / "parrot.jsonl").read_text()
    (tmp_path / "parrot.jsonl").write_text(text.replace('"text": "', '"text": "so ', 1))
    jobs = plan(tmp_path, arguments)
    assert {job.rule for job in jobs if job.outputs} == {"import_answers", "grade", "build_report"}
    assert {job.wildcards.get("student") for job in jobs if job.rule == "grade"} == {"parrot"}
