"""docs/own_study.md, followed word for word in a copy of the repository."""

import json
import re
from pathlib import Path

import datasets
import pytest

from tests.workflow.sandbox import ROOT, command, copy_repository, run

PAGE = (ROOT / "docs" / "own_study.md").read_text()
FILES = dict(re.findall(r"`([\w.]+)`[^`]*:\n\n```(?:json|yaml)\n(.*?)```", PAGE, re.DOTALL))
FILES |= dict(re.findall(r"`([\w.]+)`,[^`\n]*[:.]\n\n```(?:json|yaml)\n(.*?)```", PAGE, re.DOTALL))
COMMANDS = re.findall(r"^python -m (.*)$", PAGE, re.MULTILINE)


@pytest.mark.slow
def test_page_leads_from_ten_lines_to_a_report(tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    copy_repository(folder)
    assert sorted(FILES) == ["own.yaml", "test.jsonl", "traces.jsonl"]
    assert len(FILES["traces.jsonl"].splitlines()) == 10
    for name, text in FILES.items():
        (folder / name).write_text(text)

    assert len(COMMANDS) == 3
    for each in COMMANDS:
        run(folder, command(*each.split()))

    summary = json.loads((folder / "results/report/own/summary.json").read_text())
    assert "low_vs_random" in json.dumps(summary)
    rows = datasets.load_dataset(str(folder / "low-4"), cache_dir=str(tmp_path / "cache"))["train"]
    lines = [json.loads(line) for line in FILES["traces.jsonl"].splitlines()]
    lowest = sorted(line["score"] for line in lines)[:4]
    assert sorted(rows["score"]) == lowest
    assert [lines[n]["prompt"] for n in rows["source_row"]] == [
        messages[0]["content"] for messages in rows["messages"]
    ]
