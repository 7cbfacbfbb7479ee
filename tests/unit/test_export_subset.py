"""An exported subset: what `datasets` reads from it, and what its card says."""

import json
from pathlib import Path
from typing import Any

import datasets
import pytest
import yaml

from nt_pkg.engines._base import request_key
from nt_pkg.export import rows as export_rows
from nt_pkg.files import layout
from nt_pkg.files.json_files import canonical, read_json, sha256_file, write_json
from nt_pkg.files.parquet import read_parquet
from nt_pkg.files.schemas import SUBSET
from nt_pkg.plan.study_plan import Plan
from nt_pkg.plan.validate import load_study
from scripts import (
    annotate,
    export_subset,
    fetch_asset,
    generate_traces,
    ingest_pool,
    select_subset,
    shard_prompts,
    summarise_traces,
)

NAMES = {"pool": "ours", "teacher": "recorded"}
STUDY: dict[str, Any] = {
    "study": "mine",
    "pools": {
        "ours": {
            "kind": "table",
            "source": {"path": "rows.jsonl", "license": "cc-by-4.0"},
            "params": {"question": "q", "reasoning": "why", "answer": "a", "reference": "gold"},
            "num_shards": 2,
            "expected_rows": 11,
        }
    },
    "teachers": {"recorded": {"engine": "replay"}},
    "annotators": {
        "length": {"kind": "length"},
        # One job labels both shards.
        "grade": {
            "kind": "column", "params": {"column": "grade"}, "runtime": {"rows_per_job": 100}
        },
    },
    "subsets": {
        "longest": {
            **NAMES, "selector": "long", "size": 5, "params": {"scale_tokens": 4, "power": 9}
        }
    },
    "formats": {"whole": {"kind": "system2"}},
    "students": {"small": {"source": {"builtin": "micro-base"}, "training": {}}},
    "benchmarks": {"words": {"kind": "micro_free"}},
    "runs": [
        {"students": ["small"], "subsets": ["longest"], "formats": ["whole"], "seeds": [3],
         "benchmarks": ["words"], "modes": ["think"]}
    ],
    "report": {"title": "Mine", "annotators": ["grade"]},
}  # fmt: skip
ROWS = [
    {"q": f"What is {n} + {n}?", "why": "So " * (n + 1), "a": f"{2 * n}", "gold": 2 * n,
     "grade": None if n == 4 else n / 10}
    for n in range(9)
]  # fmt: skip


def make_subset(settings: dict[str, Any]) -> Plan:
    """Run the stages of a study up to its selections, in this process."""
    Path("mine.yaml").write_text(yaml.safe_dump(settings))
    plan = Plan(load_study(settings))
    names = json.dumps(NAMES)
    asset = layout.artifact(layout.ASSET, kind="pools", name="ours")
    pool = layout.artifact(layout.POOL, pool="ours")
    prompts = layout.artifact(layout.PROMPTS, pool="ours")
    source = plan.study.pools["ours"].source
    assert source is not None
    fetch_asset.main(
        ["--spec", plan.asset_spec("pools", "ours"), "--source", source.model_dump_json(),
         "--out", str(asset)]
    )  # fmt: skip
    ingest_pool.main(
        ["--spec", plan.pool_spec("ours"), "--names", names, "--source", str(asset), "--out",
         str(prompts), "--dropped", str(pool.with_name("dropped.parquet")), "--manifest", str(pool)]
    )  # fmt: skip
    traces, labels = [], []
    for values in plan.traces():
        shard = prompts.with_name(f"shard-{values['shard']}.parquet")
        shard_prompts.main(
            ["--prompts", str(prompts), "--shard", str(values["shard"]), "--num-shards",
             str(values["num_shards"]), "--out", str(shard)]
        )  # fmt: skip
        traces.append(str(layout.artifact(layout.TRACES, **values)))
        generate_traces.main(
            ["--spec", plan.trace_spec("recorded"), "--names", names, "--prompts", str(shard),
             "--out", traces[-1]]
        )  # fmt: skip
    for values in plan.annotations():
        labels.append(str(layout.artifact(layout.LABELS, **values)))
        about = [
            each["shard"] for each in plan.shards_in("ours", values["shard"], values["num_shards"])
        ]
        annotate.main(
            ["--spec", plan.annotator_spec(values["annotator"]), "--names",
             json.dumps({**NAMES, "annotator": values["annotator"]}), "--prompts",
             *(str(prompts.with_name(f"shard-{at}.parquet")) for at in about), "--traces",
             *(traces[at] for at in about), "--out", labels[-1]]
        )  # fmt: skip
    assert [
        len([path for path in labels if f"/{name}/" in path]) for name in ("length", "grade")
    ] == [2, 1]
    summarise_traces.main(
        ["--spec", plan.statistics_spec(), "--names", names, "--traces", *traces, "--out",
         str(layout.artifact(layout.TRACE_STATISTICS, **NAMES))]
    )  # fmt: skip
    for values in plan.subsets():
        wanted = [path for path in labels if "/length/" in path]
        select_subset.main(
            ["--spec", plan.subset_spec(values["subset"]), "--names", names, "--seed",
             str(values["seed"]), "--traces", *traces, "--labels", *wanted, "--out",
             str(layout.artifact(layout.SUBSET, **values)), "--manifest",
             str(layout.artifact(layout.SUBSET_MANIFEST, **values))]
        )  # fmt: skip
    return plan


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a folder with a selection of nine good lines, one that was cut and one duplicate."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("NT_WORK", str(folder / "work"))
        lines = [
            *map(json.dumps, ROWS),
            '{"q": "What',
            json.dumps({**ROWS[0], "q": "what is 0 + 0?"}),
        ]
        Path("rows.jsonl").write_text("\n".join(lines))
        yield folder, make_subset(STUDY)


