"""Annotators that ask a model, through their script and a server that answers well and badly."""

import dataclasses
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nt_pkg.annotators._ask import Asker
from nt_pkg.config.engines import EngineRuntime, Server
from nt_pkg.files.parquet import read_parquet, write_parquet
from nt_pkg.files.schemas import ANNOTATIONS, PROMPTS, TRACES
from nt_pkg.jobs.work_dir import forget_finished
from nt_pkg.plan.study_plan import Plan
from nt_pkg.plan.validate import load_study
from nt_pkg.plugins.registry import names, plugin
from scripts.annotate import main
from tests.unit.conftest import ROOT
from tests.unit.fake_openai import MODEL, Fake, serving

ASKING = [name for name in names("annotators") if isinstance(plugin("annotators", name), Asker)]
GOOD = {
    "domain": ('{"domain": "Law"}', "Law"),
    "strategies": ('{"strategies": ["Plan", "Check"]}', ["Plan", "Check"]),
    "verbosity": ('{"verbosity": 3}', 3),
}
ENTRY = {"engine": "openai", "engine_params": {"model": MODEL}}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def fake() -> Iterator[Fake]:
    with serving() as server:
        yield server


def shard(*answers: tuple[str, str | None], status: str = "ok") -> None:
    """Write a shard of one prompt and trace per pair of answers; ids are their numbers."""
    ids = [str(number) for number in range(len(answers))]
    prompts = [
        {"id": i, "question": f"question {i}", "reference_answer": "b", "second_answer": other,
         "replay": None, "columns": None, "source_row": 0}
        for i, (_, other) in zip(ids, answers, strict=True)
    ]  # fmt: skip
    traces = [
        {"id": i, "status": status, "reasoning": f"reasoning {i}", "answer": mine,
         "prompt_tokens": 1, "completion_tokens": 2, "finish_reason": "stop", "error": None}
        for i, (mine, _) in zip(ids, answers, strict=True)
    ]  # fmt: skip
    write_parquet(Path("prompts.parquet"), PROMPTS, prompts)
    write_parquet(Path("traces.parquet"), TRACES, traces)


def spec_of(demo: dict[str, Any], url: str, kind: str, **entry: Any) -> str:
    runtime = {"server": {"base_url": url}}
    demo["annotators"]["asked"] = {"kind": kind, **ENTRY, "runtime": runtime, **entry}
    return Plan(load_study(demo)).annotator_spec("asked")


def arguments(spec: str, url: str) -> list[str]:
    """Return the script's arguments, for one request at a time."""
    server = Server(base_url=url, backoff_seconds=0.01, retries=1)
    runtime = EngineRuntime(batch=1, server=server).model_dump_json()
    files = ["--prompts", "prompts.parquet", "--traces", "traces.parquet", "--model"]
    return ["--spec", spec, "--names", "{}", "--runtime", runtime, *files, "--out", "out.parquet"]


def label(spec: str, url: str) -> list[tuple[str, Any, str | None]]:
    """Run the script; return status, value and reason of each row."""
    main(arguments(spec, url))
    rows = read_parquet(Path("out.parquet"), ANNOTATIONS)
    return [(r["status"], r["value"] and json.loads(r["value"]), r["error"]) for r in rows]


def row_of(prompt: str) -> str:
    """Return the id of the row that a prompt is about."""
    return re.findall(r"question (\d)", prompt)[0]


def answers(fake: Fake, steps: dict[str, Any]) -> None:
    """Let the server treat what is asked about a row as told; texts are good responses."""

    class Plan(dict[str, Any]):
        def get(self, question: str, default: Any = None) -> Any:
            found = steps[row_of(question)]
            is_text = isinstance(found, str) and found != "wait"
            return [{"message": {"content": found}} if is_text else found]

    fake.plan = Plan()


@pytest.mark.parametrize("kind", ASKING)
def test_good_sloppy_and_bad_answers(demo: dict[str, Any], fake: Fake, kind: str) -> None:
    """Each row has its label, or stays as a failed one with the reason."""
    text, value = GOOD[kind]
    shard(*[("a", "b")] * 6)
    answers(
        fake,
        {
            "0": text,
            "1": f"<think> Hm. {{}} </think> Of course!\n```json\n{text}\n```",
            "2": "I would rather not say.",
            "3": {"message": {"content": text}, "finish_reason": "length"},
            "4": (400, {}),
            "5": text,
        },
    )

    found = label(spec_of(demo, fake.url, kind), fake.url)

    assert [found[i] for i in (0, 1, 5)] == [("ok", value, None)] * 3
    assert [row[:2] for row in found[2:5]] == [("failed", None)] * 3
    assert "the answer " in found[2][2]
    assert found[3][2] == "the answer was cut off after 5 tokens"
    assert "400" in found[4][2]
    schema = plugin("annotators", kind).ask.schema
    for body in fake.asked:
        assert body["response_format"]["json_schema"]["schema"] == schema
        assert (body["temperature"], body["max_tokens"]) == (0, 1024)


