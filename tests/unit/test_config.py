"""A defect of the configuration is named before anything runs."""

import re
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from nt_pkg.config.engines import Sampling
from nt_pkg.config.load import BASE, json_schema, read_study
from nt_pkg.config.sources import Source
from nt_pkg.config.students import Format, Runtime, Training
from nt_pkg.plan.study_plan import Plan
from nt_pkg.plan.validate import load_study

ROOT = Path(__file__).parents[2]
Config = dict[str, Any]
COMMIT = "0123456789" * 4
# One released model that is evaluated as it is.
STUDY_OF_ONE = """
include: [{include}]
study: one
students:
  one: {{source: {{builtin: micro-base}}}}
benchmarks:
  one: {{kind: micro_free}}
runs:
  - students: [one]
    subsets: [none]
    formats: [none]
    seeds: [0]
    benchmarks: [one]
    modes: [think]
report: {{title: One}}
"""
ASKED: Config = {
    "engine": "openai",
    "engine_params": {"model": "judge"},
    "runtime": {"server": {"base_url": "http://a/v1"}},
}


LONG = {"pool": "micro", "teacher": "micro-teacher", "selector": "random", "size": 3}


def put(*keys: Any, value: Any) -> Callable[[Config], None]:
    """Return an edit that sets one entry."""

    def edit(config: Config) -> None:
        for key in keys[:-1]:
            config = config[key]
        config[keys[-1]] = value

    return edit


def answers(*entries: Config) -> Callable[[Config], None]:
    """Return an edit that adds answers from elsewhere."""
    entry = {"name": "m", "benchmark": "micro_free", "mode": "think", "path": "x"}
    return put("answers", value=[{**entry, **each} for each in entries])


def drop(section: str, name: str) -> Callable[[Config], None]:
    """Return an edit that removes one catalogue entry."""
    return lambda config: config[section].pop(name)


def teacher(**entry: Any) -> Callable[[Config], None]:
    """Return an edit that makes the demo's teacher another one."""
    return put("teachers", "micro-teacher", value={"engine": "micro", **entry})


def nearest(kind: str, **entry: Any) -> Callable[[Config], None]:
    """Return an edit that adds a subset of neighbours by vectors of some kind."""

    def edit(config: Config) -> None:
        config["annotators"]["embedding"] = {"kind": kind}
        row = {"pool": "micro", "teacher": "micro-teacher", "selector": "nearest", "size": 3}
        config["subsets"]["nearest"] = {**row, **entry}

    return edit


