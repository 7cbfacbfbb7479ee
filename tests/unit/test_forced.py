"""Which jobs a user forces; what Snakemake forces by itself is none of them."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nt_pkg.jobs.work_dir import work_dir
from nt_pkg.plan.start import start
from nt_pkg.snakemake_io.forced import forced_outputs
from nt_pkg.snakemake_io.under_way import UnderWay

OUTPUTS = {"train": ["r/a/run.json", "r/a/checkpoint"], "grade": ["r/a/score.json"]}


def _workflow(
    forcerun: tuple[str, ...] = (),
    rules: tuple[str, ...] = (),
    targets: tuple[str, ...] = (),
    force: bool = False,
) -> Any:
    """Return what Snakemake has when a start begins; an interrupted job is in `forcefiles`."""
    jobs = [SimpleNamespace(rule=rule, output=files) for rule, files in OUTPUTS.items()]
    dag = SimpleNamespace(
        jobs=jobs, forcerules=set(rules), targetfiles=set(targets), forcefiles={"r/a/run.json"}
    )
    settings = SimpleNamespace(forcerun=frozenset(forcerun), forcetargets=force)
    return SimpleNamespace(dag=dag, dag_settings=settings)


@pytest.mark.parametrize(
    ("given", "rules"),
    [
        ({}, []),
        ({"forcerun": ("train",), "rules": ("train",)}, ["train"]),
        ({"forcerun": ("r/a/checkpoint",)}, ["train"]),
        ({"forcerun": ("./r/a//score.json",)}, ["grade"]),
        ({"forcerun": ("r/b/run.json",)}, []),
        ({"targets": ("r/a/score.json",)}, []),
        ({"targets": ("r/a/score.json",), "force": True}, ["grade"]),
        ({"rules": ("train", "grade")}, ["train", "grade"]),  # --forceall
    ],
)
def test_forced_by_the_user(given: dict[str, Any], rules: list[str]) -> None:
    expected = {path for rule in rules for path in OUTPUTS[rule]}

    assert forced_outputs(_workflow(**given)) == expected


@pytest.mark.parametrize(("is_forced", "expected"), [(False, "old"), (True, "new")])
def test_job_that_ended_after_a_kill_is_put_back_unless_forced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_forced: bool, expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NT_WORK", "work")
    out = Path(OUTPUTS["grade"][0])
    out.parent.mkdir(parents=True)
    with work_dir([out], "key"):
        out.write_text("old")
    Path("running").write_text(f'{{"start": ["{out}"]}}\n')
    workflow = _workflow(rules=("grade",) if is_forced else ())
    workflow.executor_plugin = SimpleNamespace(name="local")
    workflow.dag.needrun_jobs = list
    monkeypatch.setattr("nt_pkg.plan.start.keep_rule_graph", lambda *_: None)
    nothing = SimpleNamespace(keep=lambda: None)
    plan: Any = SimpleNamespace(missing_commits=list, sft=list, digests=nothing)

    start(workflow, plan, under_way := UnderWay(Path("running")), print)

    logging.getLogger("snakemake.logging").removeHandler(under_way)
    out.unlink()
    with work_dir([out], "key") as folder:
        if folder:
            out.write_text("new")
    assert out.read_text() == expected
