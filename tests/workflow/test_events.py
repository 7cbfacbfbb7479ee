"""What Snakemake hands over of a real workflow, and what it makes of what a start left open."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nt_pkg.assets import fetch
from nt_pkg.files.json_files import read_json
from nt_pkg.snakemake_io.dry_run import DryRun, Job, Reason, dry_run
from nt_pkg.snakemake_io.events import Event, Tail, asking, environment
from tests.workflow.sandbox import ROOT, TINY

NAMES = ("plain", "two words", "a, b=c", "x: y")
# A resource with all that a printed one cannot be taken apart by.
NOTE = 'k=v, mem_mb=7,\nreason: "none", it\'s'
SNAKEFILE = f"""
import os
import sys
from pathlib import Path

sys.path.insert(0, {str(ROOT)!r})
from nt_pkg.snakemake_io.rule_graph import keep_rule_graph
from nt_pkg.snakemake_io.under_way import UnderWay

UNDER_WAY = UnderWay(Path(".snakemake/under_way.jsonl"))
if workflow.is_main_process:
    UNDER_WAY.take_for_incomplete()

onstart:
    UNDER_WAY.begin()
    keep_rule_graph(workflow.dag, Path("timings"))

rule all:
    input: expand("out/{{name}}/last, of all.txt", name={NAMES!r})

rule first:
    output: "out/{{name}}/first.txt"
    log: "logs/{{name}}.log"
    benchmark: "timings/first/{{name}}.jsonl"
    threads: 2
    resources: gpu=2, note=lambda wc: {NOTE!r}
    params: spec=lambda wc: config.get("spec", "{{}}"), names=lambda wc: str(dict(wc))
    shell: "[ -z ${{{{FAIL:-}}}} ] && echo made >> made.txt && echo a > {{output:q}}"

rule second:
    input: "out/{{name}}/first.txt"
    output: "out/{{name}}/second.txt"
    shell: "cp {{input:q}} {{output:q}}"

rule last:
    input: "out/{{name}}/second.txt"
    output: "out/{{name}}/last, of all.txt"
    shell: "cp {{input:q}} {{output:q}}"
"""
STUDENT = "students: {tiny-llama: {source: {builtin: null, path: model}}}\n"
TARGET = "out/x: y/last, of all.txt"
OPTIONS = (
    "--cores",
    "2",
    "--rerun-incomplete",
    "--rerun-triggers",
    "mtime",
    "params",
    "input",
    "--",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    return tmp_path


def plan(folder: Path, *arguments: str) -> DryRun:
    found = dry_run(arguments or (*OPTIONS, TARGET), os.environ, folder)
    assert not found.status, found.said
    return found


def start(folder: Path, *arguments: str, **more: str) -> tuple[int, list[Event]]:
    path = folder / "events.jsonl"
    command = [sys.executable, "-m", "snakemake", *asking(arguments or (*OPTIONS, TARGET), path)]
    done = subprocess.run(
        command, cwd=folder, env=environment({**os.environ, **more}), capture_output=True
    )
    return done.returncode, Tail(path).new()


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return the files of a folder with time and content, but for Snakemake's cache and logs."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
        and path.relative_to(folder).parts[:2]
        not in ((".snakemake", "log"), (".snakemake", "iocache"))
    }


def rules(jobs: tuple[Job, ...]) -> list[str]:
    return [job.rule for job in jobs]


def test_jobs_are_handed_over_with_names_of_any_kind(folder: Path) -> None:
    jobs = plan(folder, *OPTIONS[:-1]).jobs

    assert len(jobs) == 3 * len(NAMES) + 1
    assert jobs[-1].rule == "all" and jobs[-1].outputs == ()
    first = {job.wildcards["name"]: job for job in jobs if job.rule == "first"}
    assert set(first) == set(NAMES)
    for name, job in first.items():
        assert job.outputs == (f"out/{name}/first.txt",)
        assert job.timing == Path(f"timings/first/{name}.jsonl")
        assert (job.threads, job.gpus, job.resources["note"]) == (2, 2, NOTE)
        assert job.reason == Reason(missing=job.outputs)
    last = {job.wildcards["name"]: job for job in jobs if job.rule == "last"}
    assert last["a, b=c"].reason.updated_by_job == ("out/a, b=c/second.txt",)


def test_starts_and_ends_are_handed_over(folder: Path) -> None:
    status, events = start(folder)

    assert status == 0
    assert [event["event"] for event in events] == [
        "begun", "planned", *["started", "finished"] * 3
    ]  # fmt: skip
    assert [e["rule"] for e in events if e["event"] == "started"] == ["first", "second", "last"]
    assert read_json(folder / "timings/rule_graph.json") == {
        "first": [], "last": ["second"], "second": ["first"]
    }  # fmt: skip
    status, events = start(folder)
    assert status == 0 and [event["event"] for event in events] == ["begun"]


def test_failure_is_handed_over_with_its_log(folder: Path) -> None:
    status, events = start(folder, FAIL="1")

    assert status == 1
    (failed,) = [event for event in events if event["event"] == "failed"]
    assert (failed["rule"], failed["log"]) == ("first", ["logs/x: y.log"])


def test_changed_params_are_handed_over_as_they_are(folder: Path) -> None:
    old, new = '{"a": "it\'s, b: c"}', '{"a": "it\'s now: x\\\\"}'
    (folder / "config.json").write_text(json.dumps({"spec": old}))
    options = ("--configfile", "config.json", *OPTIONS, TARGET)
    start(folder, *options)
    assert plan(folder, *options).jobs == ()

    (folder / "config.json").write_text(json.dumps({"spec": new}))
    jobs = plan(folder, *options).jobs

    assert rules(jobs) == ["first", "second", "last"]
    assert jobs[0].reason == Reason(old_params=(old,), new_params=(new,))


def test_nothing_is_planned_by_another_command_and_a_defect_is_said(folder: Path) -> None:
    assert not plan(folder, "--list-rules").is_plan
    (folder / "Snakefile").write_text("raise ValueError('a defect')")
    found = dry_run(OPTIONS, os.environ, folder)
    assert found.status and not found.is_plan and "a defect" in found.said


def test_snakemake_runs_without_the_plugin(folder: Path) -> None:
    """Nothing but our own commands asks for it, and nothing has to find it."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run(
        [sys.executable, "-m", "snakemake", *OPTIONS, TARGET],
        cwd=folder,
        env=variables,
        check=True,
        capture_output=True,
    )
    assert (folder / TARGET).exists()
    for profile in (ROOT / "profiles").rglob("*.yaml"):
        assert "logger" not in profile.read_text()