@pytest.mark.parametrize(
    ("edit", "messages"),
    [
        (put("subsetz", value={}), ["subsetz: unknown key; did you mean 'subsets'?"]),
        (
            put("subsets", "long-300", "sise", value=3),
            ["subsets.long-300.sise: unknown key; did you mean 'size'?"],
        ),
        (
            put("students", "micro-llama", "training", "learning_rat", value=1),
            ["students.micro-llama.training.learning_rat", "did you mean 'learning_rate'?"],
        ),
        (
            put("subsets", "long-300", "params", value={"scale_token": 3}),
            ["subsets.long-300.params", "did you mean 'scale_tokens'?"],
        ),
        (
            put("pools", "micro", "params", value={"num_row": 3}),
            ["pools.micro.params", "did you mean 'num_rows'?"],
        ),
        (
            put("benchmarks", "micro_free", "params", value={"num_question": 3}),
            ["benchmarks.micro_free.params", "did you mean 'num_questions'?"],
        ),
        (
            put("pools", "micro", "kind", value="micr"),
            ["pools.micro: unknown pool 'micr'; there are limo,"],
        ),
        (
            put("subsets", "long-300", "selector", value="longest"),
            ["subsets.long-300: unknown selector 'longest'", "long, models_agree"],
        ),
        (
            put("annotators", "length", "kind", value="len"),
            ["annotators.length: unknown annotator 'len'"],
        ),
        (teacher(engine="openai"), ["teachers.micro-teacher.params", "model: Field required"]),
        (
            teacher(engine="openai", params={"model": "x"}),
            ["teachers.micro-teacher: engine openai needs `runtime.server`"],
        ),
        (
            teacher(engine="openai", params={"model": "x", "extra_body": {"seed": 1, "top_k": 2}}),
            ["extra_body: seed: remove it"],
        ),
        (
            teacher(runtime={"server": {"base_url": "http://a/v1"}}),
            ["teachers.micro-teacher: engine micro does not use a server"],
        ),
        (
            teacher(runtime={"server": {"base_url": "http://me:secret@a/v1"}}),
            ["teachers.micro-teacher.runtime.server.base_url"],
        ),
        (
            teacher(runtime={"server": {"base_url": "http://a/v1", "key_env": "sk-123"}}),
            ["teachers.micro-teacher.runtime.server.key_env"],
        ),
        (
            teacher(engine="vllm"),
            ["teachers.micro-teacher: engine vllm needs a `source`: the files of its model"],
        ),
        (
            teacher(engine="vllm", source={"builtin": "micro-base"}, params={"dtyp": "auto"}),
            ["teachers.micro-teacher.params", "did you mean 'dtype'?"],
        ),
        (
            teacher(
                engine="transformers",
                source={"builtin": "micro-base"},
                runtime={"nodes": 2, "gpu": 2},
            ),
            ["engine transformers starts no server", "leave `runtime.nodes` at 1", "vllm runs"],
        ),
        (
            teacher(runtime={"serve": True}),
            ["teachers.micro-teacher: engine micro starts no server"],
        ),
        (
            put("annotators", "length", "runtime", value={"gpu": 2, "nodes": 2}),
            ["annotators.length: nodes, serve, data_parallel", "without `engine`"],
        ),
        (
            teacher(runtime={"nodes": 2}),
            ["teachers.micro-teacher.runtime", "spread a model over GPUs, and `gpu` is 0"],
        ),
        (
            teacher(runtime={"nodes": 2, "gpu": 16, "data_parallel": 1, "expert_parallel": True}),
            ["engine micro starts no server"],
        ),
        (
            teacher(runtime={"nodes": 3, "gpu": 24, "data_parallel": 8}),
            ["data_parallel 8 cannot be spread evenly over 3 nodes"],
        ),
        (
            teacher(runtime={"gpu": 8, "data_parallel": 3}),
            ["8 GPUs cannot be spread evenly over pipeline_parallel 1 x data_parallel 3"],
        ),
        (
            teacher(runtime={"gpu": 4, "pipeline_parallel": 3}),
            ["4 GPUs cannot be spread evenly over pipeline_parallel 3"],
        ),
        (
            put("students", "micro-llama", "engine_params", value={"dtype": "auto"}),
            ["students.micro-llama.engine_params", "dtype: unknown key"],
        ),
        (
            teacher(source={"builtin": "micro-base"}),
            ["teachers.micro-teacher: engine micro takes no `source`"],
        ),
        (put("subsets", "long-300", "pool", value="macro"), ["long-300.pool", "'macro'", "micro"]),
        (
            put("subsets", "long-300", "teacher", value="r1"),
            ["subsets.long-300.teacher: unknown name 'r1'; teachers has micro-teacher"],
        ),
        (
            put("runs", 1, "subsets", value=["long-200"]),
            ["runs[1].subsets: unknown name 'long-200'; subsets has long-300, models-agree-300"],
        ),
        (put("runs", 0, "modes", value=["thinking"]), ["runs.0.modes.0", "think"]),
        (put("runs", 0, "seeds", value=[-1]), ["runs.0.seeds.0", "greater than or equal to 0"]),
        (
            put("runs", value=[]),
            ["there is nothing to do: give `runs`, `answers`, or `report.subsets`"],
        ),
        (put("report", "annotators", value=["topic"]), ["report.annotators: unknown name 'topic'"]),
        (
            put("pools", "micro", "decontaminate", value={"against": ["gpqa"]}),
            ["pools.micro.decontaminate.against: unknown name 'gpqa'; benchmarks has micro_choice"],
        ),
        (
            put("subsets", "random-300", "size", value=6001),
            ["subsets.random-300.size: 6001", "at most 6000 rows: lower the size or enlarge"],
        ),
        (
            put("subsets", "random-300", "size", value=0),
            ["subsets.random-300.size", "than or equal to 1"],
        ),
        (
            lambda config: [
                drop("annotators", "length")(config),
                put("report", "annotators", value=[])(config),
            ],
            ["subsets.long-300: selector long needs it", "unknown name 'length'"],
        ),
        (
            lambda config: [
                drop("annotators", "agreement")(config),
                put("subsets", "models-agree-300", "selector", value="random")(config),
                put("subsets", "models-disagree-300", "selector", value="random")(config),
            ],
            ["formats.difficulty-mix", "unknown name 'agreement'"],
        ),
        (
            put("runs", 0, "formats", value=["system2"]),
            ["runs.0: an untrained student is `subsets: [none]` with `formats: [none]` alone"],
        ),
        (put("runs", 1, "subsets", value=["none", "random-100"]), ["runs.1: an untrained student"]),
        (
            put(
                "subsets",
                "none",
                value={
                    "pool": "micro",
                    "teacher": "micro-teacher",
                    "selector": "random",
                    "size": 3,
                },
            ),
            ["subsets.none", "untrained"],
        ),
        (
            put("students", "micro-llama", "sampling", "top_p", value=0.9),
            ["students.micro-llama.sampling: top_p has no effect at temperature 0"],
        ),
        (
            put("students", "micro-llama", "runtime", "nodes", value=3),
            [
                "students.micro-llama.runtime: 2 ranks cannot be spread evenly over 3 nodes",
                "make num_ranks a multiple of nodes",
            ],
        ),
        (
            put("students", "micro-llama", "runtime", "sequence_parallel", value=4),
            [
                "students.micro-llama.runtime: 4 ranks share the tokens of a micro-batch, and the "
                "2 of a node are no multiple of that: lower sequence_parallel",
            ],
        ),
        (
            put(
                *("students", "micro-llama"),
                value={
                    "source": {"path": "somewhere"},
                    "architecture": {"num_attention_heads": 28, "num_key_value_heads": 4},
                    "runtime": {"num_ranks": 8, "sequence_parallel": 8},
                },
            ),
            ["students.micro-llama: runtime.sequence_parallel is 8, and the student's 28 heads"],
        ),
        (
            put("students", "micro-llama", "runtime", "gpu", value=1),
            ["students.micro-llama.runtime", "gpu is 1 and num_ranks 2: set gpu to 2 or to 0"],
        ),
        (
            put("teachers", "micro-teacher", "runtime", value={"nodes": 2, "gpu": 9}),
            ["teachers.micro-teacher.runtime", "9 cannot be spread evenly over 2 nodes: make gpu"],
        ),
        (
            put("annotators", "length", "runtime", value={"gpus": 1}),
            ["annotators.length.runtime.gpus: unknown key; did you mean 'gpu'?"],
        ),
        (
            put("annotators", "verbosity", value={"kind": "verbosity"}),
            ["annotators.verbosity: kind verbosity asks a model: add `engine` (openai"],
        ),
        (
            put("annotators", "length", value={"kind": "length", **ASKED}),
            ["annotators.length: kind length does not use a model: remove `engine`"],
        ),
        (
            put("annotators", "length", value={"kind": "length", "sampling": {}}),
            ["annotators.length: sampling without `engine`: add the engine"],
        ),
        (
            put("annotators", "length", value={"kind": "length", "runtime": ASKED["runtime"]}),
            ["annotators.length: runtime.server without `engine`"],
        ),
        (
            put("annotators", "verbosity", value={"kind": "verbosity", "engine": "micro"}),
            [
                "annotators.verbosity: engine micro cannot label traces",
                "openai or transformers or vllm",
            ],
        ),
        (
            put("annotators", "verbosity", value={"kind": "verbosity", "engine": "vllm"}),
            ["annotators.verbosity: engine vllm needs a `source`"],
        ),
        (
            put(
                "annotators", "verbosity", value={"kind": "verbosity", **ASKED, "engine_params": {}}
            ),
            ["annotators.verbosity.engine_params:", "model: Field required"],
        ),
        (
            put("annotators", "embedding", value={"kind": "hidden_states"}),
            ["annotators.embedding: kind hidden_states needs a `source`, the files of its model"],
        ),
        (
            put("annotators", "length", "source", value={"builtin": "micro-base"}),
            ["annotators.length: source without `engine`: add the engine"],
        ),
        (
            put("subsets", "long-300", "near", value="micro"),
            ["subsets.long-300.near: selector long does not use it: remove it"],
        ),
        (
            nearest("hashed_words"),
            ["subsets.nearest: selector nearest needs `near`, the pool whose questions it selects"],
        ),
        (nearest("hashed_words", near="limo"), ["subsets.nearest.near: unknown name 'limo'"]),
        (
            nearest("length", near="micro"),
            ["subsets.nearest: annotator embedding is of kind length, which labels traces"],
        ),
        (
            put("annotators", "domain", "kind", value="domain"),
            ["annotators.domain: kind domain asks a model"],
        ),
        (
            put(
                "annotators",
                "agreement",
                value={"kind": "agreement", "params": {"undecided": "fail"}, **ASKED},
            ),
            ["annotators.agreement.params:", "undecided: unknown key"],
        ),
        (
            put("students", "micro-llama", "source", value={"path": "x", "builtin": "micro-base"}),
            [
                "students.micro-llama.source",
                "exactly one of path, hub, package, builtin",
                "path",
                "builtin",
            ],
        ),
        (
            put("students", "micro-llama", "source", value={"hub": "a/b"}),
            ["students.micro-llama.source", "'a/b' needs `revision`: the 40-digit commit"],
        ),
        (put("pools", "micro", "source", value={"path": "x"}), ["pools.micro", "takes no source"]),
        (
            put("pools", "real", value={"kind": "natural_reasoning"}),
            ["pools.real: kind natural_reasoning needs a source"],
        ),
        (put("formats", "system2", "p", value=0.5), ["formats.system2: `p` belongs to"]),
        (
            put("formats", "random-mix", value={"kind": "random_mix"}),
            ["formats.random-mix: `p` belongs to kind random_mix, and random_mix needs it"],
        ),
        (
            put(
                "subsets",
                "Bad Name",
                value={
                    "pool": "micro",
                    "teacher": "micro-teacher",
                    "selector": "random",
                    "size": 3,
                },
            ),
            ["subsets.Bad Name: use lower-case letters"],
        ),
        (
            put("teachers", "micro-teacher", "params", value={"temperature": 1}),
            ["teachers.micro-teacher.params", "unknown key"],
        ),
        (put("study", value="a/b"), ["study: "]),
        (put("study", value="a" * 101), ["study: ", "at most 100 characters"]),
        (put("subsets", "a" * 101, value=LONG), [f"subsets.{'a' * 101}: it has 101 characters"]),
        (answers({"name": "a" * 101}), ["answers.0.name", "at most 100 characters"]),
        (put("subsets", "imported", value={}), ["subsets.imported"]),
        (answers({"benchmark": "gpqa"}), ["answers[0].benchmark: unknown name 'gpqa'"]),
        (answers({"name": "micro-llama"}), ["answers[0].name: 'micro-llama' is a student"]),
        (answers({}, {"path": "y"}), ["answers[1]: m already has answers", "in answers[0]; give"]),
        (answers({"columns": {"answer": "x"}}), ["answers.0.columns.answer", "'question_id'"]),
        (answers({"untagged": "x"}), ["answers.0.untagged", "'refuse', 'answer' or 'reasoning'"]),
    ],
)
def test_defect_is_named(demo: Config, edit: Callable[[Config], None], messages: list[str]) -> None:
    """The text says where the defect is and what would be right."""
    edit(demo)

    with pytest.raises(ValueError, match="the configuration has defects") as caught:
        load_study(demo)

    for message in messages:
        assert message in str(caught.value)


