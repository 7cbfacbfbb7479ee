"""What a user gets to see when something is wrong: one message that says what to do."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from nt_pkg.config.load import read_study
from nt_pkg.files.json_files import sha256_file, write_json
from nt_pkg.files.parquet import read_parquet, write_parquet
from nt_pkg.files.schemas import ANNOTATIONS, DROPPED, PROMPTS, TRACES
from nt_pkg.plan.validate import load_study
from scripts import (
    annotate,
    build_report,
    ingest_pool,
    select_subset,
    shard_prompts,
    summarise_traces,
)

ROOT = Path(__file__).parents[2]
STUDY = ROOT / "tests" / "study.yaml"


def dry_run(
    folder: Path, overlay: str = "", wrapper: Sequence[str] = ()
) -> "subprocess.CompletedProcess[str]":
    """Return `snakemake -n` of the tests' study with more in a file behind it."""
    arguments = ["-n", "-q", "-s", str(ROOT / "Snakefile"), "--directory", str(folder)]
    arguments += ["--configfile", str(STUDY)]
    if overlay:
        path = folder / "overlay.yaml"
        path.write_text(overlay)
        arguments += [str(path)]
    return subprocess.run(
        [*wrapper, sys.executable, "-m", "snakemake", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XDG_CACHE_HOME": str(folder / "cache")},
    )


def assert_one_clean_message(done: "subprocess.CompletedProcess[str]", *parts: str) -> None:
    """Fail unless the run failed and said each part once, without a trace of Python."""
    text = done.stdout + done.stderr
    assert done.returncode != 0, text
    for part in parts:
        assert text.count(part) == 1, text
    for trace in ("Traceback", 'File "', "Exception", "Error"):
        assert trace not in text, text


@pytest.mark.parametrize(
    ("overlay", "parts"),
    [
        (
            "subsets: {long-300: {sise: 3}, topics-300: {selector: topic}}",
            ["error: the configuration has defects", "subsets.long-300.sise: unknown key; did you "
             "mean 'size'?"],
        ),
        (
            "subsets: {topics-300: {selector: topic}}",
            ["subsets.topics-300: unknown selector 'topic'; there are "],
        ),
        (
            "subsets: {random-300: {size: 7000}}",
            ["subsets.random-300.size: 7000 examples were asked for, pool 'micro' has at most 6000 "
             "rows: lower the size or enlarge the pool"],
        ),
        (
            "students: {micro-llama: {source: {builtin: null, path: /nowhere/x}}}",
            ["error: students.micro-llama.source.path: /nowhere/x does not", "correct the path"],
        ),
        (
            "report: {earlier: results/report/demo}",
            ["error: report.earlier: results/report/demo is where this study's own report is "
             "written: copy it first (cp -r results/report/demo results/report/demo-before)"],
        ),
    ],
)  # fmt: skip
def test_bad_configuration(tmp_path: Path, overlay: str, parts: list[str]) -> None:
    assert_one_clean_message(dry_run(tmp_path, overlay), *parts)


def test_results_that_cannot_be_written(tmp_path: Path) -> None:
    """Root may write everywhere, so it has to give that right up first."""
    folder = tmp_path / "mine"
    (folder / "results").mkdir(parents=True)
    (folder / "results").chmod(0o555)
    wrapper = []
    if os.geteuid() == 0:
        rights = "-dac_override,-dac_read_search"
        wrapper = ["setpriv", f"--bounding-set={rights}", "--inh-caps=-all"]

    done = dry_run(folder, wrapper=wrapper)

    assert_one_clean_message(
        done, f"error: {folder / 'results'} cannot be written", "run in a folder of your own"
    )


@pytest.mark.parametrize(
    ("overlay", "part"),
    [
        ("subsets: {long-300: {sise: 3}}", "did you mean 'size'?"),
        ("subsets: [", "overlay.yaml is not valid YAML"),
        ("- a", "overlay.yaml must hold `key: value` pairs, not a list"),
        (None, "overlay.yaml does not exist"),
    ],
)
def test_launcher_says_it_before_it_starts_anything(
    tmp_path: Path, overlay: str | None, part: str
) -> None:
    if overlay is not None:
        (tmp_path / "overlay.yaml").write_text(overlay)

    done = subprocess.run(
        [sys.executable, "-m", "scripts.study", "--configfile", str(STUDY), "overlay.yaml"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )

    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert part in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "logs").exists()


# Rows.


def pool_file(path: Path) -> None:
    """Write a pool of fifteen rows of which one can be used, and a blank line."""
    lines: list[bytes] = [
        json.dumps({"reference_answer": None, **row}).encode()
        for row in (
            {"question": "How far is it?", "reference_answer": "3"},
            {"question": None},
            {"reference_answer": "4", "title": "no question"},
            {"question": ""},
            {"question": " \n\t"},
            {"question": "how  FAR is it?"},
            {"question": "x" * 2**20},
            {"question": "Is <think> in </think> here?"},
            {"question": 7},
            {"question": "half a pair \ud800"},
            {"question": "How near is it?", "reference_answer": 5},
        )
    ]
    lines += [
        b'{"question": "caf\xe9"}',
        b'{"question": "cut off',
        b'{"question": "Bare?"}',
        b"",
        b"[]",
    ]
    path.write_bytes(b"\n".join(lines) + b"\n")


def source(folder: Path) -> Path:
    return folder / "source"


def ingest_into(out: Path, folder: Path) -> int:
    digests = {path.name: sha256_file(path) for path in folder.iterdir()}
    write_json(folder / "manifest.json", {"files": digests})
    return ingest_pool.main(
        [
            "--spec", '{"kind":"natural_reasoning","params":{"second_answer":null}}',
            "--names", '{"pool":"bad"}',
            "--source", str(folder / "manifest.json"),
            "--out", str(out / "all.parquet"),
            "--dropped", str(out / "dropped.parquet"),
            "--manifest", str(out / "pool.json"),
        ]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"question": "<think>"}\n{"prompt": "a"}\n{"prompt": "b"}',
            r"all 3 rows .*\(2 missing_question, 1 ",
        ),
        ("not JSON", "all 1 rows .* as unreadable: 'not JSON'"),
        ("\n\n", "hold no rows"),
        ("", "hold no rows"),
    ],
)
def test_pool_without_a_usable_row_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    """Everything behind it would be empty too."""
    source(tmp_path).mkdir()
    (source(tmp_path) / "pool.jsonl").write_text(text)

    with pytest.raises(ValueError, match=message):
        ingest_into(tmp_path / "out", source(tmp_path))
    assert not (tmp_path / "out" / "pool.json").exists()


