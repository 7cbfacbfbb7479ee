"""Answers from elsewhere become samples, or are refused with what to do."""

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nt_pkg.benchmarks._base import Item
from nt_pkg.evaluation.import_answers import import_answers
from nt_pkg.evaluation.sample_and_grade import grade_samples
from nt_pkg.pools._readers import read_file

ITEMS = [Item(f"q{n}", f"Where is No. {n}?", "x") for n in range(3)]


def imported(rows: list[Any], **spec: Any) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Return samples and counts of a file's rows."""
    how = {"mode": "no_think", "repeats": 1, "sha256": "f", **spec}
    rows, made = import_answers(how, ITEMS, lambda item: f"Say: {item.question}", rows)
    return rows, made["imported"]


def whole(**more: Any) -> list[dict[str, Any]]:
    """Return one answer to each question; `more` are further columns."""
    return [{"question_id": item.id, "text": f"at {item.id}", **more} for item in ITEMS]


def texts(rows: list[dict[str, Any]]) -> list[str]:
    return [row["text"] for row in rows]


def test_samples_are_those_of_a_run() -> None:
    rows, counts = imported(whole(completion_tokens=7.0, finish_reason="MAX_TOKENS", other=[1]))

    assert rows[0] == {
        "question_id": "q0",
        "repeat": 0,
        "text": "at q0",
        "completion_tokens": 7,
        "finish_reason": "length",
        "status": "ok",
        "error": None,
    }
    assert counts == {"rows": 3}
    rows, counts = imported([dict(reversed(row.items())) for row in reversed(whole())])
    assert texts(rows) == ["at q0", "at q1", "at q2"]
    assert rows[0]["completion_tokens"] is None and rows[0]["finish_reason"] == "unknown"
    assert counts == {"rows": 3, "tokens not known": 3}


def test_a_question_is_named_by_its_text_or_its_prompt() -> None:
    rows, _ = imported(
        [
            {"asked": "Where  is No. 1?\n", "said": "b"},
            {"asked": "Say: where is No. 0?", "said": "a"},
            {"asked": "Where is No. 2?", "said": "c"},
        ],
        columns={"question": "asked", "text": "said"},
    )
    assert texts(rows) == ["a", "b", "c"]


def test_repeats_count_from_zero_or_one_or_are_the_order_of_rows() -> None:
    answers = [(item.id, n) for n in (0, 1) for item in ITEMS]
    for first in (0, 1):
        rows, _ = imported(
            [{"question_id": q, "repeat": n + first, "text": f"{q}{n}"} for q, n in answers],
            repeats=2,
        )
        assert texts(rows) == ["q00", "q01", "q10", "q11", "q20", "q21"]
    rows, _ = imported([{"question_id": q, "text": f"{q}{n}"} for q, n in answers], repeats=2)
    assert texts(rows) == ["q00", "q01", "q10", "q11", "q20", "q21"]
    rows, _ = imported(whole(repeat=1))
    assert [row["repeat"] for row in rows] == [0, 0, 0]


def test_what_is_lacking_is_counted() -> None:
    rows, counts = imported([*whole(), whole()[1]])
    assert (len(rows), counts["the same row twice"]) == (3, 1)
    rows, counts = imported([{**whole()[0], "text": None}, *whole()[1:]])
    assert rows[0]["status"] == "failed" and rows[0]["text"] == "" and counts["failed"] == 1
    rows, counts = imported(whole()[:2], missing="wrong")
    assert rows[2]["error"] == "the file has no answer to it"
    assert counts == {"rows": 2, "not in the file": 1, "failed": 1, "tokens not known": 3}
    other = {"question_id": "q9", "text": "?"}
    rows, counts = imported([other, *whole()], unknown="skip")
    assert texts(rows) == ["at q0", "at q1", "at q2"] and counts["not in the benchmark"] == 1