@pytest.mark.parametrize(
    ("quality", "said"),
    [
        ([], "quality: give at least 1"),
        ([{"label": "length", "weight": 0}], "quality.0.weight: Input should be greater than 0"),
        ([{"label": "length", "wieght": 1}], "quality.0.wieght: unknown key"),
    ],
)
def test_one_defect_is_one_line(demo: Config, quality: list[Any], said: str) -> None:
    """A list that an item with a defect leaves empty is no defect of its own."""
    subset = demo["subsets"]["random-300"]
    subset |= {"selector": "combine", "params": {"quality": quality}}

    with pytest.raises(ValueError) as caught:
        load_study(demo)

    assert len(str(caught.value).splitlines()) == 2 and said in str(caught.value)


def test_a_study_may_select_without_a_training(demo: Config) -> None:
    """Its seeds are `seeds`, or 0; nothing else runs."""
    names = ["random-300", "long-300"]
    demo |= {"runs": [], "report": {"title": "t", "subsets": names}}

    for seeds in ([], [3, 4]):
        plan = Plan(load_study({**demo, "seeds": seeds}))
        assert {(each["subset"], each["seed"]) for each in plan.subsets()} == {
            (name, seed) for name in names for seed in seeds or [0]
        }
        assert plan.annotations() and not plan.sft() and not plan.evals()


