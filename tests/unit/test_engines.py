"""The runner that makes every engine resumable, and the engines that need no model."""

import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from nt_pkg.config.engines import EngineRuntime, Sampling
from nt_pkg.engines._base import Completion, Request, run_requests
from nt_pkg.engines._start import engine_for, engine_identity
from nt_pkg.identity import fingerprint
from nt_pkg.microworld.world import pool_rows
from nt_pkg.plan.validate import load_study
from nt_pkg.plugins.registry import names, plugin
from tests.unit.conftest import ROOT


class Counting:
    """An engine that counts what it is asked for, and breaks at a given batch."""

    batch_size = 3

    def __init__(self, break_at: int = -1, **identity: Any) -> None:
        self.identity = {"kind": "counting", **identity}
        self.batches: list[list[str]] = []
        self._break_at = break_at

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        if len(self.batches) == self._break_at:
            raise KeyboardInterrupt
        self.batches.append([request.id for request in requests])
        return [Completion(r.id, f"text of {r.user}", 1, 2, "stop") for r in requests]


REQUESTS = [Request(str(number), f"question {number}") for number in range(8)]
SAMPLING = Sampling(max_tokens=5)


def test_batches_in_order(tmp_path: Path) -> None:
    engine = Counting()

    found = run_requests(engine, REQUESTS, SAMPLING, tmp_path, "x")

    assert [each.id for each in found] == [each.id for each in REQUESTS]
    assert found[4].text == "text of question 4"
    assert engine.batches == [["0", "1", "2"], ["3", "4", "5"], ["6", "7"]]


def test_no_requests(tmp_path: Path) -> None:
    assert run_requests(Counting(), [], SAMPLING, tmp_path, "x") == []


def test_nothing_is_generated_twice(tmp_path: Path) -> None:
    first = run_requests(Counting(), REQUESTS, SAMPLING, tmp_path, "x")
    engine = Counting()

    assert run_requests(engine, REQUESTS, SAMPLING, tmp_path, "x") == first
    assert engine.batches == []


def test_kill_between_batches_loses_at_most_one(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_requests(Counting(break_at=2), REQUESTS, SAMPLING, tmp_path, "x")
    engine = Counting()

    found = run_requests(engine, REQUESTS, SAMPLING, tmp_path, "x")

    assert engine.batches == [["6", "7"]]
    assert [each.id for each in found] == [each.id for each in REQUESTS]


def test_kill_inside_the_journal_repeats_the_whole_batch(tmp_path: Path) -> None:
    """A batch is done whole, so that a text never depends on where a kill came."""
    run_requests(Counting(), REQUESTS, SAMPLING, tmp_path, "x")
    path = tmp_path / "completions.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:4]) + lines[4][:20])
    engine = Counting()

    found = run_requests(engine, REQUESTS, SAMPLING, tmp_path, "x")

    assert engine.batches == [["3", "4", "5"], ["6", "7"]]
    assert [each.id for each in found] == [each.id for each in REQUESTS]


@pytest.mark.parametrize(
    ("request_changes", "sampling", "identity"),
    [
        ({"user": "other"}, SAMPLING, {}),
        ({"forced_prefix": "<think>"}, SAMPLING, {}),
        ({"seed": 1}, SAMPLING, {}),
        ({"replay": "x"}, SAMPLING, {}),
        ({}, Sampling(max_tokens=6), {}),
        ({}, Sampling(max_tokens=5, temperature=0.5), {}),
        ({}, Sampling(max_tokens=5, temperature=0.5, top_p=0.5), {}),
        ({}, SAMPLING, {"model": "other"}),
    ],
)
def test_changed_request_never_reuses_a_completion(
    tmp_path: Path, request_changes: dict[str, Any], sampling: Sampling, identity: dict[str, Any]
) -> None:
    run_requests(Counting(), REQUESTS, SAMPLING, tmp_path, "x")
    engine = Counting(**identity)
    changed = [dataclasses.replace(each, **request_changes) for each in REQUESTS]

    run_requests(engine, changed, sampling, tmp_path, "x")

    assert sum(map(len, engine.batches)) == len(REQUESTS)


def test_journal_with_half_an_emoji_heals(tmp_path: Path) -> None:
    """An earlier version wrote it, and every start after it failed."""
    engine = Counting()
    run_requests(engine, REQUESTS, SAMPLING, tmp_path, "x")
    journal = tmp_path / "completions.jsonl"
    entries = [json.loads(line) for line in journal.read_text().splitlines()]
    lines = [json.dumps({"key": each["key"], "value": each["value"]}) for each in entries]
    journal.write_text("\n".join(lines).replace("of question 4", "\\ud83d of 4") + "\n")

    found = run_requests(engine, REQUESTS, SAMPLING, tmp_path, "x")

    assert found[4].text == "text \ufffd of 4" and len(engine.batches) == 3
    found[4].text.encode()


def test_same_id_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="x: two requests have the same id"):
        run_requests(Counting(), [REQUESTS[0], REQUESTS[0]], SAMPLING, tmp_path, "x")


