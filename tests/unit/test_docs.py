"""The documentation: its diffs work, its links and targets exist, its generated page is current."""

import json
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from nt_pkg.config.load import read_yaml
from nt_pkg.plan.study_plan import Plan
from nt_pkg.plan.validate import load_study
from nt_pkg.snakemake_io.dry_run import Job
from nt_pkg.snakemake_io.stages import STAGES
from scripts import schema
from tests.workflow.sandbox import ROOT, command, copy_repository, plan, run

DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md"), *(ROOT / "config").glob("*.md")])
EXTENDING = (DOCS / "extending.md").read_text()
DIFFS = dict(re.findall(r"^## (.+?)\n.*?^```diff\n(.*?)^```$", EXTENDING, re.M | re.S))
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)

# Runs where the new modules are: prints what each of them makes of an example.
PLUGINS = """
import json
import pyarrow as pa
from nt_pkg.annotations.label_traces import annotate
from nt_pkg.evaluation.sample_and_grade import load_items
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

prompt = {"id": "a", "question": "?", "reference_answer": None, "second_answer": None}
trace = {"id": "a", "status": "ok", "reasoning": "so it is so it is", "answer": "x",
         "completion_tokens": 9, "error": None}
found["repetition"] = annotate("repetition", {}, [prompt], [trace])[0]["value"]

exam = plugin("benchmarks", "exam")
items = load_items("exam", {}, Path("config"))
grades = exam.grade([(item, f" {item.gold.upper()}.") for item in items] + [(items[0], "")])
found["exam"] = [exam.prompt(items[0]) == items[0].question, *(g.is_correct for g in grades)]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the repository with all diffs of the page applied."""
    folder = tmp_path_factory.mktemp("docs") / "copy"
    copy_repository(folder)
    for diff in DIFFS.values():
        _apply(folder, diff)
    return folder


@pytest.fixture(scope="module")
def jobs(copy: Path) -> list[Job]:
    """Return the jobs of a dry run of the demo in that copy."""
    planned = plan(copy, ["-s", "Snakefile", "--profile", "profiles/local"])
    return [job for job in planned if job.rule in STAGES]


def _apply(folder: Path, diff: str) -> None:
    done = subprocess.run(
        ["git", "apply", "-"], cwd=folder, input=diff, capture_output=True, text=True
    )
    assert not done.returncode, f"docs/extending.md: a diff does not apply: {done.stderr}"


def test_there_are_four_diffs() -> None:
    assert list(DIFFS) == ["A selector", "An annotator", "A benchmark", "A student"]


@pytest.mark.parametrize("name", DIFFS)
def test_every_diff_works_alone(name: str, tmp_path: Path) -> None:
    """The study it leads to is valid, but for plugins that this process cannot see."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    _apply(tmp_path, DIFFS[name])
    try:
        load_study(read_yaml([tmp_path / "config" / "config.yaml"]))
    except ValueError as error:
        new = re.findall(r"^\+\+\+ b/nt_pkg/\w+/(\w+)\.py", DIFFS[name], re.M)
        assert len(new) == 1
        lines = str(error).splitlines()[1:]
        assert lines
        assert all(re.search(rf"unknown \w+ '{new[0]}'", line) for line in lines), error


def test_new_plugins_do_what_the_page_says(copy: Path) -> None:
    found = json.loads(run(copy, [*command("")[:1], "-c", PLUGINS]))

    assert found["dense"] == [1, 2]
    assert json.loads(found["repetition"]) == pytest.approx(1 / 4)
    assert found["exam"] == [True, True, True, True, False]


def test_dry_run_has_the_jobs_that_the_page_promises(jobs: list[Job]) -> None:
    study = Plan(load_study(read_yaml([ROOT / "config" / "config.yaml"])))
    expected = Counter(
        fetch_asset=len(study.assets()),
        ingest_pool=len(study.pools()),
        shard_prompts=len(study.prompts()),
        generate_traces=len(study.traces()),
        summarise_traces=len(study.trace_sets()),
        annotate=len(study.annotations()),
        select_subset=len(study.subsets()),
        sample_answers=len(study.evals()),
        grade=len(study.evals()),
        build_report=1,
    )
    expected.update(dict.fromkeys(("build_examples", "train", "export_model"), len(study.sft())))
    promises = re.findall(r"^It adds to a demo: (.*);", EXTENDING, re.M)
    assert len(promises) == len(DIFFS)
    for promise in promises:
        for number, rule in re.findall(r"(\d+) `(\w+)`", promise):
            expected[rule] += int(number)

    assert Counter(job.rule for job in jobs) == expected


def test_dry_run_names_what_is_new(jobs: list[Job]) -> None:
    names = {
        (rule, value) for job in jobs for rule in [job.rule] for value in job.wildcards.values()
    }

    assert ("select_subset", "dense-300") in names
    assert ("annotate", "repetition") in names
    assert ("grade", "exam") in names
    assert ("train", "micro-llama-slow") in names


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
    (tmp_path / "my_study.yaml").write_text(example[1])

    study = load_study(read_yaml([ROOT / "config" / "config.yaml", tmp_path / "my_study.yaml"]))

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