def compared(**changes: Any) -> Callable[[Config], None]:
    """Return an edit that gives the report one comparison."""
    side = {"subset": "random-300", "format": "system2", "mode": "think"}
    first = {"name": "x", "kind": "difference", "a": side, "b": {**side, "format": "system1"}}
    return put("report", "comparisons", value=[{**first, **changes}])


def published(**changes: Any) -> Callable[[Config], None]:
    """Return an edit that gives the report one published row."""
    row = {"table": "1", "row": "R", "accuracy": {"micro_free": 1.0}}
    return put("report", "published", value=[{**row, **changes}])


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (compared(a={"subset": "randm-300"}), "(x).a.subset: unknown name 'randm-300'; did you "
         "mean 'random-300'?"),
        (compared(b={"formt": "system1"}), "(x).b: unknown field 'formt'; did you mean 'format'?"),
        (compared(a={"mode": "thinks"}), "(x).a.mode: unknown name 'thinks'; did you mean 'think'"),
        (compared(a={"benchmark": ["micro_fre"]}), "(x).a.benchmark: unknown name 'micro_fre'"),
        (compared(a={"student": 3}), "(x).a.student: unknown name 3"),
        (compared(a={}), "the filter {} selects more than one score of seed"),
        (compared(kind="scaling", groups=[{"subset": "random-300"}]), "needs two groups or more"),
        (compared(kind="scaling", groups=[{}, {"subset": "x"}]), "(x).groups[1].subset: unknown"),
        (published(filter={"subset": "randm-300"}), "(table 1, R).filter.subset: unknown name"),
        (published(filter={"mode": "think"}), "(table 1, R): the filter"),
        (published(accuracy={"micro_fre": 1.0}), "unknown name 'micro_fre'; did you mean"),
        (put("subsets", "long-300", "size", value=True), "subsets.long-300.size: True stands for"),
        (put("report", "is_micro", value=1), "report.is_micro: 1 stands for another kind"),
        (put("runs", 1, "seeds", value=[True]), "runs.1.seeds: [True] stands for"),
        (put("subsets", "long-300", "params", value={"scale_tokens": True}), "scale_tokens: True"),
        (put("students", "micro-llama", "training", "learning_rate", value=float("nan")),
         "training.learning_rate: Input should be a finite number"),
        (put("students", "micro-llama", "training", "learning_rate", value="1e400"),
         "training.learning_rate: Input should be a finite number"),
        (put("pools", "micro", "source", value={"path": ""}), "pools.micro.source.path: an empty"),
        (answers({"path": ""}), "answers.0.path: an empty text"),
        (put("report", "earlier", value=""), "report.earlier: an empty text"),
        (put("subsets", "s", value={"pool": "micro", "teacher": "micro-teacher", "size": 3,
             "selector": "strategies", "params": {"r_min": 9}}), "r_min 9 is above r_max 8"),
    ],
)  # fmt: skip
def test_what_would_fail_in_the_last_job_fails_here(
    demo: Config, edit: Callable[[Config], None], message: str
) -> None:
    """A report is made last; a value that means something else is found never."""
    edit(demo)
    with pytest.raises(ValueError, match=re.escape(message)):
        load_study(demo)


