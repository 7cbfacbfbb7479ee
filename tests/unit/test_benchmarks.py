"""Benchmarks: golden grading cases, what must hold for every benchmark, and hostile answers."""

import json
import logging
import os
import signal
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from nt_pkg.benchmarks import _math_grading as grading
from nt_pkg.benchmarks import math500, micro_choice, micro_free
from nt_pkg.benchmarks._base import Item, take_items
from nt_pkg.benchmarks._latex import differ, normal_form
from nt_pkg.benchmarks._stated import extract_answer
from nt_pkg.microworld.world import parse_question, pool_rows
from tests.unit.growth import assert_linear

GOLDEN = Path(__file__).parents[1] / "golden" / "benchmarks"
REAL = Path(__file__).parents[2] / ".." / "shared" / "data" / "math500.jsonl"
MODULES = {"math500": math500, "micro_free": micro_free, "micro_choice": micro_choice}
MICRO = pytest.mark.parametrize("module", [micro_free, micro_choice])
ROW = {"problem": "1+1?", "solution": "2", "answer": "2", "subject": "Algebra", "level": 1}


def write_rows(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """Write the rows as the folder's only file and return the folder."""
    lines = [json.dumps(row) for row in rows]
    (folder / "test.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def math_rows(num: int) -> list[dict[str, Any]]:
    """Return rows in the shape of MATH-500."""
    return [{**ROW, "unique_id": f"test/{n}.json", "answer": str(n)} for n in range(num)]


def test_half_an_emoji_in_a_question_is_repaired() -> None:
    """No tokenizer takes it, so that the answers to a whole benchmark would stop."""
    levels = (("field", "\ud83d"),)
    broken = Item("q\ud83d", "What is \ude00?", "\ud83d\ude00", ("a\ud83d", "b"), "c", levels)

    [found] = take_items([broken], None)

    assert found == Item(
        "q\ufffd", "What is \ufffd?", "\U0001f600", ("a\ufffd", "b"), "c", (("field", "\ufffd"),)
    )


@pytest.mark.parametrize("name", sorted(MODULES))
def test_golden_cases(name: str) -> None:
    """One call grades all cases, in order."""
    cases = json.loads((GOLDEN / f"{name}.json").read_text())
    answers = [
        (Item(str(n), "", case["gold"], options=("w", "x", "y", "z")), case["answer"])
        for n, case in enumerate(cases)
    ]
    grades = MODULES[name].BENCHMARK.grade(answers)
    found = [
        (case["note"], grade.is_correct, grade.extracted)
        for case, grade in zip(cases, grades, strict=True)
    ]

    assert found == [(case["note"], case["is_correct"], case["extracted"]) for case in cases]


def test_every_case_of_math500_that_has_an_answer_also_holds_in_a_worker() -> None:
    """The comparison of texts never decides differently from Math-Verify."""
    cases = json.loads((GOLDEN / "math500.json").read_text())
    pairs = {
        (normal_form(case["gold"]), normal_form(case["extracted"])): case["is_correct"]
        for case in cases
        if case["extracted"]
    }
    asked = sorted(pairs)

    assert grading._ask_workers(asked, grading._Worker.is_equal, "test", 5) == pairs


def test_math500_takes_a_prefix_that_ignores_row_order(tmp_path: Path) -> None:
    """More questions only add questions."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    forward = write_rows(tmp_path / "a", math_rows(20))
    backward = write_rows(tmp_path / "b", math_rows(20)[::-1])
    ten = math500.load(math500.Params(num_questions=10), forward)

    assert math500.load(math500.Params(num_questions=10), backward) == ten
    assert math500.load(math500.Params(), forward)[:10] == ten


def test_prompt_asks_for_a_box(tmp_path: Path) -> None:
    """The problem comes first, the request after it."""
    item = math500.load(math500.Params(), write_rows(tmp_path, math_rows(1)))[0]

    assert math500.prompt(item) == "1+1?\n\nPut your final answer in \\boxed{}."
    assert item.category == "Algebra"
    assert item.levels == (("level", "1"),)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{**ROW, "unique_id": "a", "answer": " "}], "line 1: answer missing, empty"),
        ([{"question": "?", "reference_answer": "2"}], "problem, answer, subject, unique_id"),
        ([{**ROW, "unique_id": "a", "answer": 2}], "answer missing, empty or not text"),
        ([{**ROW, "unique_id": "a"}] * 2, "'a' occurs twice"),
    ],
)
def test_math500_refuses_broken_rows(
    tmp_path: Path, rows: list[dict[str, Any]], message: str
) -> None:
    """A benchmark has no bad rows to count: one is an error with its place."""
    with pytest.raises(ValueError, match=message):
        math500.load(math500.Params(), write_rows(tmp_path, rows))


def test_math500_refuses_cut_files_missing_files_and_too_many_questions(tmp_path: Path) -> None:
    """Each error says what to do."""
    with pytest.raises(ValueError, match=r"no \*\.jsonl in .*HuggingFaceH4/MATH-500"):
        math500.load(math500.Params(), tmp_path)
    write_rows(tmp_path, math_rows(3))
    with pytest.raises(ValueError, match="num_questions is 4, but there are 3"):
        math500.load(math500.Params(num_questions=4), tmp_path)
    (tmp_path / "test.jsonl").write_text('{"problem": "1+')
    with pytest.raises(ValueError, match="line 1: not JSON"):
        math500.load(math500.Params(), tmp_path)


def test_an_empty_gold_is_an_error_not_a_wrong_answer() -> None:
    """A silent "wrong" would lower the score of every student."""
    with pytest.raises(grading.GoldError, match="correct the row or remove it"):
        grading.grade_pairs([("", "5")])


def test_a_gold_that_does_not_parse_is_compared_as_text() -> None:
    """One of them must not end the grading of all others."""
    verdicts = grading.grade_pairs([("\\frac{", "5"), ("\\frac{", " \\frac{ "), ("5", "10/2")])

    assert list(verdicts.values()).count(True) == 2
    assert not verdicts["\\frac{", "5"]


def test_hostile_answers_neither_hang_nor_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each is graded wrong, whatever stands behind it is still graded, and nothing is executed."""
    proof = tmp_path / "proof"
    touch = f"open('{proof}', 'w')"
    hostile = [
        "9**9**9**9",
        "9^{9^{9^{9}}}",
        f"__import__('os').system('touch {proof}')",
        f"\\operatorname{{{touch}}}",
        touch,
        f"\\text{{{touch}}}",
        "\x00",
        "\ud800",
    ]
    with caplog.at_level(logging.ERROR):
        verdicts = grading.grade_pairs(
            [*(("5", each) for each in hostile), ("5", "10/2")], cpu_limit_s=0.3
        )

    assert [verdicts["5", each] for each in hostile] == [False] * len(hostile)
    assert verdicts["5", "10/2"]
    assert not proof.exists()


def test_killed_worker_is_replaced_and_the_pair_asked_again() -> None:
    """Being killed from outside says nothing about the answer."""
    worker = grading._Worker(cpu_limit_s=5)
    try:
        assert worker.is_equal("5", "10/2")
        os.kill(worker._process.pid, signal.SIGKILL)
        assert worker.is_equal("6", "12/2")
    finally:
        worker.stop()


def test_extraction_is_linear_in_the_text() -> None:
    """Repeated openings must not be searched to the end again and again."""
    for text in (
        "\\boxed{",
        "\\boxed ",
        "answer is ",
        "answer is $",
        "answer: \\[",
        "\n**Answer**\n$$",
        "answer is $1$ and $2$",
        "\\boxed{1} and ",
        "\n- ",
    ):
        assert_linear(extract_answer, lambda n, text=text: text * (n // len(text)))  # type: ignore[misc]
    assert_linear(extract_answer, lambda n: "\\boxed{1}" + "," * n + "\\boxed{2}")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "\\text{",
        "\\frac",
        "\\frac{",
        " ",
        "\\,",
        "1,",
        "\u2075",
        "\\boldsymbol{",
        "^",
        "(1,",
        "\\sin ",
    ],
)
def test_the_normal_form_is_linear(text: str) -> None:
    """Also of an answer that is all openings."""
    assert_linear(normal_form, lambda n: text * (n // len(text)))
    assert_linear(lambda one: differ(one, "(2,3)"), lambda n: text * (n // len(text)))


def test_real_math500_grades_itself(tmp_path: Path) -> None:
    """The last box of each human solution is the gold answer, 500 of 500; others' boxes are not."""
    if not REAL.exists():
        pytest.skip(f"{REAL} is not on this machine")
    (tmp_path / "test.jsonl").symlink_to(REAL.resolve())
    items = math500.load(math500.Params(), tmp_path)
    rows = [json.loads(line) for line in REAL.read_text().splitlines()]
    solution = {row["unique_id"]: row["solution"] for row in rows}
    shifted = [(item, f"\\boxed{{{other.gold}}}") for item, other in pairwise(items[:31])]
    grades = math500.grade([*((item, solution[item.id]) for item in items), *shifted])

    assert len(items) == 500
    assert sum(grade.is_correct for grade in grades[:500]) == 500
    assert sum(grade.is_correct for grade in grades[500:]) < 3


@MICRO
def test_micro_items_are_balanced_and_no_pool_question(module: Any) -> None:
    """252 questions: 84 for each number of steps, and gold answers grade as right."""
    items = module.load(module.Params(num_questions=252), None)
    grades = module.grade([(item, item.gold) for item in items])
    pool = [parse_question(str(row["question"])) for row in pool_rows(300, 0)]

    assert Counter(item.category for item in items) == {f"k={k}": 84 for k in range(2, 5)}
    assert all(grade.is_correct for grade in grades)
    assert not any(grade.is_correct for grade in module.grade([(item, "") for item in items]))
    assert all(parse_question(item.question).is_test for item in items)
    assert not any(problem.is_test for problem in pool)


@MICRO
def test_micro_questions_grow_and_do_not_change(module: Any) -> None:
    """A question and its options stay the same among more questions, in any order."""
    few = module.load(module.Params(num_questions=20), None)
    many = module.load(module.Params(num_questions=200), None)

    assert set(few) < set(many)
    assert take_items(reversed(many), None) == many


def test_choices_have_balanced_letters_and_hold_the_free_answer() -> None:
    """The gold letter is near uniform, and the option behind it is the free test's gold."""
    params = micro_free.Params(num_questions=800)
    gold = {item.id: item.gold for item in micro_free.load(params, None)}
    items = micro_choice.load(params, None)
    letters = Counter(item.gold for item in items)

    assert {item.id: item.options["ABCD".index(item.gold)] for item in items} == gold
    assert sorted(letters) == list("ABCD")
    assert all(150 < count < 250 for count in letters.values())  # 200, four standard deviations
