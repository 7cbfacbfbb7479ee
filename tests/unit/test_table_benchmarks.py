"""Benchmarks from any table with named columns: kinds `math` and `multiple_choice`."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nt_pkg.benchmarks._base import Item
from nt_pkg.benchmarks._questions import load_items
from nt_pkg.plugins.registry import plugin

OPTIONS = ["3", "4", "5"]
CHOICE = {"question": "Which is even?", "options": OPTIONS, "answer": "B"}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NT_WORK", str(tmp_path / "work"))
    (tmp_path / "files").mkdir()


def loaded(folder: Path, kind: str, rows: list[dict[str, Any]], **params: Any) -> list[Item]:
    (folder / "files" / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return load_items(kind, params, folder / "files")


def test_mathematics_of_named_columns(tmp_path: Path) -> None:
    rows = [
        {"Problem": f"What is {n}?", "Answer": n, "ID": f"2024-{n}", "Part": "I"} for n in (1, 2)
    ]
    names = {"question": "Problem", "answer": "Answer", "id": "ID", "category": "Part"}

    items = loaded(tmp_path, "math", rows, **names)

    assert [(i.id, i.question, i.gold, i.category) for i in items] == [
        ("2024-1", "What is 1?", "1", "I"),
        ("2024-2", "What is 2?", "2", "I"),
    ]
    kind = plugin("benchmarks", "math")
    answers = [(items[0], "So \\boxed{1.0}."), (items[1], "\\boxed{3}"), (items[1], "")]
    assert [(g.is_correct, g.extracted is None) for g in kind.grade(answers)] == [
        (True, False),
        (False, False),
        (False, True),
    ]
    assert kind.prompt(items[0]).startswith("What is 1?\n\nPut your final answer in \\boxed{}")


def test_other_forms_of_file_give_the_same_questions(tmp_path: Path) -> None:
    """And their ids do not depend on the order of rows."""
    rows = [{"question": f"What is {n}?", "answer": str(n)} for n in range(5)]
    expected = loaded(tmp_path, "math", rows[::-1])
    (tmp_path / "files" / "a.jsonl").unlink()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "files" / "a.parquet")

    assert load_items("math", {}, tmp_path / "files") == expected
    assert len({item.id for item in expected}) == 5


@pytest.mark.parametrize(
    ("row", "params"),
    [
        (CHOICE, {}),
        ({**CHOICE, "answer": " b "}, {}),
        ({**CHOICE, "answer": 1}, {"answer_is": "index"}),
        ({**CHOICE, "answer": "4"}, {"answer_is": "text"}),
        ({**CHOICE, "options": [3, 4, 5], "answer": 4}, {"answer_is": "text"}),
        ({"question": "Which is even?", "x": "3", "y": "4", "z": "5", "answer": "B"},
         {"options": ["x", "y", "z"]}),
    ],
)  # fmt: skip
def test_choices_in_every_shape(
    tmp_path: Path, row: dict[str, Any], params: dict[str, Any]
) -> None:
    [item] = loaded(tmp_path, "multiple_choice", [row], **params)

    assert (item.question, list(item.options), item.gold) == ("Which is even?", OPTIONS, "B")
    kind = plugin("benchmarks", "multiple_choice")
    found = kind.grade([(item, "Answer: B"), (item, "Answer: A"), (item, "Answer: D"), (item, "?")])
    assert [(g.is_correct, g.extracted) for g in found] == [
        (True, "B"), (False, "A"), (False, None), (False, None),
    ]  # fmt: skip
    assert "B) 4" in kind.prompt(item) and "A, B or C" in kind.prompt(item)


@pytest.mark.parametrize(
    ("change", "params", "message"),
    [
        ({"answer": "D"}, {}, "row 1: the answer is none of its 3 options"),
        ({"answer": "AB"}, {}, "row 1: the answer is none of its 3 options"),
        ({"answer": "secret"}, {}, "row 1: the answer is none of its 3 options"),
        ({"answer": -1}, {"answer_is": "index"}, "row 1: the answer is none of its 3 options"),
        ({"answer": 3}, {"answer_is": "index"}, "row 1: the answer is none of its 3 options"),
        ({"options": ["3"]}, {}, "row 1: 1 options, not 2 to 10"),
        ({"options": "secret"}, {}, "row 1: 0 options, not 2 to 10"),
        ({"options": ["3", ""]}, {}, "row 1, option: 1 is missing, empty or not text"),
        ({"question": ""}, {}, "row 1: question is missing, empty or not text"),
        ({"answer": ["secret"]}, {}, "row 1: answer is missing, empty or not text"),
        ({}, {"question": "q"}, "no column q in any of the 1 rows .*; there are question, options"),
        ({}, {"category": "field"}, "no column field in"),
    ],
)
def test_bad_row_is_named_and_not_quoted(
    tmp_path: Path, change: dict[str, Any], params: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as found:
        loaded(tmp_path, "multiple_choice", [{**CHOICE, **change}], **params)
    assert "secret" not in str(found.value)


def test_line_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """A test with fewer questions would be another test."""
    (tmp_path / "files" / "a.jsonl").write_text(
        '{"question": "One?", "answer": 1}\n{"question": "T'
    )

    with pytest.raises(ValueError, match="row 2 cannot be read"):
        load_items("math", {}, tmp_path / "files")
    with pytest.raises(ValueError, match="occurs twice"):
        loaded(tmp_path, "math", [{"question": "One?", "answer": 1}] * 2)