def test_two_comparisons_of_one_name_are_refused(demo: Config) -> None:
    compared()(demo)
    load_study(demo)
    demo["report"]["comparisons"] *= 2
    with pytest.raises(
        ValueError, match=r"comparisons\[1\]\.name: 'x' is the name of comparisons\[0\]"
    ):
        load_study(demo)


def test_defects_are_listed_one_per_line(demo: Config) -> None:
    demo["studi"] = 1
    demo["pools"]["micro"]["num_shards"] = 0

    with pytest.raises(ValueError, match="defects") as caught:
        load_study(demo)

    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize(
    "source",
    [
        {"path": "x"},
        {"builtin": "micro-base"},
        {"hub": "a/b", "revision": COMMIT},
        {"hub": "a/b", "revision": COMMIT[:7]},
    ],
)
def test_sources_that_are_right(source: Config) -> None:
    assert Source(**source).model_dump(exclude_defaults=True) == source


@pytest.mark.parametrize("revision", ["main", COMMIT[:-1], COMMIT[:6], COMMIT.replace("0", "G")])
def test_revision_is_a_commit(revision: str) -> None:
    with pytest.raises(ValueError, match="revision"):
        Source(hub="a/b", revision=revision)


def test_paper_defaults() -> None:
    """Section 4 of the paper."""
    training = Training()

    assert (training.learning_rate, training.weight_decay) == (2e-5, 0.1)
    assert training.tokens_per_step == 400_000
    assert training.max_response_tokens == Sampling().max_tokens == 16_384
    assert Format(kind="system2").think_words == 3500


