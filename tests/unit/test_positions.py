"""Students whose positions do not allow their training are refused before a teacher has begun."""

import json
from pathlib import Path
from typing import Any

import pytest

from nt_pkg.config.students import Runtime, Training
from nt_pkg.files.json_files import write_json
from nt_pkg.packing.positions import check_positions
from nt_pkg.plan.start import cannot_run_yet, out_of_place, start
from nt_pkg.plan.study_plan import Plan
from nt_pkg.plan.validate import load_study
from nt_pkg.preflight.study import positions
from nt_pkg.sft import launch
from nt_pkg.sft.train import Job
from nt_pkg.snakemake_io.under_way import UnderWay
from scripts import fetch_asset
from tests.unit.sft.tiny import written

LLAMA = {"model_type": "llama", "max_position_embeddings": 4096}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096}
HUB = {"hub": "a/b", "hub_type": "model", "revision": "1" * 40}


def rope(kind: str, name: str = "rope_scaling", key: str = "rope_type") -> dict[str, Any]:
    return {**LLAMA, name: {key: kind, "factor": 4.0}}


@pytest.mark.parametrize(
    ("config", "most"),
    [
        ({}, None),  # nothing is known
        (LLAMA, 4096),
        ({"n_positions": 1024}, 1024),
        ({"text_config": LLAMA, "vision_config": {"max_position_embeddings": 8}}, 4096),
        ({**LLAMA, "rope_scaling": None}, 4096),
        ({**LLAMA, "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}, 4096),
        (rope("llama3"), 4096),
        (rope("linear", key="type"), 16_384),
        (rope("yarn"), 16_384),
        ({**LLAMA, "max_position_embeddings": 16_384, "rope_parameters": YARN}, 16_384),
        ({**LLAMA, "rope_parameters": {"full_attention": YARN, "sliding_attention": {}}}, 16_384),
    ],
)
def test_the_context_is_the_longest_that_a_model_claims(
    config: dict[str, Any], most: int | None
) -> None:
    check_positions(config, most or 10**6)
    if most is not None:
        with pytest.raises(ValueError, match=f"lower training.max_example_tokens to {most} or"):
            check_positions(config, most + 1)


@pytest.mark.parametrize("kind", ["dynamic", "longrope", "su"])
@pytest.mark.parametrize("name", ["rope_scaling", "rope_parameters"])
@pytest.mark.parametrize("key", ["rope_type", "type"])
def test_frequencies_that_depend_on_other_examples(kind: str, name: str, key: str) -> None:
    """Whatever the length: a short example is packed with longer ones."""
    for config in (rope(kind, name, key), {"text_config": rope(kind, name, key)}):
        with pytest.raises(ValueError, match=f"its RoPE is of kind '{kind}'"):
            check_positions(config, 1)
    layers = {"full_attention": {key: kind}, "sliding_attention": {key: "default"}}
    with pytest.raises(ValueError, match=f"its RoPE is of kind '{kind}'"):
        check_positions({**LLAMA, "rope_parameters": layers}, 1)


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan_of(demo: dict[str, Any], limit: int = 256, **student: Any) -> Plan:
    demo["students"]["micro-llama"].update(student)
    demo["students"]["micro-llama"]["training"]["max_example_tokens"] = limit
    return Plan(load_study(demo))


def refused(plan: Plan, folder: Path) -> str:
    """Return the line that a dry run, a start and the preflight show."""
    (line,) = out_of_place(plan, folder)
    assert cannot_run_yet(plan, None, is_overwritten=True) == [line]
    with pytest.raises(RuntimeError) as refusal:
        start(None, plan, UnderWay(folder / "running"), print)
    assert str(refusal.value) == line
    (finding,) = positions(plan.study, folder)
    assert (finding.level, finding.found) == ("FAIL", line)
    return line


def test_refused_before_any_file_was_fetched(demo: dict[str, Any], in_folder: Path) -> None:
    plan = plan_of(demo, 5000, source=HUB, architecture=LLAMA)
    assert refused(plan, in_folder).startswith(
        "students.micro-llama cannot be trained: examples may have 5,000 tokens, and the context "
        "of the model has 4,096"
    )
    assert out_of_place(plan_of(demo, 4096), in_folder) == []
    assert "'dynamic'" in refused(plan_of(demo, architecture=rope("dynamic")), in_folder)


def test_the_model_itself_counts_before_what_is_said_of_it(
    demo: dict[str, Any], in_folder: Path
) -> None:
    assert "has 1,024" in refused(plan_of(demo, 1025, architecture=LLAMA), in_folder)  # built in
    own = in_folder / "own"
    write_json(own / "config.json", rope("longrope"))
    assert "'longrope'" in refused(plan_of(demo, source={"path": str(own)}), in_folder)


def test_only_students_that_are_trained_count(demo: dict[str, Any], in_folder: Path) -> None:
    demo["runs"] = demo["runs"][:1]  # the untrained student
    demo["report"]["comparisons"] = []
    plan = plan_of(demo, 5000)
    assert out_of_place(plan, in_folder) == []
    assert plan.longest_example("students", "micro-llama") is None


def test_refused_when_it_is_fetched(demo: dict[str, Any], in_folder: Path) -> None:
    """The files stay, so the next start refuses; another source is another model."""
    own = in_folder / "model"
    write_json(own / "config.json", rope("longrope"))
    plan = plan_of(demo, source={"path": str(own)})
    out = in_folder / "assets" / "students" / "micro-llama" / "manifest.json"
    spec = plan.asset_spec("students", "micro-llama")
    argv = ["--spec", spec, "--source", json.dumps({"path": str(own)}), "--out", str(out)]

    with pytest.raises(ValueError, match=r"students\.micro-llama cannot be trained: its RoPE"):
        fetch_asset.main([*argv, "--longest", "256"])
    assert not out.exists()
    assert fetch_asset.main(argv) == 0  # of a student that is only asked
    assert out.exists()


def test_fetched_files_of_the_hub_count_if_they_are_of_this_commit(
    demo: dict[str, Any], in_folder: Path
) -> None:
    plan = plan_of(demo, source=HUB)
    folder = in_folder / "assets" / "students" / "micro-llama"
    write_json(folder / "config.json", rope("dynamic"))
    record = folder.with_name(".micro-llama.fetched.json")
    write_json(record, {"spec": json.loads(plan.asset_spec("students", "micro-llama"))})

    assert "'dynamic'" in refused(plan, in_folder)
    assert out_of_place(plan_of(demo, source={**HUB, "hub": "another/one"}), in_folder) == []


def test_a_training_refuses_examples_of_an_earlier_version(tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", {"max_position_embeddings": 20})
    examples = written(tmp_path / "examples.arrow")
    longest = examples.lengths.max()
    assert longest > 20
    job = Job(tmp_path, examples, Training(), Runtime(), 0, tmp_path / "work")
    with pytest.raises(ValueError, match=f"examples may have {longest} tokens, and the context"):
        launch.train(job)
