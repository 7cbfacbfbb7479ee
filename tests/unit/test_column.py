"""The annotator `column`: what the data already says about a row becomes its label."""

import json
from typing import Any

import pytest

from nt_pkg.annotations.label_traces import annotate
from nt_pkg.annotators._labeller import check_columns
from nt_pkg.pools._base import RawRow
from nt_pkg.prompts.columns import SeenColumns

TRACE = {"status": "ok", "reasoning": "r", "answer": "a", "completion_tokens": 2, "error": None}


def labelled(values: list[Any], **params: Any) -> list[tuple[str, Any, str | None]]:
    """Return status, value and reason of rows whose column `score` has these values."""
    ids = [f"{n:02}" for n in range(len(values))]
    prompts = [
        {"id": i, "question": "?", "reference_answer": None, "second_answer": None,
         "columns": None if value is ... else json.dumps({"score": value, "topic": "Law"})}
        for i, value in zip(ids, values, strict=True)
    ]  # fmt: skip
    rows = annotate(
        "column", {"column": "score", **params}, prompts, [{"id": i, **TRACE} for i in ids]
    )
    return [(r["status"], r["value"] and json.loads(r["value"]), r["error"]) for r in rows]


@pytest.mark.parametrize(
    ("kind", "value", "label"),
    [
        ("any", 0.7, 0.7),
        ("any", "Law", "Law"),
        ("any", ["a", "b"], ["a", "b"]),
        ("any", False, False),
        ("any", 0, 0),
        ("number", 3, 3),
        ("number", "0.5", 0.5),
        ("number", " 1e3 ", 1000.0),
        ("number", "True", 1),
        ("number", " false", 0),
        ("number", True, 1),
        ("text", 5, "5"),
        ("text", "5", "5"),
        ("text", True, "true"),
    ],
)
def test_value_is_the_label(kind: str, value: Any, label: Any) -> None:
    assert labelled([value], type=kind) == [("ok", label, None)]


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("any", None, "score is empty"),
        ("any", "", "score is empty"),
        ("any", float("nan"), "score is not finite"),
        ("number", "inf", "score is not finite"),
        ("number", "high", "score is no number: 'high'"),
        ("number", [1], "score is no number: '[1]'"),
        ("text", None, "score is empty"),
        ("any", ..., "score is empty"),
    ],
)
def test_row_without_a_value_fails_with_its_reason(kind: str, value: Any, reason: str) -> None:
    assert labelled([7, value], type=kind)[1] == ("failed", None, reason)


def test_wrong_column_lists_those_that_are_there() -> None:
    pool = {"pool": "mine", "columns": ["score", "topic"]}
    check_columns("column", {"column": "score"}, pool)
    with pytest.raises(
        ValueError, match="of pool mine has the column 'grade'; there are score, topic"
    ):
        check_columns("column", {"column": "grade"}, pool)
    with pytest.raises(ValueError, match="keeps none: use a pool of kind `table`"):
        check_columns("column", {"column": "score"}, {"pool": "mine", "columns": []})


def test_pool_of_an_earlier_version_and_other_annotators_are_not_checked() -> None:
    check_columns("column", {"column": "grade"}, {"pool": "mine"})
    check_columns("length", {}, {"pool": "mine", "columns": []})


def test_shard_in_which_no_row_has_the_column_fails_row_by_row() -> None:
    assert labelled([..., ...]) == [("failed", None, "score is empty")] * 2


def test_columns_of_all_rows_are_seen() -> None:
    seen = SeenColumns()
    rows = [
        RawRow(0, "q", columns='{"b": 1}'),
        RawRow(1, "q"),
        RawRow(2, "q", columns='{"a": null, "b": 2}'),
    ]
    assert list(seen.watch(rows)) == rows
    assert seen.names == ["a", "b"]


def test_shard_without_a_complete_trace_has_no_labels() -> None:
    prompt = {
        "id": "a",
        "question": "?",
        "reference_answer": None,
        "second_answer": None,
        "columns": None,
    }
    bad = {"id": "a", **TRACE, "status": "failed", "error": "cut"}

    [row] = annotate("column", {"column": "score"}, [prompt], [bad])

    assert row["status"] == "skipped"