@pytest.mark.parametrize(
    ("num", "epochs"), [(1, 10), (1_000, 10), (9_999, 10), (10_000, 6), (99_999, 6), (500_000, 8)]
)
def test_epochs_of_the_paper(num: int, epochs: int) -> None:
    assert Training().num_epochs(num) == epochs
    fixed = Training().with_epochs(epochs)
    assert [fixed.num_epochs(left) for left in (1, num)] == [epochs] * 2


@pytest.mark.parametrize("epochs", [{}, {10: 3}, {0: 0}])
def test_epochs_cover_every_number(epochs: dict[int, int]) -> None:
    with pytest.raises(ValueError, match="epochs needs an entry for 0"):
        Training(epochs=epochs)


CATALOGUES = sorted(
    f"{name}.yaml"
    for name in ("baselines", "paper_pool", "paper_models", "paper_annotators", "paper_benchmarks")
)
STUDIES = sorted(
    path.name
    for path in (ROOT / "config").glob("*.yaml")
    if "\nstudy: " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_stands_alone(name: str) -> None:
    load_study(read_study([ROOT / "config" / name]))


def test_there_are_studies() -> None:
    """A glob that finds nothing would test nothing."""
    assert set(STUDIES) >= {
        "demo.yaml",
        "paper.yaml",
        "paper_small.yaml",
        "real_rows.yaml",
        "real_model.yaml",
    }


@pytest.mark.parametrize("name", CATALOGUES)
def test_every_catalogue_can_be_included(tmp_path: Path, name: str) -> None:
    """By a study that brings none of its entries' neighbours along."""
    path = tmp_path / "mine.yaml"
    path.write_text(STUDY_OF_ONE.format(include=ROOT / "config" / name))

    assert load_study(read_study([path])).study == "one"


def test_a_study_inherits_nothing_of_the_demo() -> None:
    """Neither its note nor its comparisons, and its numbers do not count as the micro-world's."""
    demo = load_study(read_study([ROOT / "config" / "demo.yaml"]))
    for name in ("real_rows.yaml", "paper.yaml"):
        found = load_study(read_study([ROOT / "config" / name]))

        assert not found.report.is_micro and found.report.notes != demo.report.notes
        for section in ("pools", "teachers", "subsets", "students"):
            assert not set(getattr(found, section)) & set(getattr(demo, section))
        names = {each.name for each in found.report.comparisons}
        others = {each.name for each in demo.report.comparisons}
        assert names & others <= {"long_vs_random"}  # a comparison of real_rows.yaml's own


def test_the_base_holds_what_needs_no_choice() -> None:
    """Every study has it, so it may depend on no model, no pool and no parameter."""
    base = read_study([BASE])

    assert set(base) == {"annotators"}
    assert all(set(entry) == {"kind"} for entry in base["annotators"].values())


def test_overlay_makes_an_annotator_ask_a_model(demo: Config) -> None:
    """The parameters of the file under it do not fit its kind; null takes them away."""
    demo["annotators"]["domain"] |= {"kind": "domain", "params": None, **ASKED}

    found = load_study(demo).annotators["domain"]

    assert (found.params, found.sampling.temperature, found.sampling.max_tokens) == ({}, 0, 1024)


def test_overlay_exchanges_the_engine_of_an_annotator(demo: Config) -> None:
    """With null for what the engine of the file under it had, and the new one refuses."""
    under = {"engine": "vllm", "engine_params": {"max_model_len": 8192}, "source": {"path": "m"}}
    over = {**ASKED, "engine_params": {"max_model_len": None, "model": "judge"}, "source": None}
    demo["annotators"]["agreement"] = {"kind": "agreement", **under}
    load_study(demo)
    demo["annotators"]["agreement"] |= over

    found = load_study(demo).annotators["agreement"]

    assert (found.engine_params, found.source) == ({"model": "judge"}, None)


def test_checking_a_study_leaves_it_alone(demo: Config) -> None:
    before = deepcopy(demo)

    assert load_study(demo).study == "demo"
    assert demo == before


def test_json_schema_describes_every_key() -> None:
    """Editors show these texts."""
    definitions = json_schema()["$defs"]

    assert set(definitions) >= {"Pool", "Teacher", "Subset", "Format", "Student", "Benchmark"}
    assert "description" in definitions["Subset"]["properties"]["size"]
    assert all(each["additionalProperties"] is False for each in definitions.values())


def test_ranks_that_share_tokens_have_equal_parts_of_the_heads() -> None:
    for ranks in (1, 2, 4):
        Runtime(num_ranks=8, sequence_parallel=ranks).check_heads(28, 4)
    with pytest.raises(ValueError, match=r"4 key and value heads are no multiple.* set it to 4 or"):
        Runtime(num_ranks=8, sequence_parallel=8).check_heads(32, 4)
