"""The micro-world's test as multiple choice: the same questions with four lettered options.

Needs no files. Example item: question "Bob drifts from Monday with ember and gale. Where does he
land?" and the lines "A) Sunday", "B) Thursday", "C) Friday", "D) Monday"; gold "B".
"""

import re
from collections.abc import Sequence
from pathlib import Path

from nt_pkg.benchmarks._base import BenchmarkKind, Grade, Item, take_items
from nt_pkg.benchmarks.micro_free import Params
from nt_pkg.identity.question_id import question_id
from nt_pkg.identity.seeds import rng
from nt_pkg.microworld.facts import LETTERS
from nt_pkg.microworld.world import as_choice, parse_question, test_problems

_ORDER_VERSION = 1  # changing it draws other options for every question
# The whole answer must be a letter, because a letter within a sentence may be the word "a".
_LETTER = re.compile(r"(?:(?:the )?answer(?: is)?:? *)?\(?([a-z])\)?\.?", re.IGNORECASE)


def load(params: Params, source: Path | None) -> list[Item]:
    """Return the questions; the order of the options depends only on the question.

    Args:
        params: the parameters of `micro_free`, which has the same questions.
        source: None, because the questions are generated.
    """
    assert source is None, "the micro-world is generated and has no files"
    items = []
    for problem in test_problems(params.num_questions, params.seed, params.charms):
        row_id = question_id(problem.question)
        text, letter = as_choice(problem, rng("micro_choice", _ORDER_VERSION, row_id))
        options = parse_question(text).choices
        items.append(Item(row_id, text, letter, options, f"k={problem.num_steps}"))
    return take_items(items, None)


def prompt(item: Item) -> str:
    """Return the question with its options."""
    return item.question


def grade(answers: Sequence[tuple[Item, str]]) -> list[Grade]:
    """Return a grade per answer; a letter that is not among the options is no answer."""
    grades = []
    for item, text in answers:
        match = _LETTER.fullmatch(" ".join(text.split()))
        found = match[1].upper() if match else None
        if found not in LETTERS[: len(item.options)]:
            found = None
        grades.append(Grade(found == item.gold, found))
    return grades


BENCHMARK = BenchmarkKind(params=Params, load=load, prompt=prompt, grade=grade)