def test_every_bad_row_is_counted_with_its_reason(tmp_path: Path) -> None:
    out = tmp_path / "out"
    source(tmp_path).mkdir()
    pool_file(source(tmp_path) / "pool.jsonl")

    assert ingest_into(out, source(tmp_path)) == 0
    kept = read_parquet(out / "all.parquet", PROMPTS)
    assert {row["question"] for row in kept} == {"How far is it?"}
    dropped = read_parquet(out / "dropped.parquet", DROPPED)
    reasons = {row["source_row"]: row["reason"] for row in dropped}
    assert reasons == {
        1: "missing_question",
        2: "missing_question",
        3: "empty",
        4: "empty",
        5: "duplicate",
        6: "too_long",
        7: "reasoning_tags",
        8: "wrong_type",
        9: "not_utf8",
        10: "wrong_type",
        11: "not_utf8",
        12: "unreadable",
        13: "missing_column",
        14: "wrong_type",
    }
    manifest = json.loads((out / "pool.json").read_text())
    assert (manifest["read"], manifest["kept"]) == (15, 1)
    counted = {reason: manifest[reason] for reason in set(reasons.values())}
    assert counted == {r: list(reasons.values()).count(r) for r in set(reasons.values())}
    assert max(len(row["excerpt"]) for row in dropped) <= 200


TRACE = {
    "status": "ok", "reasoning": "r", "answer": "a", "prompt_tokens": 1, "completion_tokens": 2,
    "finish_reason": "stop", "error": None,
}  # fmt: skip
PROMPT = {
    "question": "q", "reference_answer": None, "second_answer": None, "replay": None,
    "columns": None, "source_row": 0,
}  # fmt: skip


