"""Traces: what a completion is worth."""

from pathlib import Path
from typing import Any

import pytest

from nt_pkg.config.engines import Sampling, Teacher
from nt_pkg.engines._base import Completion, Model, Request
from nt_pkg.files.parquet import write_parquet
from nt_pkg.files.schemas import TRACES
from nt_pkg.traces.generate import generate_traces, request_seed, teacher_engine, trace_row

CUT, QUOTED = "answer not closed", "a tag of reasoning is quoted"


@pytest.mark.parametrize(
    ("text", "finish", "error", "expected"),
    [
        ("<think> a b </think> c", "stop", None, ("ok", "a b", "c", None)),
        ("a b </think> c", "stop", None, ("ok", "a b", "c", None)),
        ("<think> a b </think> c", "length", None, ("incomplete", "a b", "c", "stopped by length")),
        ("<think> a b", "length", None, ("incomplete", "a b", "", "stopped by length")),
        ("<think> a b", "stop", None, ("incomplete", "a b", "", "reasoning not closed")),
        ("<think></think> c", "stop", None, ("incomplete", "", "c", "reasoning empty")),
        ("<think> a </think> \n", "stop", None, ("incomplete", "a", "", "no answer")),
        ("c", "stop", None, ("incomplete", "", "c", "no reasoning")),
        ("", "stop", None, ("incomplete", "", "", "no reasoning")),
        ("a</think><|begin_of_solution|>c", "stop", None, ("incomplete", "a", "c", CUT)),
        ("a `<think>` b</think>c", "stop", None, ("incomplete", "a `<think>` b", "c", QUOTED)),
        ("", "error", "server said no", ("failed", "", "", "server said no")),
        ("<think> a </think> b", "error", "late", ("failed", "a", "b", "late")),
    ],
)
def test_trace_row(
    tmp_path: Path, text: str, finish: str, error: str | None, expected: tuple[Any, ...]
) -> None:
    row = trace_row(Completion("x", text, 3, 4, finish, error), max_tokens=4)

    assert (row["status"], row["reasoning"], row["answer"], row["error"]) == expected
    assert (row["id"], row["prompt_tokens"], row["completion_tokens"]) == ("x", 3, 4)
    write_parquet(tmp_path / "x", TRACES, [row])


def test_trace_over_the_limit_is_incomplete() -> None:
    completion = Completion("x", "<think> a </think> b", 3, 5, "stop")

    assert trace_row(completion, max_tokens=5)["status"] == "ok"
    found = trace_row(completion, max_tokens=4)
    assert (found["status"], found["error"]) == ("incomplete", "over 4 tokens")


def prompt(row_id: str, **changes: Any) -> dict[str, Any]:
    row = {"id": row_id, "question": "q", "reference_answer": None, "second_answer": None}
    return {**row, "replay": None, "source_row": 0, **changes}


def test_one_row_per_prompt_ordered_by_id(tmp_path: Path) -> None:
    engine = teacher_engine(Teacher(engine="replay"))
    prompts = [prompt("b", replay="<think> r </think> a"), prompt("a")]

    rows = generate_traces(prompts, engine, Sampling(), tmp_path, 16_384)

    assert [(row["id"], row["status"]) for row in rows] == [("a", "failed"), ("b", "ok")]
    assert rows[0]["error"] == "the row holds no text to replay"


def test_parameters_of_an_engine_are_checked() -> None:
    with pytest.raises(ValueError, match="marker"):
        teacher_engine(Teacher(engine="replay", params={"marker": "x"}))


def test_teacher_on_transformers() -> None:
    base = Path(__file__).parents[2] / "nt_pkg" / "microworld" / "base"
    entry = {"engine": "transformers", "source": {"builtin": "micro-base"}, "runtime": {"batch": 2}}
    question = Request("x", "Ann starts at March with ruby. Where does she end?")
    sampling = Sampling(max_tokens=4)

    engine = teacher_engine(Teacher(**entry), Model(base, "digest"))
    other = {**entry, "params": {"chat_template": "<s><|user|>{{ messages[0].content }}"}}
    changed = teacher_engine(Teacher(**other), Model(base, "digest"))

    assert engine.batch_size == 2
    assert engine.identity == {"kind": "transformers", "version": 3, "model": "digest"}
    assert changed.identity != engine.identity
    [one], [two] = (list(each.generate([question], sampling)) for each in (engine, changed))
    assert one.prompt_tokens == two.prompt_tokens + 1  # without the token that opens the answer


def test_model_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    base = Path(__file__).parents[2] / "nt_pkg" / "microworld" / "base"
    for path in base.iterdir():
        if path.suffix != ".jinja":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    entry = Teacher(engine="transformers", source={"builtin": "micro-base"})

    engine = teacher_engine(entry, Model(tmp_path, "digest"))
    with pytest.raises(ValueError, match="has no chat template: give one with"):
        engine.generate([Request("x", "q")], Sampling())


def test_every_row_has_a_seed_of_its_own_below_the_teachers() -> None:
    """Greedy texts do not depend on it; others would all be drawn with the same numbers."""
    seeds = {request_seed(seed, row_id) for seed in (0, 1) for row_id in ("a", "b", "c")}

    assert len(seeds) == 6
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert request_seed(1, "b") == request_seed(1, "b")