def test_outputs_left_open_are_made_again_and_a_dry_run_writes_nothing(folder: Path) -> None:
    """As a cluster's job leaves them that ended while no controller was there."""
    start(folder)
    assert (folder / "made.txt").read_text() == "made\n"
    (folder / ".snakemake/under_way.jsonl").write_text(
        '{"start": ["out/x: y/first.txt"]}\n{"start": ["out/gone.txt", "not/of/this/study"]}\n'
    )
    before = files(folder)

    planned = plan(folder)

    assert files(folder) == before
    assert rules(planned.jobs) == ["first", "second", "last"]
    assert planned.jobs[0].reason == Reason(is_cut_off=True)
    status, events = start(folder)
    assert status == 0
    assert [e["rule"] for e in events if e["event"] == "started"] == rules(planned.jobs)
    assert (folder / "made.txt").read_text() == "made\nmade\n"
    assert plan(folder).jobs == ()


def test_what_a_user_forces_is_no_cut_off_job(folder: Path) -> None:
    start(folder)
    (job, *_) = plan(folder, "--forcerun", "first", *OPTIONS, TARGET).jobs
    assert job.reason == Reason(is_forced=True)


def test_a_dry_run_of_a_study_writes_nothing(tmp_path: Path) -> None:
    """Not even the digest of a large file that it had to read."""
    (tmp_path / "model").mkdir()
    with (tmp_path / "model" / "weights").open("wb") as file:
        file.truncate(2 * fetch._CACHE_ABOVE_BYTES)
    (tmp_path / "more.yaml").write_text(STUDENT)
    before = files(tmp_path)

    options = ["-s", str(ROOT / "Snakefile"), "--profile", str(ROOT / "profiles/local")]
    jobs = plan(tmp_path, *options, "--configfile", str(ROOT / TINY), "more.yaml").jobs

    assert "fetch_asset" in rules(jobs)
    assert files(tmp_path) == before


def test_other_loggers_stay() -> None:
    path = Path("events.jsonl")
    assert asking(["--logger", "rich", "-n"], path) == [
        "--logger-nt-path", "events.jsonl", "--logger", "nt", "rich", "-n"
    ]  # fmt: skip
    assert asking(["-n"], path) == ["--logger", "nt", "--logger-nt-path", "events.jsonl", "-n"]
