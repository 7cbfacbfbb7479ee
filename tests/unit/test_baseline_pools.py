"""Data sets with traces of their own, on small files of exactly their hub shapes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from nt_pkg.dialogue.split_reasoning import split_reasoning
from nt_pkg.files.schemas import Row
from nt_pkg.identity.question_id import question_digits, question_id
from nt_pkg.plugins.registry import plugin
from nt_pkg.pools._base import RawRow
from nt_pkg.prompts.ingest import ingest

Rows = list[dict[str, Any]]
LIMO = {
    "question": "Find x.",
    "solution": "Okay, x+1=5.\n\nSo 4.\n\n**Final Answer**\n\n\\boxed{4}",
    "answer": "4",
}
S1K = {
    "solution": "7",
    "question": "How many?",
    "cot_type": "math",
    "source_type": "s",
    "metadata": "{}",
    "cot": None,
    "thinking_trajectories": ["First.", "Then."],
    "attempt": "It is 7.",
}
S1K_11 = {
    "solution": "7",
    "question": "How many?",
    "cot_type": "math",
    "source_type": "s",
    "metadata": "{}",
    "gemini_thinking_trajectory": "Hm.",
    "gemini_attempt": "7, says Gemini.",
    "deepseek_thinking_trajectory": "Okay.",
    "deepseek_attempt": "7, says R1.",
    "gemini_grade": "Yes",
    "gemini_grade_reason": "r",
    "deepseek_grade": "No",
    "deepseek_grade_reason": "r",
}
LISTS = {"deepseek_thinking_trajectory": ["Okay."], "deepseek_attempt": ["7, says R1."]}
MARKED = (
    "<|begin_of_thought|>\n\nOkay.\n\n<|end_of_thought|>\n\n"
    "<|begin_of_solution|>\n\nIt is 4.\n\n<|end_of_solution|>"
)
DEFAULT = {
    "system": "Use markers.",
    "conversations": [
        {"from": "user", "value": "Find x."},
        {"from": "assistant", "value": MARKED},
    ],
}
METADATA = {
    "problem": "Find x.",
    "deepseek_reasoning": "Okay.",
    "deepseek_solution": "It is 4.",
    "ground_truth_solution": "4",
    "domain": "math",
    "source": "s",
    "test_cases": None,
    "starter_code": None,
}


def three(question: str, answer: str) -> dict[str, Any]:
    """Return a row of OpenThoughts3."""
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"difficulty": 8, "source": "s", "domain": "math", "conversations": turns}


def write_jsonl(folder: Path, found: Rows) -> None:
    lines = "".join(f"{json.dumps(row)}\n" for row in found)
    (folder / "train.jsonl").write_text(lines)


def write_parquet(folder: Path, found: Rows) -> None:
    """Write them where the hub has them, in a folder below."""
    (folder / "data").mkdir()
    pq.write_table(pa.Table.from_pylist(found), folder / "data" / "train-00000-of-00001.parquet")


def read(kind: str, folder: Path, **params: Any) -> list[RawRow]:
    pool = plugin("pools", kind)
    return list(pool.rows(pool.params(**params), folder))


@pytest.mark.parametrize("write", [write_jsonl, write_parquet])
@pytest.mark.parametrize(
    ("kind", "params", "row", "question", "reference", "reasoning", "answer"),
    [
        ("limo", {}, LIMO, "Find x.", "4", "Okay, x+1=5.\n\nSo 4.",
         "**Final Answer**\n\n\\boxed{4}"),
        ("s1k", {"trace": "gemini"}, S1K, "How many?", "7", "First.\nThen.", "It is 7."),
        ("s1k", {"trace": "gemini"}, S1K_11, "How many?", "7", "Hm.", "7, says Gemini."),
        ("s1k", {}, S1K_11, "How many?", "7", "Okay.", "7, says R1."),
        ("s1k", {}, {**S1K_11, **LISTS}, "How many?", "7", "Okay.", "7, says R1."),
        ("openthoughts", {}, DEFAULT, "Find x.", None, "Okay.", "It is 4."),
        ("openthoughts", {}, METADATA, "Find x.", "4", "Okay.", "It is 4."),
        ("openthoughts3", {}, three("Find x.", "<think> Okay. </think> It is 4."), "Find x.", None,
         "Okay.", "It is 4."),
    ],
)  # fmt: skip
def test_row_of_the_hub(
    tmp_path: Path, write: Callable[[Path, Rows], None], kind: str, params: dict[str, Any],
    row: dict[str, Any], question: str, reference: str | None, reasoning: str, answer: str,
) -> None:  # fmt: skip
    """The recorded trace splits into the data set's own parts."""
    write(tmp_path, [row])

    [found] = read(kind, tmp_path, **params)

    assert (found.question, found.reference_answer, found.defect) == (question, reference, "")
    assert found.second_answer is None
    assert split_reasoning(found.replay or "")[:3] == (reasoning, answer, True)


