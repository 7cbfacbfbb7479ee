"""The documentation: its diffs work, its links and targets exist, its generated page is current."""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from nt_pkg.config.load import read_study
from nt_pkg.files.json_files import sha256_file
from nt_pkg.plan.study_plan import Plan
from nt_pkg.plan.validate import load_study
from nt_pkg.plugins.registry import CONSTANTS
from scripts import schema
from tests.workflow.sandbox import ROOT, command, copy_repository, run

DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md"), *(ROOT / "config").glob("*.md")])


def _touched(diff: str) -> set[str]:
    return set(re.findall(r"^\+\+\+ b/(.+)$", diff, re.M))


EXTENDING = (DOCS / "extending.md").read_text()
DIFFS = dict(re.findall(r"^## (.+?)\n.*?^```diff\n(.*?)^```$", EXTENDING, re.M | re.S))
STUDY = DIFFS.pop("A study to extend")
ENTRY = {"config/mine.yaml"}
CHANGES = {name: diff for name, diff in DIFFS.items() if _touched(diff) & ENTRY}
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)

# Runs where the new modules are: prints what each of them makes of an example.
PLUGINS = """
import json
import pyarrow as pa
from nt_pkg.annotations.label_traces import annotate
from nt_pkg.benchmarks._questions import load_items
from nt_pkg.config.engines import EngineRuntime, Sampling
from nt_pkg.engines._base import Request
from nt_pkg.engines._start import engine_for
from nt_pkg.plugins.registry import plugin
from nt_pkg.selectors._base import Candidates
from pathlib import Path

found = {}
labels = {
    "length": pa.array([{"num_steps": count} for count in (4, 1, 2)]),
    "strategies": pa.array([["verify"]] * 3),
}
dense = plugin("selectors", "dense")
picks = dense.select(dense.params(), Candidates(pa.array(["a", "b", "c"]), labels), 2, 0)
found["dense"] = picks.positions.tolist()

prompt = {"id": "a", "question": "?", "reference_answer": None, "second_answer": None,
          "columns": None}
trace = {"id": "a", "status": "ok", "reasoning": "so it is so it is", "answer": "x",
         "completion_tokens": 9, "error": None}
found["repetition"] = annotate("repetition", {}, [prompt], [trace])[0]["value"]

exam = plugin("benchmarks", "exam")
items = load_items("exam", {}, Path("config"))
grades = exam.grade([(item, f" {item.gold.upper()}.") for item in items] + [(items[0], "")])
found["exam"] = [exam.prompt(items[0]) == items[0].question, *(g.is_correct for g in grades)]

homework = plugin("pools", "homework")
rows = homework.rows(homework.params(), Path("config"))
found["homework"] = [row.reference_answer for row in rows]

for argv in (["sed", "s/^/So: /"], ["false"]):
    engine = engine_for("program", {"argv": argv}, EngineRuntime(), None)
    [said] = engine.generate([Request("x", "Why?")], Sampling())
    found.setdefault("program", []).append([said.text, said.error])
print(json.dumps(found))
"""
# Runs where a change is applied: prints the jobs of the study.
JOBS = """
import json
from collections import Counter
from pathlib import Path
from nt_pkg.config.load import read_study
from nt_pkg.plan.study_plan import Plan
from nt_pkg.plan.validate import load_study

plan = Plan(load_study(read_study([Path("config/mine.yaml")])))
runs = len(plan.sft())
print(json.dumps(Counter(
    fetch_asset=len(plan.assets()), ingest_pool=len(plan.pools()),
    shard_prompts=len(plan.prompts()), generate_traces=len(plan.traces()),
    summarise_traces=len(plan.trace_sets()), annotate=len(plan.annotations()),
    select_subset=len(plan.subsets()), build_examples=runs, train=runs, export_model=runs,
    sample_answers=len(plan.answers()), grade=len(plan.evals()),
)))
"""

# Writes a report of two subsets and three seeds.
REPORT = """
from pathlib import Path
from nt_pkg.report.build import build_report
from nt_pkg.report.records import Inputs
from tests.unit.report_study import make_bare, make_study, score

scores = [score(name, "system2", seed, "think") for name in "ab" for seed in range(3)]
build_report(Inputs(make_study(), make_bare(scores)), Path("report"))
"""
PARTS = ("A report table", "A report figure")


def _python(folder: Path, script: str) -> Any:
    return json.loads(run(folder, [sys.executable, "-c", script]))


def apply(folder: Path, diff: str, *arguments: str) -> None:
    done = subprocess.run(
        ["git", "apply", *arguments, "-"], cwd=folder, input=diff, capture_output=True, text=True
    )
    assert not done.returncode, f"docs/extending.md: a diff does not apply: {done.stderr}"


def _digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): sha256_file(path)
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the repository with the page's study."""
    folder = tmp_path_factory.mktemp("docs") / "copy"
    copy_repository(folder)
    apply(folder, STUDY)
    return folder


