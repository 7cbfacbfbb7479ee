"""The reproduction page: empty without a report, filled from that of the paper's study only."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from nt_pkg.config.load import read_study
from nt_pkg.plan.study_plan import Plan
from nt_pkg.plan.validate import load_study
from nt_pkg.report.build import build_report
from nt_pkg.report.records import Inputs, Study
from nt_pkg.report.reproduction import read_report, reproduction_page
from scripts import reproduction
from tests.unit.report_study import make_bare, score
from tests.workflow.sandbox import PAPER

ROOT = reproduction.ROOT


@pytest.fixture(scope="module")
def plan() -> Plan:
    """Return the plan of the paper's study."""
    return Plan(load_study(read_study([PAPER])))


def write_report(plan: Plan, name: str, folder: Path) -> None:
    """Write the report of a study with two runs on two benchmarks."""
    more: Any = {"student": "llama-3.1-8b", "standard_error": 0.0123}
    scores = [
        score(subset, "system2", 0, "think", benchmark, **more, accuracy=accuracy)
        for subset, benchmark, accuracy in (
            ("nt-random-1k", "math500", 0.6),
            ("nt-random-1k", "gpqa_diamond", 0.38),
            ("nt-random-10k", "gpqa_diamond", 0.40),
        )
    ]
    build_report(Inputs(Study(name, plan.study.report), make_bare(scores)), folder)


def row_of(page: str, *wanted: str) -> str:
    """Return the one line of a page's tables with these cells."""
    found = [
        line for line in page.splitlines() if all(re.search(rf"\| {w} \|", line) for w in wanted)
    ]
    assert len(found) == 1, (wanted, found)
    return found[0]


def test_the_page_has_every_published_number(plan: Plan) -> None:
    page = reproduction_page(plan, None, reproduction.PAPER)
    numbers = sum(len(r.accuracy) + len(r.tokens) for r in plan.study.report.published)

    assert ROOT / reproduction.PAPER == PAPER
    assert "No number of the paper has been reproduced yet" in page
    assert f"{numbers} published numbers" in page
    assert len(re.findall(r"^\| .* `[\w.-]+( / [\w.-]+){3}` \|$", page, re.M)) == numbers
    assert "| 57.8 | B | not run yet |  |  | `llama-3.1-8b / nt-random-1k / " in row_of(
        page, "NT Random, 1k", "math500"
    )
    assert "+2.7 | not run yet" in row_of(page, "1k random traces beat LIMO .*")


def test_a_report_of_the_papers_study_fills_it(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(plan, "paper", tmp_path / "report")
    monkeypatch.setattr(reproduction, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(reproduction, "OURS", tmp_path / "page.json")

    assert reproduction.main([str(tmp_path / "report")]) == 0
    page = (tmp_path / "page.md").read_text()
    assert re.search(r"5 of \d+ published numbers have ours next to them", page)
    assert "| 57.8 | B | 60.0 | 1.2 | +2.2 |" in row_of(page, "NT Random, 1k", "math500")
    # The same run is in two of the paper's tables, in one of them with its tokens.
    assert "| 40.0 | 1.2 | +2.4 |" in row_of(page, "System-2 only, Think", "gpqa_diamond")
    assert "not run yet" in row_of(page, "NT Random, 1k", "supergpqa")
    # Its comparisons need all four benchmarks.
    assert "not enough data" in row_of(page, "10k random traces beat 1k .*")
    assert page == reproduction.page(), "the numbers are read again from what was kept"


def test_the_report_of_another_study_is_refused(plan: Plan, tmp_path: Path) -> None:
    write_report(plan, "small", tmp_path)

    with pytest.raises(ValueError, match="the report of study 'small': only that of 'paper'"):
        read_report(tmp_path)

    summary = json.loads((tmp_path / "summary.json").read_text())
    (tmp_path / "summary.json").write_text(json.dumps({**summary, "study": "paper"}))
    for table in (tmp_path / "tables").glob("paper-*.csv"):
        table.unlink()
    with pytest.raises(ValueError, match="none of our numbers next to published ones"):
        read_report(tmp_path)
