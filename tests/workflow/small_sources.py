"""What `config/paper_small.yaml` plugs into the paper's study: made-up files in the real shapes.

Questions are those of the micro-world. The rows are few and the same every time; as in real files,
some are broken, repeated, contaminated or cut off, or lack an answer.
"""

import csv
import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from nt_pkg.annotators.domain import DOMAINS
from nt_pkg.benchmarks._choice import OPTION_LETTERS
from nt_pkg.identity.seeds import rng
from nt_pkg.microworld.teacher import write_trace
from nt_pkg.microworld.world import Problem, make_problem, parse_question, pool_rows, test_problems
from tests.workflow.small_models import write_models

Row = dict[str, Any]
NUM_CONTAMINATED = 3
NUM_QUESTIONS = 32  # of each benchmark; tests over questions want 30
_SECOND = "Llama3.3-70B-Instruct"
_SUBJECTS = ("Algebra", "Geometry", "Number Theory", "Prealgebra")


def write_sources(folder: Path) -> None:
    """Write all sources of the study anew; the same bytes every time."""
    shutil.rmtree(folder, ignore_errors=True)
    tests = test_problems(3 * NUM_QUESTIONS, seed=7)
    gpqa, mmlu_pro, supergpqa = (
        [make(n, tests[n + at * NUM_QUESTIONS]) for n in range(NUM_QUESTIONS)]
        for at, make in enumerate((_gpqa, _mmlu_pro, _supergpqa))
    )
    _write_csv(folder / "gpqa/gpqa_diamond.csv", gpqa)
    _write_parquet(folder / "mmlu_pro/data/test-00000-of-00001.parquet", mmlu_pro)
    _write_jsonl(folder / "supergpqa/SuperGPQA-all.jsonl", supergpqa)
    _write_jsonl(folder / "math500/test.jsonl", [_math500(n) for n in range(NUM_QUESTIONS)])
    _write_jsonl(folder / "natural_reasoning/full.jsonl", _natural_reasoning(tests))
    _write_jsonl(folder / "limo/limo.jsonl", [_limo(*each) for each in _solved("limo", 24)])
    s1k = [_s1k(*each) for each in _solved("s1k", 24)]
    _write_parquet(folder / "s1k/data/train-00000-of-00001.parquet", s1k)
    for part in range(2):
        name = f"openthoughts3/data/train-{part:05d}-of-00002.parquet"
        solved = _solved(f"openthoughts3-{part}", 16)
        _write_parquet(folder / name, [row for each in solved for row in _openthoughts3(*each)])
    write_models(folder)


# Pools.


def _natural_reasoning(tests: Sequence[Problem]) -> list[Row]:
    """Return 440 rows and a few more that no pool should keep or that lack something."""
    rand = rng("small natural_reasoning")
    rows = []
    for number, made in enumerate(pool_rows(440, seed=11)):
        reference, second = str(made["reference_answer"]), str(made["second_answer"])
        if number % 4 == 1:  # not easy to verify
            reference = f"By the laws of this world it is {reference}."
        rows.append(
            {
                "question": made["question"],
                "reference_answer": "" if number % 40 == 5 else reference,
                "responses": []
                if number % 50 == 7
                else [
                    {
                        "response_model": _SECOND,
                        "response": f"## Step 1\nFollow the walker.\n\nThe answer is {second}.",
                    }
                ],
            }
        )
    # Thirteen words in a row of a test: the pool is decontaminated.
    long = [test.question for test in tests if len(test.question.split()) > 13]
    for question in long[:NUM_CONTAMINATED]:
        rows.append({**rows[0], "question": f"Please say: {question}"})
    rows.append(rows[0])  # a duplicate
    rows.append({**rows[0], "question": None})
    rand.shuffle(rows)
    return rows


def _limo(problem: Problem, reasoning: str, number: int) -> Row:
    boxed = f"\n\n**Final Answer**\n\n\\boxed{{{problem.answer}}}"
    return {
        "question": problem.question,
        "solution": reasoning + (boxed if number else ""),  # the first one ends in no box
        "answer": problem.answer,
    }