def test_every_kind_of_plugin_has_a_change() -> None:
    kinds = {path.split("/")[1] for diff in CHANGES.values() for path in _touched(diff) - ENTRY}

    assert kinds == set(CONSTANTS)


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_one_module_and_an_entry(name: str) -> None:
    touched = _touched(CHANGES[name])

    assert touched >= ENTRY
    modules = touched - ENTRY
    assert len(modules) == (name != "A student")
    assert all(re.fullmatch(r"nt_pkg/[a-z]+/[a-z]+\.py", module) for module in modules)


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_adds_the_jobs_that_the_page_promises(copy: Path, name: str) -> None:
    section = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", EXTENDING, re.M | re.S)
    assert section
    promises = re.findall(r"^It adds to the study: (.*);", section[1], re.M)
    assert len(promises) == 1
    promised = {rule: int(n) for n, rule in re.findall(r"(\d+) `(\w+)`", promises[0])}
    before = Counter(_python(copy, JOBS))
    apply(copy, CHANGES[name])
    try:
        after = Counter(_python(copy, JOBS))
    finally:
        apply(copy, CHANGES[name], "--reverse")

    assert dict(after - before) == promised
    assert not before - after


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the repository with all modules of the page."""
    folder = tmp_path_factory.mktemp("docs") / "extended"
    copy_repository(folder)
    apply(folder, STUDY)
    for diff in CHANGES.values():
        if _touched(diff) - ENTRY:
            apply(folder, diff, "--include=nt_pkg/*")
    return folder


def test_new_plugins_do_what_the_page_says(extended: Path) -> None:
    found = _python(extended, PLUGINS)

    assert found["dense"] == [1, 2]
    assert json.loads(found["repetition"]) == pytest.approx(1 / 4)
    assert found["exam"] == [True, True, True, True, False]
    assert found["homework"] == ["Thursday", "May"]
    assert found["program"] == [["So: Why?", None], ["", "status 1: "]]


def test_schema_is_all_that_has_to_be_written_for_new_plugins(extended: Path) -> None:
    before = _digests(extended)
    run(extended, command("scripts.schema"))
    after = _digests(extended)

    assert before.keys() == after.keys()
    changed = {name for name in after if before[name] != after[name]}
    assert changed == {"config/schema.json", "docs/config.md"}
    listed = (extended / "config" / "schema.json").read_text()
    assert all(f'"{name}"' in listed for name in ("dense", "repetition", "exam", "program"))
    assert "### pools: homework" in (extended / "docs" / "config.md").read_text()


def test_new_parts_of_the_report_are_on_its_page(tmp_path: Path) -> None:
    """One module each, and nothing else touched."""
    copy_repository(tmp_path)
    for name in PARTS:
        assert all(
            re.fullmatch(r"nt_pkg/report/parts/\w+\.py", path) for path in _touched(DIFFS[name])
        )
        assert len(_touched(DIFFS[name])) == 1
        apply(tmp_path, DIFFS[name])

    run(tmp_path, [sys.executable, "-c", REPORT])

    page = (tmp_path / "report/index.html").read_text()
    scores = page[page.index('<section id="scores"') :].partition("</section>")[0]
    assert "How far apart the seeds are" in scores
    assert "The accuracy of every seed." in scores
    table = (tmp_path / "report/tables/seed_range.csv").read_text().splitlines()
    assert table[0] == "student,subset,format,benchmark,mode,lowest,highest"
    assert len(table) == 1 + 2
    dots = (tmp_path / "report/figures/seed_range.csv").read_text().splitlines()
    assert len(dots) == 1 + 2 * 3


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", _prose(page)):
        if re.match(r"https?:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in _anchors(path), f"{page.name}: {target}"


@every_page
def test_make_targets_exist(page: Path) -> None:
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = re.findall(r"(?:^|`)make ([a-z][a-z-]*)", page.read_text(), re.M)

    assert set(named) <= known


@every_page
def test_files_that_are_named_exist(page: Path) -> None:
    named = re.findall(
        r"`((?:nt_pkg|scripts|tests|rules|config|envs|profiles|docs)/[\w./-]*)`", _prose(page)
    )

    assert [name for name in named if not (ROOT / name).exists()] == []


def test_readme_begins_with_the_two_commands() -> None:
    assert "```sh\nmake demo\nmake test\n```" in (ROOT / "README.md").read_text()


def test_every_page_is_in_the_index() -> None:
    index = (DOCS / "index.md").read_text()

    assert [
        p.name for p in DOCS.glob("*.md") if p.name not in ("index.md",) and p.name not in index
    ] == []


def test_the_example_of_a_study_is_valid(tmp_path: Path) -> None:
    example = re.search(r"^```yaml\n(.*?)^```$", (DOCS / "running.md").read_text(), re.M | re.S)
    assert example
    shutil.copytree(ROOT / "config", tmp_path / "config")
    (tmp_path / "my_study.yaml").write_text(example[1])

    study = load_study(read_study([tmp_path / "my_study.yaml"]))

    assert len(Plan(study).sft()) == 6, "two subsets in three seeds"


def test_generated_page_is_current() -> None:
    assert schema.main(["--check"]) == 0, "run `make schema`"


def _prose(page: Path) -> str:
    """Return a page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings as GitHub makes them."""
    heads = re.findall(r"^#+ (.*)$", _prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
