"""The micro-world's test with free answers: one word names the place or the herb.

Needs no files; no question of it is in the pool. `category` is the number of steps. Example item:
question "Bob drifts from Monday with ember and gale. Where does he land?", gold "Thursday".
"""

import re
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from nt_pkg.benchmarks._base import BenchmarkKind, Grade, Item, take_items
from nt_pkg.config.base import Strict
from nt_pkg.identity.question_id import question_id
from nt_pkg.microworld.world import Charms, test_problems


class Params(Strict):
    """Parameters of the micro-world's tests."""

    num_questions: int = Field(default=300, ge=1, le=20_000, description="number of questions")
    seed: int = Field(default=0, ge=0, description="seed of the questions")
    charms: Charms = Field(
        default="balanced",
        description="balanced: no rare charm, as many of every domain, family and number of steps; "
        "rare or common: as the pool's questions with or without a rare charm",
    )


def load(params: Params, source: Path | None) -> list[Item]:
    """Return `num_questions` questions with the charms that are asked for."""
    assert source is None, "the micro-world is generated and has no files"
    problems = test_problems(params.num_questions, params.seed, params.charms)
    items = [
        Item(question_id(each.question), each.question, each.answer, category=f"k={each.num_steps}")
        for each in problems
    ]
    return take_items(items, None)


def prompt(item: Item) -> str:
    """Return the question unchanged."""
    return item.question


def grade(answers: Sequence[tuple[Item, str]]) -> list[Grade]:
    """Return a grade per answer: its last word has to be the gold word; case does not matter."""
    grades = []
    for item, text in answers:
        words = re.findall(r"\w+", text)
        found = words[-1] if words else None
        grades.append(Grade(found is not None and found.casefold() == item.gold.casefold(), found))
    return grades


BENCHMARK = BenchmarkKind(params=Params, load=load, prompt=prompt, grade=grade)
