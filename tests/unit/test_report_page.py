"""The page of an invented study: its form, its sections, its files."""

import csv
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from nt_pkg.report.build import build_report
from nt_pkg.report.cells import build_cells, find_unsolved
from nt_pkg.report.headline import say_headline, say_unanswered, say_what_was_run
from nt_pkg.report.parts.scores_table import tabulate_scores
from nt_pkg.report.records import Inputs
from nt_pkg.report.samples import choose_samples
from nt_pkg.report.sections import SECTIONS
from nt_pkg.report.tables import render_markdown
from tests.check_report import find_browser, open_in_browser
from tests.unit.report_study import (
    compare,
    make_bare,
    make_comparisons,
    make_inputs,
    make_material,
    make_sample,
    make_scores,
    make_study,
    score,
    side,
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a report with every section."""
    folder: Path = tmp_path_factory.mktemp("report")
    build_report(make_inputs(), folder)
    return folder


class Outline(HTMLParser):
    """Collects what the page's structure is judged by."""

    VOID = frozenset({"meta", "link", "br", "path", "use", "rect"})

    def __init__(self) -> None:
        """Start with nothing open."""
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember a tag and that it is open."""
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember a tag that closes itself."""
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost tag, which must be this one."""
        assert self.open.pop() == tag


def read_outline(folder: Path) -> tuple[str, Outline]:
    """Return a page's text and outline."""
    text = (folder / "index.html").read_text()
    outline = Outline()
    outline.feed(text)
    return text, outline


def test_page_is_well_formed_and_stands_alone(report: Path) -> None:
    """Tags are balanced, ids unique, links resolve, nothing is fetched, tables have captions."""
    text, outline = read_outline(report)
    ids = [attributes["id"] for _, attributes in outline.seen if "id" in attributes]
    links = [a["href"] or "" for tag, a in outline.seen if tag == "a" and "href" in a]

    assert outline.open == []
    assert len(ids) == len(set(ids))
    assert all(link[1:] in ids for link in links if link.startswith("#"))
    assert all((report / link).is_file() for link in links if not link.startswith("#"))
    assert not re.search(
        r"(src|href|xlink:href)=\"https?:|url\(http|@import|<script src|<link", text
    )
    assert text.count("<caption") == text.count("<table") > 8
    assert text.count("<svg") == text.count('role="img"') == text.count("<title id=") > 8
    assert all(a.get("scope") for tag, a in outline.seen if tag == "th")
    assert "<b>2</b>" not in text and "&lt;b&gt;2" in text


@pytest.mark.skipif(find_browser() is None, reason="needs Chromium")
def test_page_can_be_used_by_everybody(report: Path, tmp_path: Path) -> None:
    """In a browser: nothing in the console, keyboard, names, contrast; a bad page is found out."""
    for opened in (report / "index.html", *sorted((report / "pages").iterdir())):
        assert open_in_browser(opened) == [], opened

    page = (report / "index.html").read_text()
    for good, bad in (
        ("--muted:#6a665f", "--muted:#b0aca4"),
        ("const boxes", "missing(); const boxes"),
        ('scope="col"', ""),
        ("outline: 2px", "outline: 0px"),
        ("body {", "body { min-width: 500px;"),
    ):
        assert good in page
        page = page.replace(good, bad, 1)
    (tmp_path / "index.html").write_text(page)
    found = "\n".join(open_in_browser(tmp_path / "index.html"))

    for defect in (
        *("ReferenceError", "without a scope", "does not show that it has the focus"),
        *("has a contrast of 2", "500 px wide in a window of 390"),
    ):
        assert defect in found


def test_sections_and_files(report: Path) -> None:
    """Every section has a body, every figure three files, every table two."""
    text, _ = read_outline(report)
    figures = {path.name for path in (report / "figures").iterdir()}
    tables = {path.suffix for path in (report / "tables").iterdir()}

    shown = re.findall('<section id="([^"]+)"', text)
    assert shown == [section.id for section in SECTIONS if section.id != "changes"]
    assert len(figures) == 3 * text.count("<svg") and "scaling.svg" in figures
    assert tables == {".csv", ".md"}
    for path in sorted((report / "figures").glob("*.svg")):
        ElementTree.fromstring(path.read_text())
    with (report / "tables" / "effects.csv").open() as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert rows["more examples"]["verdict"] == "supported"
    assert rows["larger"]["verdict"] == "not enough data"
    assert "no score of micro-llama / x" in rows["larger"]["note"]


def test_headline_and_summary(report: Path) -> None:
    """The summary repeats the headline, the effects and the timings."""
    summary = json.loads((report / "summary.json").read_text())
    effects = {effect["name"]: effect for effect in summary["effects"]}

    assert summary["study"] == "micro"
    assert summary["seconds_per_stage"]["sft"] == 1580
    assert summary["rules"][2]["reads"] == ["annotate", "ingest_pool"]
    assert effects["more examples"]["interval"][0] > 0
    assert effects["larger"]["difference"] is None
    assert any("say nothing about the paper" in text for text in summary["headline"])
    assert any(
        text.startswith("Supported: More random examples help") for text in summary["headline"]
    )
    assert any("Nothing was measured" in text for text in summary["headline"])


def test_report_is_reproducible_and_leaves_out_what_it_lacks(tmp_path: Path) -> None:
    """Equal inputs give equal bytes; a report of scores alone has no empty section."""
    study = make_study(comparisons=make_comparisons()[:1])
    rows = make_bare(make_scores(3, ("micro_steps",)))
    for name in ("one", "two"):
        build_report(Inputs(study, rows), tmp_path / name)

    one, two = (
        {
            path.relative_to(folder): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        for folder in (tmp_path / "one", tmp_path / "two")
    )
    assert one == two
    text, outline = read_outline(tmp_path / "one")
    assert outline.open == []
    assert 'id="scores"' in text
    for absent in (
        "difficulty",
        "lengths",
        "selectors",
        "training",
        "samples",
        "costs",
        "paper",
        "strategies",
    ):
        assert f'id="{absent}"' not in text


def test_a_study_without_scores_still_has_a_page(tmp_path: Path) -> None:
    """An empty study says so."""
    build_report(Inputs(make_study()), tmp_path)

    assert "No run of this study has a score yet" in (tmp_path / "index.html").read_text()


def test_unsolved_benchmarks_are_said_plainly(tmp_path: Path) -> None:
    """Near zero accuracy is stated, and no effect makes it into the headline."""
    rows = [score("a", "system2", s, "think", "gsm8k", 0.001) for s in range(3)]
    rows += [score("b", "system2", s, "think", "gsm8k", 0.002) for s in range(3)]
    study = make_study(comparisons=[compare(side("a"), side("b"))])
    build_report(Inputs(study, make_bare(rows)), tmp_path)
    said = json.loads((tmp_path / "summary.json").read_text())["headline"]

    assert any("does not solve this benchmark" in text and "workflow runs" in text for text in said)
    assert len(said) == 2
    guesses = build_cells([score("a", "system2", s, "think", level=0.26) for s in range(3)], {})
    assert find_unsolved(guesses, {"micro_steps": 0.25})
    assert not find_unsolved(guesses, {"micro_steps": 0.10})


def test_unread_answers_are_said_plainly() -> None:
    """Whatever the source; half of them are not more than half."""
    rows = [
        score("a", "system2", 0, "think", no_answer_rate=0.51),
        score("imported", "none", 0, "no_think", student="theirs", no_answer_rate=1.0),
        score("b", "system2", 0, "think", no_answer_rate=0.5),
    ]

    assert say_unanswered(make_material(rows).cells).startswith(
        "More than half of the answers cannot be read (theirs, imported, on micro_steps in "
        "no_think: 100.0 %; micro-llama, a / system2, on micro_steps in think: 51.0 %). Such"
    )
    assert say_unanswered(make_material(rows[2:]).cells) == ""
    many = [score(f"{n}", "system2", 0, "think", no_answer_rate=0.9) for n in range(6)]
    assert "; and 2 more)" in say_unanswered(make_material(many).cells)
    [warning] = [w for w in say_headline(make_material(rows)).warnings if "cannot be read" in w]
    assert "theirs" in warning


def test_what_was_run_names_answers_from_elsewhere() -> None:
    trained, theirs = score("a", "system2", 0, "think"), score("imported", "none", 0, "think")
    theirs = replace(theirs, student="theirs", mean_tokens=None, median_tokens=None)

    assert say_what_was_run([trained, theirs], [], []).startswith(
        "1 training run of micro-llama (1 subset, 1 format, 1 seed) and answers of theirs from "
        "elsewhere, scored on micro_steps"
    )
    assert say_what_was_run([theirs], [], []).startswith("Answers of theirs from elsewhere, scored")
    untrained = score("none", "none", 0, "think")
    assert say_what_was_run([untrained], [], []).startswith("The untrained micro-llama, scored on")
    [table] = tabulate_scores(make_material([trained, replace(theirs, accuracy=0.625)]))
    line = "| imported | theirs | \u2013 | \u2013 | 62.5 \u00b1 2.9\u2020 | \u2013 |"
    assert line in render_markdown(table)


def test_few_answers_are_shown_and_not_all_of_a_long_one() -> None:
    """At most 24 of a benchmark, half of them right where there are enough, over all runs."""
    samples = [make_sample(n, reasoning="x" * 9000, is_correct=n % 10 == 0) for n in range(300)]

    shown = choose_samples(samples)

    assert [sum(s.is_correct for s in shown), len(shown)] == [12, 24]
    assert max(each.seed for each in shown) > 250
    assert "3,000 characters left out" in shown[0].reasoning
    assert len(choose_samples([s for s in samples if not s.is_correct])) == 24
    assert choose_samples(samples[:3]) == [
        replace(each, reasoning=shown[0].reasoning) for each in samples[:3]
    ]
