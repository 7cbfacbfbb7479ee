"""A study's jobs, and the specs that decide what runs again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nt_pkg.assets.fetch import NO_COMMIT
from nt_pkg.files import layout
from nt_pkg.files.json_files import write_json
from nt_pkg.identity.fingerprint import code_fingerprint
from nt_pkg.plan import study_plan as plan
from nt_pkg.plan.start import cannot_run_yet, start
from nt_pkg.plan.study_plan import Plan
from nt_pkg.plan.validate import load_study
from nt_pkg.report.reproduction import reproduction_page
from nt_pkg.report.summary import VERSION, check_earlier
from nt_pkg.selectors import long
from nt_pkg.snakemake_io.under_way import UnderWay

Config = dict[str, Any]
Spec = Callable[[Plan], str]

SPECS: dict[str, Spec] = {
    "asset": lambda plan: plan.asset_spec("students", "micro-llama"),
    "convert": lambda plan: plan.convert_spec("students", "micro-llama"),
    "pool": lambda plan: plan.pool_spec("micro"),
    "shards": lambda plan: plan.shards_spec(),
    "trace": lambda plan: plan.trace_spec("micro-teacher"),
    "annotator": lambda plan: plan.annotator_spec("strategies"),
    "subset": lambda plan: plan.subset_spec("long-300"),
    "examples": lambda plan: plan.examples_spec("micro-llama", "system2"),
    "train": lambda plan: plan.train_spec("micro-llama", "long-300"),
    "export": lambda plan: plan.export_spec("micro-llama"),
    "sample": lambda plan: plan.sample_spec("micro-llama", "micro_free", "think"),
    "grade": lambda plan: plan.grade_spec("micro_free"),
    "report": lambda plan: plan.report_spec(),
}


def plan_of(config: Config) -> Plan:
    return Plan(load_study(config))


def specs(config: Config) -> dict[str, str]:
    """Return one spec of every stage."""
    plan = plan_of(config)
    return {stage: spec(plan) for stage, spec in SPECS.items()}


def reverse_keys(value: Any) -> Any:
    """Return `value` with the keys of all its maps in reverse order."""
    if isinstance(value, dict):
        return {key: reverse_keys(each) for key, each in reversed(value.items())}
    return [reverse_keys(each) for each in value] if isinstance(value, list) else value


def test_jobs_of_the_demo(demo: Config) -> None:
    """Counted by hand from config.yaml; every block that trains has five seeds."""
    plan = plan_of(demo)

    assert plan.pools() == [{"pool": "micro"}]
    assert len(plan.prompts()) == len(plan.traces()) == 2
    assert len(plan.annotations()) == 2 * 4
    assert plan.assets() == [{"kind": "students", "name": "micro-llama"}]
    assert len(plan.subsets()) == 8 * 5
    assert len(plan.sft()) == 8 * 5 + 5 + 2 * 5
    assert len(plan.evals()) == 4 + 8 * 5 * 2 + 5 * 2 + 2 * 5 * 2 * 3
    assert all(run["subset"] != "none" for run in plan.sft())


def test_overlapping_blocks_give_each_job_once(demo: Config) -> None:
    plan = plan_of(demo)
    demo["runs"] = demo["runs"] + demo["runs"][::-1]

    assert plan_of(demo).evals() == plan.evals()


def test_only_what_is_in_use_is_planned(demo: Config) -> None:
    demo["pools"]["other"] = {"kind": "micro"}
    demo["runs"] = demo["runs"][:1]
    demo["report"]["annotators"] = []
    plan = plan_of(demo)

    assert plan.pools() == plan.traces() == plan.annotations() == plan.sft() == []
    assert len(plan.evals()) == 4


def test_answers_are_shared_out_by_their_number(demo: Config) -> None:
    """200 questions, twice; the number of jobs is in no spec."""
    one = plan_of(demo)
    assert [each["part"] for each in one.answers()] == [""] * len(one.evals())
    demo["benchmarks"]["micro_free"]["repeats"] = 2
    demo["students"]["micro-llama"]["runtime"] |= {"generation_answers": 150, "generation_batch": 7}
    run = next(each for each in one.evals() if each["benchmark"] == "micro_free")
    other = {**run, "benchmark": "micro_choice"}

    plan = plan_of(demo)

    parts = [".0-of-3", ".1-of-3", ".2-of-3"]
    assert plan.answer_shards(run) == [{**run, "part": part} for part in parts]
    assert [each["part"] for each in plan.answer_shards(other)] == [".0-of-2", ".1-of-2"]
    assert plan.sample_spec("micro-llama", "micro_choice", "think") == one.sample_spec(
        "micro-llama", "micro_choice", "think"
    )
    demo["students"]["micro-llama"]["runtime"]["generation_batch"] = 200  # a job has a whole batch
    assert len(plan_of(demo).answer_shards(run)) == 2


def test_answers_that_are_there_stay(demo: Config, tmp_path: Path) -> None:
    """A set with all its shards counts; one that lacks a shard does not."""
    demo["students"]["micro-llama"]["runtime"] |= {"generation_answers": 100, "generation_batch": 7}
    run = plan_of(demo).evals()[0]
    path = layout.artifact(layout.SAMPLES, tmp_path, part=".1-of-4", **run)
    path.parent.mkdir(parents=True)

    def number() -> int:
        return len(Plan(load_study(demo), folder=tmp_path).answer_shards(run))

    assert number() == 2
    for shard in range(4):
        path.with_name(f"{run['mode']}.samples.{shard}-of-4.parquet").touch()
        assert number() == (4 if shard == 3 else 2)
    path.with_name(f"{run['mode']}.samples.parquet").touch()
    assert number() == 1
    for shard in range(2):
        path.with_name(f"{run['mode']}.samples.{shard}-of-2.parquet").touch()
    assert number() == 2
    # While jobs run, the files of a set come and go, and the plan stays as it is.
    plan = Plan(load_study(demo), folder=tmp_path)
    assert len(plan.answer_shards(run)) == 2
    path.with_name(f"{run['mode']}.samples.0-of-2.parquet").unlink()
    assert len(plan.answer_shards({key: str(value) for key, value in run.items()})) == 2


def test_an_annotator_may_label_several_shards_in_a_job(demo: Config) -> None:
    """By its rows, in whole shards of its pool; the number of jobs is in no spec."""
    demo["pools"]["micro"]["num_shards"] = 12  # of 6,000 rows
    every = plan_of(demo)
    assert len(every.label_shards("micro", "domain", "micro-teacher")) == 12

    found = {}
    for most in (1, 499, 500, 999, 1000, 2999, 3000, 6000):
        demo["annotators"]["domain"]["runtime"] = {"rows_per_job": most}
        found[most] = len(plan_of(demo).label_shards("micro", "domain", "micro-teacher"))
    assert found == {1: 12, 499: 12, 500: 12, 999: 12, 1000: 6, 2999: 3, 3000: 2, 6000: 1}

    plan = plan_of(demo)
    assert plan.annotator_spec("domain") == every.annotator_spec("domain")
    mine = [each for each in plan.annotations() if each["annotator"] == "domain"]
    assert mine == [
        {
            "pool": "micro",
            "teacher": "micro-teacher",
            "annotator": "domain",
            "shard": 0,
            "num_shards": 1,
        }
    ]
    assert len(plan.annotations()) == 1 + 3 * 12
    assert [each["shard"] for each in plan.shards_in("micro", 2, 3)] == [8, 9, 10, 11]
    assert {each["num_shards"] for each in plan.shards_in("micro", 2, 3)} == {12}
    with pytest.raises(ValueError, match="the 12 shards of pool micro cannot be labelled by 5"):
        plan.shards_in("micro", 0, 5)


def test_rows_that_nobody_counted_are_labelled_by_shard(demo: Config) -> None:
    demo["pools"]["limo"] = {"kind": "limo", "source": {"path": "x"}, "num_shards": 3}
    demo["annotators"]["domain"]["runtime"] = {"rows_per_job": 10_000}
    assert len(plan_of(demo).label_shards("limo", "domain", "micro-teacher")) == 3
    demo["pools"]["limo"]["expected_rows"] = 817
    assert len(plan_of(demo).label_shards("limo", "domain", "micro-teacher")) == 1


def test_labels_that_are_there_stay_if_the_pool_has_such_shards(
    demo: Config, tmp_path: Path
) -> None:
    demo["annotators"]["domain"]["runtime"] = {"rows_per_job": 6000}
    names = {"pool": "micro", "teacher": "micro-teacher", "annotator": "domain"}
    for shard in range(2):
        path = layout.artifact(layout.LABELS, tmp_path, shard=shard, num_shards=2, **names)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def number() -> int:
        return len(Plan(load_study(demo), folder=tmp_path).label_shards(**names))

    assert number() == 2
    demo["pools"]["micro"]["num_shards"] = 3
    assert number() == 1


def test_annotators_come_from_selectors_formats_and_report(demo: Config) -> None:
    demo["report"]["annotators"] = ["domain"]
    demo["runs"] = [{**demo["runs"][1], "subsets": ["long-300"]}]
    assert plan_of(demo).annotators("micro", "micro-teacher") == ["domain", "length"]

    demo["runs"][0]["formats"] = ["difficulty-mix"]
    assert plan_of(demo).annotators("micro", "micro-teacher") == ["agreement", "domain", "length"]


def test_neighbours_of_a_pool_need_its_questions_and_no_traces(demo: Config) -> None:
    """Labels of questions are made once, however many teachers a pool has."""
    subset = {"pool": "micro", "selector": "nearest", "size": 3, "near": "seeds"}
    demo["pools"]["seeds"] = {"kind": "micro", "params": {"num_rows": 5}}
    demo["teachers"]["other"] = {"engine": "micro"}
    demo["annotators"]["embedding"] = {"kind": "hashed_words"}
    demo["subsets"] = {name: {**subset, "teacher": name} for name in ("micro-teacher", "other")}
    demo["report"]["comparisons"] = []
    demo["runs"] = [{**demo["runs"][1], "subsets": list(demo["subsets"])}]
    plan = plan_of(demo)

    assert [each["pool"] for each in plan.pools()] == ["micro", "seeds"]
    assert {each["pool"] for each in plan.traces()} == {"micro"}
    assert [(each["pool"], each["shard"]) for each in plan.question_labels()] == [
        ("micro", 0),
        ("micro", 1),
        ("seeds", 0),
    ]
    assert "embedding" not in {each["annotator"] for each in plan.annotations()}
    assert "teacher" not in plan.annotator_spec("embedding")


def test_specs_are_canonical_json(demo: Config) -> None:
    for spec in specs(demo).values():
        assert json.dumps(json.loads(spec), sort_keys=True, separators=(",", ":")) == spec


def test_key_order_is_irrelevant(demo: Config) -> None:
    assert specs(reverse_keys(demo)) == specs(demo)


def test_defaults_are_left_out(demo: Config) -> None:
    before = specs(demo)
    demo["students"]["micro-llama"]["training"]["weight_decay"] = 0.1
    demo["students"]["micro-llama"]["sampling"]["temperature"] = 0
    demo["teachers"]["micro-teacher"] = {"engine": "micro", "params": {}, "sampling": {}}
    demo["subsets"]["long-300"]["params"]["power"] = 2.5
    demo["annotators"]["strategies"]["params"]["where"] = "reasoning"
    demo["benchmarks"]["micro_free"]["repeats"] = 1
    demo["formats"]["system2"]["p"] = None

    after = specs(demo)

    # The count of repeats is always written, and it is 1 in both.
    assert {k: v for k, v in after.items() if k != "report"} == {
        k: v for k, v in before.items() if k != "report"
    }


@pytest.mark.parametrize(
    ("keys", "value", "changed"),
    [
        (("students", "micro-llama", "runtime"), {"num_ranks": 8, "nodes": 2}, set()),
        (("students", "micro-llama", "runtime", "zero_stage"), 3, set()),
        (("students", "micro-llama", "runtime", "generation_batch"), 7, set()),
        (("students", "micro-llama", "runtime", "gpu"), 0, set()),
        (("teachers", "micro-teacher", "runtime"), {"gpu": 16, "minutes": 60}, set()),
        (("teachers", "micro-teacher", "runtime"), {"batch": 7}, set()),
        (("annotators", "strategies", "runtime"), {"gpu": 1}, set()),
        (("teachers", "micro-teacher", "architecture"), {"hidden_size": 8}, set()),
        (("annotators", "strategies", "architecture"), {"hidden_size": 8}, set()),
        (("benchmarks", "micro_free", "expected_questions"), 9, set()),
        (("pools", "micro", "expected_rows"), 9, set()),
        (("pools", "micro", "num_shards"), 5, set()),
        (("pools", "micro", "params", "seed"), 1, {"pool"}),
        (("subsets", "long-300", "params", "power"), 2.0, {"subset", "report"}),
        (("subsets", "long-300", "size"), 299, {"subset", "report"}),
        (("annotators", "strategies", "params", "multiple"), False, {"annotator"}),
        (("teachers", "micro-teacher", "sampling"), {"temperature": 1}, {"trace"}),
        (("students", "micro-llama", "training", "learning_rate"), 0.123, {"train"}),
        (("students", "micro-llama", "training", "max_example_tokens"), 300, {"train", "examples"}),
        (("students", "micro-llama", "training", "dtype"), "bfloat16", {"train", "export"}),
        (("students", "micro-llama", "training", "epochs"), {0: 4, 1000: 9}, set()),
        (("students", "micro-llama", "training", "epochs"), {0: 4, 300: 9}, {"train"}),
        (("students", "micro-llama", "sampling", "max_tokens"), 9, {"sample"}),
        (("students", "micro-llama", "engine"), "vllm", {"sample"}),
        (("students", "micro-llama", "engine_params"), {"chat_template": "x"}, {"sample"}),
        (("formats", "system2", "think_words"), 50, {"examples"}),
        (("benchmarks", "micro_free", "think_words"), 50, {"sample"}),
        (("benchmarks", "micro_free", "repeats"), 2, {"sample"}),
        (("benchmarks", "micro_free", "chance"), 0.1, {"report"}),
        (("benchmarks", "micro_free", "params", "num_questions"), 9, {"sample", "grade", "report"}),
        (("report", "title"), "x", {"report"}),
        (("formats", "system1", "think_words"), 50, set()),
        (("subsets", "topics-300", "size"), 299, {"report"}),
    ],
    ids=lambda value: ".".join(value[-2:]) if isinstance(value, tuple) else None,
)
def test_what_an_edit_changes(
    demo: Config, keys: tuple[str, ...], value: Any, changed: set[str]
) -> None:
    before = specs(demo)
    entry = demo
    for key in keys[:-1]:
        entry = entry[key]
    assert entry.get(keys[-1]) != value
    entry[keys[-1]] = value

    after = specs(demo)

    assert {stage for stage in SPECS if after[stage] != before[stage]} == changed


def test_path_of_a_source_changes_nothing_but_its_content_does(
    demo: Config, tmp_path: Path
) -> None:
    def spec_of(folder: Path) -> str:
        demo["students"]["micro-llama"]["source"] = {"path": str(folder)}
        return plan_of(demo).asset_spec("students", "micro-llama")

    for name in ("here", "there"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "model").write_text("weights")

    before = spec_of(tmp_path / "here")
    assert spec_of(tmp_path / "there") == before
    assert str(tmp_path) not in before
    (tmp_path / "there" / "deep" / "model").write_text("weightz")
    assert spec_of(tmp_path / "there") != before
    (tmp_path / "there" / "deep" / "model").write_text("weights")
    (tmp_path / "there" / "more").write_text("")
    assert spec_of(tmp_path / "there") != before


def test_answers_from_elsewhere_are_scored_and_not_sampled(demo: Config, tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text("{}")
    entry = {"name": "m", "benchmark": "micro_free", "mode": "think", "path": str(file)}
    demo |= {"runs": [], "answers": [entry, {**entry, "seed": 1, "untagged": "answer"}]}
    found = plan_of(demo)

    [one, other] = found.evals()
    assert one == {
        **{"student": "m", "subset": "imported", "format": "none", "seed": 0},
        **{"benchmark": "micro_free", "mode": "think"},
    }
    assert not [*found.sampled(), *found.sft(), *found.pools(), *found.subsets(), *found.assets()]
    # Wildcards are texts.
    assert found.imported(**{**other, "seed": "1"}).untagged == "answer"
    first, second = (found.import_spec(each) for each in found.study.answers)
    assert first != second
    file.write_text("{} ")
    assert plan_of(demo).import_spec(found.study.answers[0]) != first
    for gone, why in ((tmp_path, "is a folder: name one file"), (tmp_path / "y", "does not exist")):
        demo["answers"][0]["path"] = str(gone)
        broken = plan_of(demo)
        with pytest.raises(ValueError, match=rf"answers of m to micro_free, path: {gone} {why}"):
            broken.import_spec(broken.study.answers[0])


def test_missing_source_is_named(demo: Config) -> None:
    demo["students"]["micro-llama"]["source"] = {"path": "/nowhere/x"}

    with pytest.raises(
        ValueError, match=r"students\.micro-llama\.source\.path: /nowhere/x does not"
    ):
        plan_of(demo).asset_spec("students", "micro-llama")


def test_server_of_a_teacher_changes_nothing_but_its_model_does(demo: Config) -> None:
    def spec_of(model: str, **server: Any) -> str:
        demo["teachers"]["micro-teacher"] = {
            "engine": "openai",
            "params": {"model": model},
            "runtime": {"server": {"base_url": "http://a/v1", **server}},
        }
        return plan_of(demo).trace_spec("micro-teacher")

    before = spec_of("r1")
    assert spec_of("r1", base_url="https://b:8000/v2", key_env="MY_KEY", retries=1) == before
    assert spec_of("other") != before


def test_model_of_a_teacher_is_an_input_and_no_part_of_its_spec(demo: Config) -> None:
    def plan_with(revision: str) -> Plan:
        source = {"hub": "a/b", "revision": revision * 40, "hub_type": "model"}
        demo["teachers"]["micro-teacher"] = {"engine": "vllm", "source": source}
        return plan_of(demo)

    one, other = plan_with("2"), plan_with("1")
    assert {"kind": "teachers", "name": "micro-teacher"} in one.assets()
    assert one.trace_spec("micro-teacher") == other.trace_spec("micro-teacher")
    assert one.asset_spec("teachers", "micro-teacher") != other.asset_spec(
        "teachers", "micro-teacher"
    )


def test_pinned_hub_source_is_its_commit(demo: Config) -> None:
    source = {"hub": "a/b", "revision": "1" * 40}
    demo["students"]["micro-llama"]["source"] = source

    assert json.loads(plan_of(demo).asset_spec("students", "micro-llama")) == source


@pytest.mark.parametrize(("hub_type", "folder"), [("model", "a/b"), ("dataset", "datasets/a/b")])
def test_commit_that_was_not_filled_in(
    demo: Config, tmp_path: Path, hub_type: str, folder: str
) -> None:
    """The study can be planned, and everything that plans it says what is missing."""
    source = {"hub": "a/b", "hub_type": hub_type, "revision": NO_COMMIT}
    demo["students"]["micro-llama"]["source"] = source
    study = plan_of(demo)

    (line,) = study.missing_commits()
    assert line.startswith("students.micro-llama.source.revision: no commit of a/b is known here")
    assert f"ls-remote https://huggingface.co/{folder} " in line
    assert cannot_run_yet(study, None, is_overwritten=True) == [line]
    with pytest.raises(RuntimeError, match="no commit of a/b is known here"):
        start(None, study, UnderWay(tmp_path / "running"), print)
    page = reproduction_page(study, None, "study.yaml")
    assert "- **A commit.** `students.micro-llama.source.revision`: no commit of a/b" in page


def test_earlier_report_is_an_input_and_of_the_same_study(
    demo: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert plan_of(demo).earlier() == []
    demo["report"]["earlier"] = "kept"
    plan = plan_of(demo)
    assert plan.earlier() == ["kept/summary.json"]

    with pytest.raises(ValueError, match=r"report\.earlier: kept/summary.json does not exist"):
        check_earlier(plan.study)
    write_json(Path("kept/summary.json"), {"study": "tiny", "version": VERSION})
    with pytest.raises(ValueError, match="of study 'tiny', but this study is 'demo'"):
        check_earlier(plan.study)
    write_json(Path("kept/summary.json"), {"study": "demo", "version": VERSION})
    check_earlier(plan.study)

    demo["report"]["earlier"] = str(tmp_path / "results/report/demo")
    with pytest.raises(ValueError, match="is where this study's own report is written"):
        check_earlier(plan_of(demo).study)


@pytest.mark.parametrize(
    ("module", "stages"),
    [
        ("nt_pkg.prompts.ingest", {"pool"}),
        ("nt_pkg.subsets.select", {"subset"}),
        ("nt_pkg.evaluation.sample_and_grade", {"grade"}),
        ("nt_pkg.report.collect", {"report"}),
        ("nt_pkg.report.build", {"report"}),
    ],
)
def test_code_around_a_plugin_is_in_the_spec(
    demo: Config, monkeypatch: pytest.MonkeyPatch, module: str, stages: set[str]
) -> None:
    """What leaves rows out or ranks them is as much part of a result as the plugin."""
    before, fingerprint = specs(demo), code_fingerprint
    monkeypatch.setattr(
        plan,
        "code_fingerprint",
        lambda name, roots: "edited" if name == module else fingerprint(name, roots),
    )

    after = specs(demo)

    assert {stage for stage in SPECS if after[stage] != before[stage]} == stages


@pytest.mark.parametrize(
    ("version", "stages"),
    [
        ("convert", {"convert"}),
        ("shards", {"shards"}),
        ("traces", {"trace"}),
        ("annotations", {"annotator"}),
        ("examples", {"examples"}),
        ("train", {"train"}),
        ("export", {"export"}),
        ("samples", {"sample"}),
        ("truth", set()),  # no job has it; see test_truth
    ],
)
def test_versions_stand_for_code_that_is_too_expensive_to_rerun(
    demo: Config, monkeypatch: pytest.MonkeyPatch, version: str, stages: set[str]
) -> None:
    before = specs(demo)
    monkeypatch.setitem(plan.VERSIONS, version, 99)

    after = specs(demo)

    assert {stage for stage in SPECS if after[stage] != before[stage]} == stages


def test_every_version_is_in_use() -> None:
    assert len(plan.VERSIONS) == 9


def test_code_of_a_selector_is_in_its_own_spec_only(
    demo: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edited selector: neither another subset nor anything before it changes."""
    from nt_pkg.plugins import registry as plugins

    before, fingerprint = specs(demo), plugins.fingerprint
    others = plan_of(demo).subset_spec("topics-300")
    monkeypatch.setattr(
        plugins,
        "fingerprint",
        lambda package, name, fields=None: (
            "edited" if name == "long" else fingerprint(package, name, fields)
        ),
    )

    after = specs(demo)

    assert {stage for stage in SPECS if after[stage] != before[stage]} == {"subset"}
    assert plan_of(demo).subset_spec("topics-300") == others


def test_parameters_are_checked_once_and_reach_specs_without_defaults(
    demo: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind `load_study` nothing looks into the parameters of a plug-in again."""
    demo["subsets"]["long-300"]["params"] = {"scale_tokens": "60", "power": 2.5}
    study = load_study(demo)
    monkeypatch.setattr(long.LongParams, "__init__", lambda *_, **__: pytest.fail("checked again"))

    spec = json.loads(Plan(study).subset_spec("long-300"))

    assert spec["params"] == {"scale_tokens": 60.0}