@pytest.fixture
def shards(tmp_path: Path) -> dict[str, Path]:
    """Return good prompts, traces and labels of one shard."""
    names = {"pool": "p", "teacher": "t", "annotator": "length"}
    paths = {name: tmp_path / f"{name}.parquet" for name in ("prompts", "traces", "labels")}
    ids = [f"{n:032x}" for n in range(3)]
    value = '{"num_steps": 1, "num_tokens": 2}'
    label = {"status": "ok", "value": value, "error": None}
    write_parquet(paths["prompts"], PROMPTS, [{"id": i, **PROMPT} for i in ids])
    write_parquet(paths["traces"], TRACES, [{"id": i, **TRACE} for i in ids], names)
    write_parquet(paths["labels"], ANNOTATIONS, [{"id": i, **label} for i in ids], names)
    return paths


def run_select(shards: dict[str, Path], out: Path) -> None:
    select_subset.main(
        [
            "--spec", '{"selector":"long","size":2,"params":{}}',
            "--names", '{"subset":"x"}',
            "--seed", "0",
            "--traces", str(shards["traces"]),
            "--labels", str(shards["labels"]),
            "--out", str(out),
            "--manifest", str(out.with_suffix(".json")),
        ]
    )  # fmt: skip


def run_annotate(shards: dict[str, Path], out: Path) -> None:
    annotate.main(
        [
            "--spec", '{"kind":"length","params":{}}',
            "--names", "{}",
            "--prompts", str(shards["prompts"]),
            "--traces", str(shards["traces"]),
            "--out", str(out),
        ]
    )  # fmt: skip


def run_shard(shards: dict[str, Path], out: Path) -> None:
    shard_prompts.main(
        [
            "--prompts",
            str(shards["prompts"]),
            "--shard",
            "0",
            "--num-shards",
            "2",
            "--out",
            str(out),
        ]
    )


def run_summarise(shards: dict[str, Path], out: Path) -> None:
    summarise_traces.main(
        ["--spec", "{}", "--names", "{}", "--traces", str(shards["traces"]), "--out", str(out)]
    )


CONSUMERS = [
    (run_select, "traces"),
    (run_select, "labels"),
    (run_annotate, "prompts"),
    (run_annotate, "traces"),
    (run_shard, "prompts"),
    (run_summarise, "traces"),
]


@pytest.mark.parametrize(("script", "damaged"), CONSUMERS)
def test_shard_that_a_crash_cut_off(
    shards: dict[str, Path], tmp_path: Path, script: object, damaged: str
) -> None:
    """The script works with whole shards, and names the one that is not."""
    assert callable(script)
    script(shards, tmp_path / "good.parquet")
    path = shards[damaged]
    path.write_bytes(path.read_bytes()[:200])

    with pytest.raises(
        ValueError, match=rf"{damaged}\.parquet cannot be read.*cut it off.*Move it elsewhere"
    ):
        script(shards, tmp_path / "out.parquet")

    assert not (tmp_path / "out.parquet").exists()


def test_report_of_a_label_shard_that_was_cut_off(shards: dict[str, Path], tmp_path: Path) -> None:
    shards["labels"].write_bytes(shards["labels"].read_bytes()[:200])
    empty = tmp_path / "empty.json"
    empty.write_text("{}")
    files = {name: empty for name in ("pools", "traces", "manifests", "examples", "runs", "scores")}
    files |= {"labels": shards["labels"], "subsets": shards["labels"]}
    files |= {"prompts": shards["prompts"], "texts": shards["traces"]}
    arguments = [text for name, path in files.items() for text in (f"--{name}", str(path))]

    with pytest.raises(ValueError, match=r"labels\.parquet cannot be read"):
        build_report.main(
            [
                "--spec",
                '{"study":"x","report":{"title":"x"},"chance":{},"labels":{},"subsets":{}}',
                *arguments,
                "--timings", str(tmp_path),
                "--out", str(tmp_path / "report" / "index.html"),
            ]
        )  # fmt: skip


def test_study_itself_is_planned(tmp_path: Path) -> None:
    """The cases above fail for their own reason."""
    load_study(read_study([STUDY]))

    done = dry_run(tmp_path)

    assert done.returncode == 0, done.stderr