def _s1k(problem: Problem, reasoning: str, number: int) -> Row:
    return {
        "question": problem.question,
        "solution": problem.answer,
        "cot_type": "math",
        "gemini_thinking_trajectory": f"Hm. {reasoning}",
        "gemini_attempt": problem.answer,
        "deepseek_thinking_trajectory": reasoning,
        "deepseek_attempt": f"Answer: {problem.answer}",
    }


def _openthoughts3(problem: Problem, reasoning: str, number: int) -> list[Row]:
    """Return four answers to a question, of which every second or third was cut."""
    whole = f"<think> {reasoning} </think> Answer: {problem.answer}"
    answers = [whole[: len(whole) // 3] if (number + n) % 3 == n % 2 else whole for n in range(4)]
    return [
        {
            "difficulty": problem.num_steps,
            "source": "made-up",
            "domain": "math",
            "conversations": [
                {"from": "human", "value": problem.question},
                {"from": "gpt", "value": answer},
            ],
        }
        for answer in answers
    ]


def _solved(name: str, number: int) -> list[tuple[Problem, str, int]]:
    """Return problems of a pool of their own with the teacher's reasoning and their place."""
    rand = rng("small", name)
    problems = [
        parse_question(str(row["question"])) for row in pool_rows(number, seed=rand.getrandbits(32))
    ]
    return [(problem, write_trace(problem, rand)[0], at) for at, problem in enumerate(problems)]


# Benchmarks.


def _options(problem: Problem, rand: random.Random, most: int) -> tuple[list[str], str]:
    """Return up to `most` options, the right one among them, and its letter."""
    wrong = [option for option in problem.options if option != problem.solution]
    chosen = [problem.solution, *rand.sample(wrong, min(most - 1, len(wrong)))]
    rand.shuffle(chosen)
    return chosen, OPTION_LETTERS[chosen.index(problem.solution)]


def _gpqa(number: int, problem: Problem) -> Row:
    others = [option for option in problem.options if option != problem.solution]
    wrong = rng("small gpqa", number).sample(others, 3)
    return {
        "Record ID": f"rec{number:04d}",
        "Question": problem.question,
        "Correct Answer": problem.solution,
        **{f"Incorrect Answer {place}": word for place, word in enumerate(wrong, start=1)},
        "High-level domain": ("Physics", "Chemistry", "Biology")[number % 3],
        "Subdomain": f"Part {number % 2}",
    }


def _mmlu_pro(number: int, problem: Problem) -> Row:
    rand = rng("small mmlu_pro", number)
    options, letter = _options(problem, rand, rand.randint(3, 10))
    return {
        "question_id": 70 + number,
        "question": problem.question,
        "options": options,
        "answer": letter,
        "answer_index": OPTION_LETTERS.index(letter),
        "cot_content": "",
        "category": ("math", "law", "physics", "history", "other")[number % 5],
        "src": ("stemez-Math", "ori_mmlu-law")[number % 2],
    }


def _supergpqa(number: int, problem: Problem) -> Row:
    rand = rng("small supergpqa", number)
    options, letter = _options(problem, rand, rand.randint(4, 10))
    return {
        "uuid": f"{number:08x}",
        "question": problem.question,
        "options": options,
        "answer": options[OPTION_LETTERS.index(letter)],
        "answer_letter": letter,
        "discipline": DOMAINS[number % 6],
        "field": f"Field {number % 4}",
        "subfield": f"Subfield {number % 8}",
        "difficulty": ("easy", "middle", "hard")[number % 3],
        "is_calculation": False,
    }


def _math500(number: int) -> Row:
    """Return a question whose answer is a digit: Math-Verify reads no days and herbs."""
    rand = rng("small math500", number)
    while not (
        problem := make_problem(
            rand, domain="digits", family=rand.choice(("walk", "drift", "back")), num_steps=2
        )
    ).is_test:
        pass
    subject = _SUBJECTS[number % len(_SUBJECTS)]
    return {
        "problem": problem.question,
        "solution": f"\\boxed{{{problem.answer}}}",
        "answer": problem.answer,
        "subject": subject,
        "level": 1 + number % 5,
        "unique_id": f"test/{subject.lower().replace(' ', '_')}/{number}.json",
    }


# Files.


def _write_jsonl(path: Path, rows: Sequence[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, sort_keys=True) + "\n" for row in rows))


def _write_csv(path: Path, rows: Sequence[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _write_parquet(path: Path, rows: Sequence[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