@pytest.mark.parametrize(
    ("kind", "row", "defect"),
    [
        ("limo", {**LIMO, "question": None}, "missing_question"),
        ("limo", {"question": "q", "answer": "4"}, "missing_column"),
        ("limo", {**LIMO, "solution": ["x"]}, "wrong_type"),
        ("s1k", {**S1K_11, "deepseek_thinking_trajectory": [4]}, "wrong_type"),
        ("s1k", {"question": "q", "solution": "7"}, "missing_column"),
        ("openthoughts", {"conversations": None}, "wrong_type"),
        ("openthoughts", {"conversations": []}, "missing_question"),
        ("openthoughts", {"conversations": [{"from": "gpt", "value": "x"}]}, "missing_question"),
        ("openthoughts", {"conversations": [{"from": "human"}]}, "missing_column"),
        ("openthoughts", {"conversations": DEFAULT["conversations"] * 2}, "several_turns"),
        ("openthoughts", {**METADATA, "problem": 7}, "wrong_type"),
        ("openthoughts3", {"difficulty": 8}, "missing_column"),
        ("openthoughts3", three("q", "<think> cut"), "unclosed_reasoning"),
    ],
)
def test_bad_row_has_its_reason(
    tmp_path: Path, kind: str, row: dict[str, Any], defect: str
) -> None:
    write_jsonl(tmp_path, [row])

    assert [each.defect for each in read(kind, tmp_path)] == [defect]


@pytest.mark.parametrize(
    ("solution", "reasoning", "answer"),
    [
        ("a\n\n\\boxed{3}\n\nb\n\nso \\boxed{4}.\n\nDone.", "a\n\n\\boxed{3}\n\nb",
         "so \\boxed{4}.\n\nDone."),
        ("a\n\nb", None, "a\n\nb"),
        ("so \\boxed{4}", None, "so \\boxed{4}"),
    ],
)  # fmt: skip
def test_solution_of_limo_is_cut_before_its_last_boxed_paragraph(
    tmp_path: Path, solution: str, reasoning: str | None, answer: str
) -> None:
    """Without a box or a paragraph before it there is no reasoning: an incomplete trace."""
    write_jsonl(tmp_path, [{**LIMO, "solution": solution}])

    [found] = read("limo", tmp_path)

    assert split_reasoning(found.replay or "")[:2] == (reasoning, answer)


def test_traces_that_s1k_does_not_have(tmp_path: Path) -> None:
    write_jsonl(tmp_path, [S1K])

    with pytest.raises(ValueError, match=r"no traces of deepseek: set params\.trace to gemini"):
        read("s1k", tmp_path)


def test_one_answer_of_every_question_is_taken_and_the_others_are_counted(tmp_path: Path) -> None:
    closed, cut = "<think> r </think> {}", "<think> r"
    found = [three("Find x.", cut), three("Find y.", closed.format("y0"))]
    found += [three("find  x.", closed.format(f"x{number}")) for number in range(3)]
    write_jsonl(tmp_path, found)

    def answers(**params: Any) -> tuple[set[str | None], dict[str, int]]:
        kept: list[Row] = []
        _, counts = ingest(read("openthoughts3", tmp_path, **params), kept.extend)
        return {(row["replay"] or "").rpartition(" ")[2] for row in kept}, counts

    assert answers() == (
        {"x0", "y0"},
        {"read": 5, "kept": 2, "other_answer": 2, "unclosed_reasoning": 1},
    )
    assert answers(answer=1) == (
        {"x1"},
        {"read": 5, "kept": 1, "other_answer": 3, "unclosed_reasoning": 1},
    )
    assert answers(unclosed="keep") == ({"r", "y0"}, {"read": 5, "kept": 2, "other_answer": 3})
    assert answers(answer="all") == (
        {"x0", "x1", "x2", "y0"},
        {"read": 5, "kept": 4, "unclosed_reasoning": 1},
    )
    assert answers(answer="all", unclosed="keep") == (
        {"r", "x0", "x1", "x2", "y0"},
        {"read": 5, "kept": 5},
    )
    with pytest.raises(ValidationError, match="answers are counted from 0"):
        answers(answer=-1)


def test_answers_to_one_question_are_prompts_of_their_own(tmp_path: Path) -> None:
    """Sixteen rows a question, as on the hub; ids count on from that of the question itself."""
    questions = [f"What is {number} + 1?" for number in range(40)]
    rows = [three(q, f"<think> r </think> {n}") for q in questions for n in range(16)]
    write_parquet(tmp_path, rows)
    kept: list[Row] = []
    dropped, counts = ingest(read("openthoughts3", tmp_path, answer="all"), kept.extend)

    ids = [row["id"] for row in kept]
    assert (len(kept), dropped, counts) == (640, [], {"read": 640, "kept": 640})
    assert ids == sorted(set(ids))
    assert {len(row_id) for row_id in ids} == {32}
    for question in questions:
        own = {row["replay"].rpartition(" ")[2]: row for row in kept if row["question"] == question}
        assert sorted(own, key=int) == [str(number) for number in range(16)]
        assert own["0"]["id"] == question_id(question)
        assert {question_digits(row["id"]) for row in own.values()} == {
            question_digits(question_id(question))
        }


def test_folder_without_files_names_the_data_set(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no \*\.jsonl, .*GAIR/LIMO"):
        read("limo", tmp_path)
