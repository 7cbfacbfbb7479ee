"""What rules/common.smk calls: input functions, facts of the site, the shell that jobs run in."""

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nt_pkg.config.load import read_study
from nt_pkg.jobs.shell import cache_home, check_writable, shell_prefix
from nt_pkg.plan.inputs import Inputs, names_of
from nt_pkg.plan.start import cannot_run_yet, gpus_of_trainings
from nt_pkg.plan.study_plan import Plan
from nt_pkg.plan.validate import load_study
from nt_pkg.slurm.site import Site
from nt_pkg.snakemake_io.patterns import each
from nt_pkg.snakemake_io.rule_graph import rule_graph
from tests.workflow.sandbox import ROOT, TINY

LABELS = "labels/{pool,[a-z]+}/{teacher}/{annotator}/{shard,\\d+}-of-{num_shards}"


@pytest.fixture(scope="module")
def plan() -> Plan:
    return Plan(load_study(read_study([ROOT / TINY])))


@pytest.fixture
def inputs(plan: Plan) -> Inputs:
    outputs = {
        "fetch_asset": {"manifest": "assets/{kind}/{name}/manifest.json"},
        "annotate": {"labels": LABELS},
        "annotate_questions": {"labels": LABELS.replace("{teacher}/", "")},
        "export_model": {"manifest": "{student}/{subset}/{format}/seed{seed}/hf.json"},
    }
    rules = SimpleNamespace(
        **{name: SimpleNamespace(output=SimpleNamespace(**out)) for name, out in outputs.items()}
    )

    def get(**wildcards: object) -> Any:
        return SimpleNamespace(output=SimpleNamespace(subset=str(sorted(wildcards.items()))))

    return Inputs(plan, rules, SimpleNamespace(select_subset=SimpleNamespace(get=get)))


class Wildcards(dict[str, str]):
    """As Snakemake's: values by attribute as well."""

    def __getattr__(self, name: str) -> str:
        return self[name]


def run_of(subset: str) -> Wildcards:
    form = "none" if subset == "none" else "system2"
    return Wildcards(student="tiny-llama", subset=subset, format=form, seed="0")


def test_paths_of_a_pattern_with_constraints() -> None:
    values = {"pool": "a b", "teacher": "t", "annotator": "x, y", "shard": 0, "num_shards": 2}
    assert each(LABELS, [values]) == ["labels/a b/t/x, y/0-of-2"]


def test_labels_are_all_shards_of_all_annotators(inputs: Inputs) -> None:
    found = inputs.labels_of("tiny", "micro-teacher", ["length", "agreement"])

    assert found == [
        f"labels/tiny/micro-teacher/{name}/{shard}-of-2"
        for name in ("length", "agreement")
        for shard in (0, 1)
    ]
    assert inputs.near_labels_of("tiny-long") == []
    assert inputs.pool_and_teacher("tiny-long") == {"pool": "tiny", "teacher": "micro-teacher"}


def test_a_job_of_labels_reads_the_shards_that_it_is_about(inputs: Inputs) -> None:
    """Of the two shards of the pool one each, or both."""
    names = {"pool": "tiny", "teacher": "t", "annotator": "length"}
    traces = "traces/{pool}/{teacher}/{shard}-of-{num_shards}"
    for shard, number, expected in (("1", "2", ["1-of-2"]), ("0", "1", ["0-of-2", "1-of-2"])):
        wildcards = Wildcards(**names, shard=shard, num_shards=number)
        assert inputs.shards_in(traces, wildcards) == [f"traces/tiny/t/{each}" for each in expected]


def test_model_and_selection_of_trained_and_untrained_students(inputs: Inputs) -> None:
    trained, untrained = run_of("tiny-long"), run_of("none")

    assert inputs.model_of(trained) == ["tiny-llama/tiny-long/system2/seed0/hf.json"]
    assert inputs.model_of(untrained) == ["assets/students/tiny-llama/manifest.json"]
    assert inputs.selection_of(untrained) == []
    assert "('subset', 'tiny-long')" in str(inputs.selection_of(trained))
    assert inputs.source_manifest("pools", "tiny") == []
    assert names_of(Wildcards(b="1", a="2")) == '{"a": "2", "b": "1"}'