def test_label_with_half_an_emoji_is_repaired(demo: dict[str, Any], fake: Fake) -> None:
    """It would be stored, and later stop the selection from the whole pool."""
    shard(("a", "b"))
    answers(fake, {"0": '{"strategies": ["Plan \\ud83d", "\\ud83d\\ude00"]}'})

    found = label(spec_of(demo, fake.url, "strategies"), fake.url)

    assert found == [("ok", ["Plan \ufffd", "\U0001f600"], None)]


def test_every_kind_that_asks_is_tested() -> None:
    assert sorted(GOOD) == ASKING


def test_kill_loses_only_what_was_in_flight(demo: dict[str, Any], fake: Fake) -> None:
    shard(*[("a", "b")] * 5)
    good = {str(number): GOOD["domain"][0] for number in range(5)}
    spec = spec_of(demo, fake.url, "domain")
    answers(fake, {**good, "3": "wait"})
    command = [sys.executable, "-m", "scripts.annotate", *arguments(spec, fake.url)]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:
        until = time.monotonic() + 60
        while len(fake.asked) < 4 and time.monotonic() < until:
            time.sleep(0.01)
        process.kill()
    answers(fake, good)

    found = label(spec, fake.url)

    assert [row_of(each) for each in fake.questions()] == ["0", "1", "2", "3", "3", "4"]
    assert found == [("ok", "Law", None)] * 5


def test_judge_is_asked_only_where_rules_cannot_tell(demo: dict[str, Any], fake: Fake) -> None:
    shard(("4", "4.0"), ("a bird", "an animal"), ("4", "5"), ("a cat", None), ("rain", "no rain"))
    answers(fake, {"1": '{"agree": true}', "4": "Who knows."})

    found = label(spec_of(demo, fake.url, "agreement"), fake.url)

    assert len(fake.asked) == 2
    assert found == [
        ("ok", True, None),
        ("ok", True, None),
        ("ok", False, None),
        ("failed", None, "the row has no second_answer"),
        ("failed", None, "the answer is neither yes nor no"),
    ]


def test_judge_compares_with_the_column_that_is_named(demo: dict[str, Any], fake: Fake) -> None:
    shard(("a bird", "an animal"))
    answers(fake, {"0": '{"agree": false}'})
    spec = spec_of(demo, fake.url, "agreement", params={"against": "reference_answer"})

    assert label(spec, fake.url) == [("ok", False, None)]
    assert "<answer_b>\nb\n</answer_b>" in fake.questions()[0]


@pytest.mark.parametrize(("pair", "status"), [(("4", "4"), "ok"), (("a", "b"), "incomplete")])
def test_no_engine_is_started_for_nothing(
    demo: dict[str, Any], pair: tuple[str, str], status: str
) -> None:
    """Nothing is left open, or nothing is complete: the server need not even be there."""
    shard(pair, status=status)
    nowhere = "http://127.0.0.1:9/v1"

    [found] = label(spec_of(demo, nowhere, "agreement"), nowhere)

    assert found[0] == ("ok" if status == "ok" else "skipped")


def test_what_changes_a_label_is_in_the_spec(demo: dict[str, Any]) -> None:
    url = "http://a/v1"
    spec = spec_of(demo, url, "domain")

    assert spec_of(demo, "http://b/v1", "domain") == spec
    for change in (
        {"engine_params": {"model": "other"}},
        {"sampling": {"temperature": 0.5}},
        {"sampling": {"max_tokens": 99}},
    ):
        assert spec_of(demo, url, "domain", **change) != spec
    demo["annotators"]["asked"] = {"kind": "agreement"}
    by_rules = json.loads(Plan(load_study(demo)).annotator_spec("asked"))
    assert json.loads(spec_of(demo, url, "agreement"))["code"] != by_rules["code"]


def test_edited_parser_reads_the_kept_answers_and_asks_nobody(
    demo: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    shard(*[("a", "b")] * 2)
    with serving() as fake:
        answers(fake, {"0": '{"verbosity": 3}', "1": "Three."})
        spec = spec_of(demo, fake.url, "verbosity")
        before = label(spec, fake.url)
    forget_finished()
    asker = plugin("annotators", "verbosity")
    edited = dataclasses.replace(asker, ask=dataclasses.replace(asker.ask, parse=lambda text: 3))
    monkeypatch.setattr("nt_pkg.annotators.verbosity.ANNOTATOR", edited)

    after = label(spec.replace('"code":"', '"code":"0'), fake.url)

    assert [each[0] for each in before] == ["ok", "failed"]
    assert after == [("ok", 3, None)] * 2
    assert len(fake.asked) == 2