@pytest.fixture
def plan(made: tuple[Path, Plan], monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.chdir(made[0])
    return made[1]


def export(out: Path, *options: str) -> datasets.Dataset:
    arguments = ["--configfile", "mine.yaml", "--subset", "longest", "--seed", "3", *options]
    assert export_subset.main([*arguments, "--out", str(out)]) == 0
    return datasets.load_dataset(str(out), cache_dir=str(out.parent / "cache"))


def test_datasets_opens_it_and_every_row_names_its_origin(plan: Plan, tmp_path: Path) -> None:
    found = export(tmp_path / "out")

    assert list(found) == ["train"] and found["train"].num_rows == 5
    subset = {r["id"]: r for r in read_parquet(layout.artifact(layout.SUBSET, **_names()), SUBSET)}
    for row in found["train"]:
        source = ROWS[row["source_row"]]
        assert row["messages"] == [
            {"role": "user", "content": source["q"]},
            {"role": "assistant",
             "content": f"<think>\n{str(source['why']).strip()}\n</think>\n\n{source['a']}"},
        ]  # fmt: skip
        assert row["reference_answer"] == str(source["gold"])
        assert row["annotations"]["grade"] == source["grade"]
        assert row["annotations"]["length"]["num_steps"] == 1
        assert (row["rank"], row["score"]) == (
            subset[row["id"]]["rank"],
            subset[row["id"]]["score"],
        )
        assert (row["pool"], row["teacher"], row["selector"]) == ("ours", "recorded", "long")
    assert sorted(found["train"]["rank"]) == [0, 1, 2, 3, 4]


def _names() -> dict[str, Any]:
    return {**NAMES, "subset": "longest", "seed": 3}


def test_request_is_the_one_that_the_teacher_got(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its digest is the key under which the journal of the job kept the text."""
    asked: dict[str, str] = {}

    def noted(identity: Any, sampling: Any, request: Any) -> str:
        asked[request.id] = request_key(identity, sampling, request)
        return asked[request.id]

    monkeypatch.setattr("nt_pkg.engines._base.request_key", noted)
    shard = layout.artifact(layout.PROMPTS, pool="ours")
    generate_traces.main(
        ["--spec", plan.trace_spec("recorded"), "--names", "{}", "--prompts", str(shard), "--out",
         str(tmp_path / "again.parquet")]
    )  # fmt: skip

    found = export(tmp_path / "out")["train"]

    assert len(asked) == len(ROWS)
    assert dict(zip(found["id"], found["request"], strict=True)).items() <= asked.items()


@pytest.mark.parametrize("rows", [50_000, 2])
def test_shapes_and_files(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(export_rows, "FILE_ROWS", rows)
    monkeypatch.setattr(export_rows, "_GROUP_ROWS", min(rows, 1000))

    pairs = export(tmp_path / "pairs", "--shape", "prompt_completion", "--split", "test")["test"]
    parts = export(tmp_path / "parts", "--shape", "parts")["train"]

    assert len(list((tmp_path / "pairs" / "data").iterdir())) == (1 if rows > 5 else 3)
    assert pairs["id"] == parts["id"] == sorted(parts["id"])
    for pair, part in zip(pairs, parts, strict=True):
        assert pair["prompt"] == [{"role": "user", "content": part["question"]}]
        said = f"<think>\n{part['reasoning']}\n</think>\n\n{part['answer']}"
        assert pair["completion"] == [{"role": "assistant", "content": said}]


def test_card_says_how_it_was_made(plan: Plan, tmp_path: Path) -> None:
    export(tmp_path / "out")

    text = (tmp_path / "out" / "README.md").read_text()

    front = yaml.safe_load(text.split("---\n")[1])
    assert front["license"] == "cc-by-4.0" and front["size_categories"] == ["n<1K"]
    assert front["configs"][0]["data_files"] == [{"split": "train", "path": "data/train-*"}]
    for said in (
        "Long: keep a trace with probability (l / C) ** tau",
        "| scale_tokens | 4.0 |",
        "| rows read from the source | 11 |",
        "| dropped: unreadable | 1 |",
        "| dropped: duplicate | 1 |",
        "| traces: ok | 9 |",
        "The pool was not searched for text of benchmarks.",
        "| pool | ours | table | rows.jsonl, digest of its files ",
        "| teacher | recorded | replay | no files | none of its own |",
        sha256_file(next((tmp_path / "out" / "data").iterdir())),
        read_json(layout.artifact(layout.SUBSET_MANIFEST, **_names()))["sha256"],
        "python -m scripts.export_subset --configfile mine.yaml --subset longest --seed 3",
        "| grade | column | column grade | A column of the pool's table as a label:",
    ):
        assert said in text
    assert str(Path.cwd()) not in text and "unknown" not in text and str(tmp_path) not in text


def test_study_of_another_folder_is_exported_from_here(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --directory; the card names no folder above the project."""
    there = Path.cwd()
    monkeypatch.chdir(tmp_path)
    export_subset.main(
        ["--configfile", str(there / "mine.yaml"), "--directory", str(there), "--subset",
         "longest", "--seed", "3", "--out", "mine"]
    )  # fmt: skip

    text = Path("mine/README.md").read_text()
    assert list(Path("mine/data").iterdir())
    assert f"--directory {there.name} --configfile mine.yaml" in text
    assert str(there) not in text and str(tmp_path) not in text


def test_benchmarks_appear_by_their_names_and_counts(plan: Plan, tmp_path: Path) -> None:
    path = layout.artifact(layout.POOL, pool="ours")
    whole = read_json(path)
    account = {
        "rule": "plain", "ngram": 13,
        "benchmarks": {"gpqa": {"questions": 198, "short_questions": 0, "contaminated_rows": 2}},
        "matches": [{"source_row": 1, "benchmark": "gpqa", "question": "recX", "shared_ngrams": 4}],
    }  # fmt: skip
    write_json(path, {**whole, "decontamination": account, "contaminated": 2})
    try:
        export(tmp_path / "out")
    finally:
        write_json(path, whole)

    text = (tmp_path / "out" / "README.md").read_text()
    assert "| gpqa | 198 | 2 |" in text and "| dropped: contaminated | 2 |" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--subset", "nothing"], "unknown name 'nothing'; subsets has longest"),
        (["--seed", "4"], "does not select the subset with seed 4; it does with --seed 3"),
        (["--directory", "empty"], "has not been selected with seed 3: run the study's target"),
        (["--out", "."], "is there already"),
    ],
)
def test_what_cannot_be_exported(
    plan: Plan, tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--configfile", "mine.yaml", "--subset", "longest", "--seed", "3"]
    Path("empty").mkdir(exist_ok=True)

    with pytest.raises(SystemExit):
        export_subset.main([*arguments, "--out", str(tmp_path / "out"), *options])

    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_selection_of_other_settings_is_refused(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = {**STUDY, "subsets": {"longest": {**STUDY["subsets"]["longest"], "params": {}}}}
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(changed))
    arguments = ["--configfile", str(tmp_path / "other.yaml"), "--subset", "longest", "--seed", "3"]

    with pytest.raises(SystemExit):
        export_subset.main([*arguments, "--out", str(tmp_path / "out")])

    assert "was selected with other settings or code" in capsys.readouterr().err


def test_licence_changes_no_asset(plan: Plan) -> None:
    """It is for people: nothing is fetched again."""
    source = plan.study.pools["ours"].source
    assert source is not None
    hub = {"hub": "org/name", "revision": "0" * 40}
    specs = []
    for more in ({}, {"license": "mit"}):
        pools = {"ours": {**STUDY["pools"]["ours"], "source": {**hub, **more}}}
        specs.append(Plan(load_study({**STUDY, "pools": pools})).asset_spec("pools", "ours"))
    assert specs[0] == specs[1] == canonical(hub)