@pytest.mark.parametrize(
    ("rows", "spec", "message"),
    [
        ([], {}, "the file has no rows"),
        ([*whole(), 5], {}, "row 4 cannot be read"),
        ([{"id": "q0", "output": "a"}], {}, "no row has the column text; the columns are id, outp"),
        ([{"id": "q0", "text": "a"}], {}, "no row has the column question_id or question"),
        (whole(), {"columns": {"repeat": "n"}}, "no row has the column n;"),
        (whole()[:2], {}, "1 of 3 answers are missing .*: q2#0; add them, or set `missing: wrong`"),
        (
            [*whole(), {"question_id": "q9", "text": ""}],
            {},
            r"1 of 4 rows .*: row 4 \(q9\); its id",
        ),
        (
            [{"question_id": "q9", "text": ""}],
            {"unknown": "skip"},
            "1 of 1 rows belong to no quest",
        ),
        (
            [*whole(), {**whole()[0], "text": "b"}],
            {},
            "rows 1 and 4 are two answers to question q0",
        ),
        ([*whole(), *whole()], {"repeats": 3}, "3 of 9 answers .* 2 each: set `repeats: 2`, add"),
        (whole(repeat=5), {"repeats": 4}, "row 1 has repeat 5, and 4 answers per question are exp"),
        ([{**whole()[0], "repeat": 0}, *whole()[1:]], {}, "row 2 has no `repeat`, and others have"),
        (
            [{"question_id": "q0", "text": f"{n}"} for n in range(3)],
            {"repeats": 2},
            "row 3 is answer 3 to question q0, and 2 are expected: set `repeats`",
        ),
        (whole(question="Where is No. 0?"), {}, "row 2: the question with the id q1 has another"),
        ([{**whole()[0], "text": ["a"]}], {}, "row 1: `text` must be a text, not list"),
        (whole(completion_tokens=-1), {}, "row 1: `completion_tokens` must be a whole number"),
        (whole(repeat=True), {}, "row 1: `repeat` must be a whole number, not True"),
        (
            whole(),
            {"mode": "think"},
            "3 of 3 texts have no <think> .*: row 1, row 2, row 3. Set `mo",
        ),
    ],
)
def test_what_is_refused_says_what_to_do(
    rows: list[Any], spec: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        imported(rows, **spec)


def test_a_text_of_two_questions_needs_an_id() -> None:
    twins = [Item("a", "Which?", "x"), Item("b", "Which?", "x")]
    how = {"mode": "no_think", "repeats": 1, "sha256": "f"}
    with pytest.raises(
        ValueError, match="2 questions of the benchmark have this text: give `quest"
    ):
        import_answers(how, twins, lambda item: item.id, [{"question": "Which?", "text": ""}])


# The last column is what is graded: reasoning, answer.
@pytest.mark.parametrize(
    ("row", "untagged", "parts"),
    [
        ({"text": "<think>a</think> b"}, "refuse", ("a", "b")),
        ({"text": "a</think> b"}, "refuse", ("a", "b")),
        ({"text": "<think>a"}, "refuse", ("a", "")),
        ({"text": "b"}, "answer", ("", "b")),
        ({"text": "b"}, "reasoning", ("b", "")),
        ({"text": "b", "finish_reason": "length"}, "refuse", ("b", "")),
        ({"text": "b", "reasoning": "a"}, "refuse", ("a", "b")),
        ({"text": "b", "reasoning": ""}, "refuse", ("", "b")),
        ({"text": None, "reasoning": "a", "finish_reason": "length"}, "refuse", ("a", "")),
        ({"text": "<think>a</think> b", "reasoning": "a"}, "refuse", ("a", "b")),
    ],
)
def test_reasoning_is_found_where_it_stands(
    row: dict[str, Any], untagged: str, parts: tuple[str, str]
) -> None:
    rows, _ = imported([{**each, **row} for each in whole()], mode="think", untagged=untagged)
    _, found = grade_samples("micro_free", "think", 1, ITEMS, rows)
    assert (found["examples"][0]["reasoning"], found["examples"][0]["answer"]) == parts
    assert found["failed"] == 0


def test_files_of_every_kind_are_read(tmp_path: Path) -> None:
    table = pa.table(
        {"question_id": ["q0", "q1", "q2"], "text": ["a", "b", "c"], "n": [1, None, 3]}
    )
    pq.write_table(table, tmp_path / "x.parquet")
    (tmp_path / "x.json").write_text('[{"question_id": "q0", "text": "\\ud83d"}]')
    (tmp_path / "x.txt").write_text("")

    rows, _ = imported(list(read_file(tmp_path / "x.parquet")), columns={"completion_tokens": "n"})
    assert [row["completion_tokens"] for row in rows] == [1, None, 3]
    rows, _ = imported(list(read_file(tmp_path / "x.json")), missing="wrong")
    assert rows[0]["text"] == "\ufffd"
    with pytest.raises(ValueError, match=re.escape("no *.jsonl, *.jsonl.gz, *.json or *.parquet")):
        list(read_file(tmp_path / "x.txt"))