def test_facts_of_a_site(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHO", "me")
    raw = {"scratch": "'/scratch/$WHO'", "most_mem_mb": 10_000, "most_minutes": 90}
    site = Site({name: SimpleNamespace(raw=value) for name, value in raw.items()})

    assert site.facts["scratch"] == "/scratch/me"
    assert [site.memory(8000)(None, attempt) for attempt in (1, 2)] == [8000, 10_000]
    assert [site.minutes(lambda wc: 30)(None, attempt) for attempt in (1, 4)] == [30, 90]
    assert Site(None).facts == {}


def test_gpus_of_trainings_and_what_cannot_run(plan: Plan) -> None:
    def job(rule: str, **resources: object) -> Any:
        return SimpleNamespace(
            rule=SimpleNamespace(name=rule), wildcards=run_of("tiny-long"), resources=resources
        )

    jobs = [job("grade", gpu_model="a100"), job("train", gpu=2, gpu_model="h100")]
    assert gpus_of_trainings(plan, jobs) == {"tiny-llama": "h100"}
    assert gpus_of_trainings(plan, [job("train", gpu=2)]) == {"tiny-llama": None}
    assert cannot_run_yet(plan, "h100", is_overwritten=False) == []


def test_rule_graph_has_every_dependency_once() -> None:
    a, b, c, other = (
        SimpleNamespace(rule=SimpleNamespace(name=name)) for name in ("a", "b", "c", "b")
    )
    needs = {id(a): [], id(b): [a], id(other): [a], id(c): [b, other, a]}
    dag = SimpleNamespace(jobs=[c, b, other, a], dependencies=_Needs(needs))

    assert rule_graph(dag) == {"a": [], "b": ["a"], "c": ["a", "b"]}


class _Needs:
    """Dependencies by job; a namespace has no hash."""

    def __init__(self, needs: dict[int, list[Any]]) -> None:
        self._needs = needs

    def __getitem__(self, job: Any) -> list[Any]:
        return self._needs[id(job)]


def test_prefix_is_a_shell_text_once_its_braces_are_filled_in(tmp_path: Path) -> None:
    (tmp_path / "own" / "bin").mkdir(parents=True)
    (tmp_path / "own" / "bin" / "python").write_text("#!/bin/sh\necho own\n")
    (tmp_path / "own" / "bin" / "python").chmod(0o755)
    variables = {"NT_ENV_TRAINING": str(tmp_path / "own"), "NT_ENV_INFERENCE": ""}

    text = shell_prefix(tmp_path, variables, is_deployed=False).format()

    command = f'{text} echo "$PYTHONPATH"; python -m scripts.train'
    said = subprocess.run(
        ["bash", "-c", command], env=os.environ, capture_output=True, text=True, check=True
    ).stdout
    assert said.splitlines() == [str(tmp_path), "own"]
    assert "PATH=" not in shell_prefix(tmp_path, variables, is_deployed=True).replace(
        "PYTHONPATH=", ""
    )
    with pytest.raises(ValueError, match="NT_ENV_TRAINING: /nowhere/bin/python does not exist"):
        shell_prefix(tmp_path, {"NT_ENV_TRAINING": "/nowhere"}, is_deployed=False)


def test_folder_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    check_writable(("results", "work"))
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ValueError, match=f"{tmp_path}/results cannot be written"):
        check_writable(("results",))


def test_folder_that_is_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "assets").symlink_to("elsewhere")
    check_writable(("assets",))
    (tmp_path / "results").symlink_to("/purged/results")
    with pytest.raises(ValueError, match="results is a link to /purged/results, which does not"):
        check_writable(("results",))
    (tmp_path / "work").touch()
    with pytest.raises(ValueError, match="work is a file, and a folder is needed there"):
        check_writable(("work",))


def test_shell_prefix_works_in_a_folder_of_any_name(tmp_path: Path) -> None:
    root = tmp_path / 'it\'s "my" $x'

    text = shell_prefix(root, {}, is_deployed=False).format()

    said = subprocess.run(
        ["bash", "-c", f'{text} printf %s "$PYTHONPATH"'], capture_output=True, text=True
    )
    assert said.stdout == str(root)
    with pytest.raises(ValueError, match=r"x\{y\}, and Snakemake takes braces .*: move it"):
        shell_prefix(tmp_path / "x{y}", {}, is_deployed=False)


def test_home_that_cannot_be_written_is_not_needed(tmp_path: Path) -> None:
    """Snakemake would end in a trace: it keeps a cache there."""
    other = tmp_path / "other"
    assert cache_home({"HOME": str(tmp_path / "home")}, other) == {}
    assert cache_home({"HOME": "/nowhere", "XDG_CACHE_HOME": str(tmp_path)}, other) == {}
    for variables in (
        {"HOME": "/dev/null"},
        {"HOME": "/proc"},
        {"HOME": str(tmp_path), "XDG_CACHE_HOME": "/dev/null/x"},
    ):
        assert cache_home(variables, other) == {"XDG_CACHE_HOME": str(other)}