@pytest.mark.parametrize(
    ("replay", "marker", "text", "error"),
    [
        ("<think> a </think> b", None, "<think> a </think> b", None),
        (" as it is ", None, " as it is ", None),
        ("a b #### 7", "####", "<think> a b </think> 7", None),
        ("a #### 6 b #### 7", "####", "<think> a #### 6 b </think> 7", None),
        ("no marker", "####", "no marker", "the text to replay lacks the marker '####'"),
        (None, None, "", "the row holds no text to replay"),
        (" \n", "####", "", "the row holds no text to replay"),
    ],
)
def test_replay(replay: str | None, marker: str | None, text: str, error: str | None) -> None:
    engine = engine_for("replay", {"answer_marker": marker}, EngineRuntime(), None)

    [found] = engine.generate([Request("x", "a question", replay=replay)], SAMPLING)

    assert (found.text, found.error) == (text, error)
    assert found.finish_reason == ("error" if error else "stop")
    assert (found.prompt_tokens, found.completion_tokens) == (2, len(text.split()))


def test_replay_marker_is_its_identity() -> None:
    one, other = (engine_identity("replay", {"answer_marker": mark}) for mark in ("a", "b"))

    assert one != other


def test_micro_teacher_writes_traces() -> None:
    engine = engine_for("micro", {}, EngineRuntime(), None)
    rows = pool_rows(50, 0)
    requests = [Request(str(n), str(row["question"])) for n, row in enumerate(rows)]

    found = engine.generate(requests, SAMPLING)

    assert all(each.finish_reason == "stop" and each.error is None for each in found)
    assert all(each.text.startswith("<think> ") for each in found)
    answers = [each.text.rpartition("</think> ")[2] for each in found]
    right = sum(
        answer == row["reference_answer"] for answer, row in zip(answers, rows, strict=True)
    )
    assert 35 <= right <= 50
    assert engine.generate(requests[::-1], SAMPLING) == found[::-1]


def test_micro_teacher_keeps_a_foreign_question_as_failed() -> None:
    engine = engine_for("micro", {}, EngineRuntime(), None)

    [found] = engine.generate([Request("x", "What is 2+2?")], SAMPLING)

    assert (found.text, found.finish_reason) == ("", "error")
    assert found.error is not None
    assert "not a micro-world question" in found.error


@pytest.mark.parametrize(
    ("module", "name"),
    [("nt_pkg.microworld.teacher", "write_trace"), ("nt_pkg.microworld.world", "parse_question")],
)
def test_micro_teacher_is_known_by_all_the_code_behind_a_trace(
    monkeypatch: pytest.MonkeyPatch, module: str, name: str
) -> None:
    """Reading a question is as much part of it as writing the trace."""
    before = engine_identity("micro", {})
    real = fingerprint._definition
    edited = (module, name)
    monkeypatch.setattr(
        fingerprint,
        "_definition",
        lambda place: ("edited", [], []) if place == edited else real(place),
    )

    assert engine_identity("micro", {}) != before


@pytest.mark.parametrize("name", names("engines"))
def test_identity_holds_a_version_or_the_code(name: str) -> None:
    identity = engine_identity(name, {"model": "m"} if name == "openai" else {}, "digest")

    assert identity["kind"] == name
    assert ("version" in identity) != ("code" in identity)


HEAVY = ("httpx2", "torch", "transformers", "vllm", "scipy", "matplotlib", "datasets", "deepspeed")
EVERY_PLUGIN = f"""
import sys
from nt_pkg.plan import study_plan, validate
from nt_pkg.plugins import registry
for package in registry.CONSTANTS:
    for name in registry.names(package):
        registry.plugin(package, name)
        registry.fingerprint(package, name)
print([name for name in {HEAVY} if name in sys.modules])
"""


def test_no_start_of_snakemake_imports_what_takes_long() -> None:
    done = subprocess.run(
        [sys.executable, "-c", EVERY_PLUGIN], capture_output=True, text=True, check=True, cwd=ROOT
    )

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("section", "entry", "message"),
    [
        (
            "teachers",
            {"engine": "nothing"},
            "teachers.x: unknown engine 'nothing'; there are",
        ),
        ("teachers", {"engine": "replay", "seed": 1}, "teachers.x: engine replay does not sample"),
        ("students", {"engine": "openai"}, "students.x: engine openai does not run the student"),
        (
            "students",
            {"engine": "nothing"},
            "students.x: unknown engine 'nothing'; there are",
        ),
    ],
)
def test_study_may_not_ask_of_an_engine_what_it_cannot(
    demo: dict[str, Any], section: str, entry: dict[str, Any], message: str
) -> None:
    source = {"source": {"builtin": "micro-base"}} if section == "students" else {}
    demo[section]["x"] = {**source, **entry}

    with pytest.raises(ValueError, match=re.escape(message)):
        load_study(demo)


def test_engine_without_its_constant_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("nt_pkg.engines.micro.ENGINE")

    with pytest.raises(ValueError, match=r"nt_pkg/engines/micro\.py defines no ENGINE"):
        plugin("engines", "micro")
