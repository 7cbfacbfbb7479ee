"""Studies with known truth, drawn from the model of `nt_pkg.statistics.recipes`.

Thirteen recipes, each trained S times and scored on four benchmarks, and nine claims. All numbers
are in points of accuracy. What a training changes (tau) is half common to the benchmarks. A
benchmark's chance is that of its mean: GPQA-Diamond 198 questions with 24 answers each, MATH-500
with 16, MMLU-Pro 12,032 and SuperGPQA 26,529 with one. They are drawn with 120 questions each, of
accordingly less chance, which leaves the mean's as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from nt_pkg.statistics.mixture import Array
from nt_pkg.statistics.recipes import Recipe

NUM_RECIPES = 13
# Six recipes against a common one, as selectors are against random, and three further pairs.
CLAIMS = ((1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0), (7, 8), (9, 10), (11, 12))
SAMPLING = (0.83, 0.50, 0.43, 0.28)  # e of a run on each benchmark: 198 x 24 ... 26,529 x 1
NUM_QUESTIONS = (198, 500, 12_032, 26_529)
_DRAWN = 120


@dataclass(frozen=True)
class World:
    """What is true in a simulated study.

    num_seeds: trainings of each recipe.
    tau: standard deviation between trainings, of every recipe.
    question_sd: standard deviation of recipe x question, a share.
    shares_questions: the second benchmark asks the questions of the first.
    """

    num_seeds: int
    tau: tuple[float, ...]
    question_sd: float = 0.06
    shares_questions: bool = False


@dataclass(frozen=True)
class Drawn:
    """A study in which no recipe is better than another.

    trainings: (recipes,), by how much the models of a recipe are better by chance, on average.
    """

    recipes: Sequence[Recipe]
    trainings: Array


def draw_study(world: World, draw: np.random.Generator) -> Drawn:
    """Return a study."""
    seeds = tuple(range(world.num_seeds))
    found, chance = [], []
    for tau in world.tau:
        shared = draw.normal(size=(world.num_seeds, 1))
        alone = draw.normal(size=(world.num_seeds, len(NUM_QUESTIONS)))
        trainings = tau * (shared + alone) / np.sqrt(2)
        values = [_draw_answers(world, number, draw) for number in range(len(NUM_QUESTIONS))]
        if world.shares_questions:
            # The same questions, asked otherwise: half of the chance is common.
            values[1] = (values[0] + values[1]) / np.sqrt(2)
        found.append(_join(values, trainings, seeds, is_shared=world.shares_questions))
        chance.append(trainings.mean())
    return Drawn(found, np.array(chance))


def _draw_answers(world: World, benchmark: int, draw: np.random.Generator) -> Array:
    """Return (seeds, questions) scores whose mean has the omega and the e of the benchmark."""
    omega = 100 * world.question_sd / np.sqrt(NUM_QUESTIONS[benchmark])
    own = omega * draw.normal(size=(1, _DRAWN))
    rest = SAMPLING[benchmark] * draw.normal(size=(world.num_seeds, _DRAWN))
    return np.asarray(np.sqrt(_DRAWN) * (own + rest))


def _join(
    values: Sequence[Array], trainings: Array, seeds: tuple[int, ...], *, is_shared: bool
) -> Recipe:
    """Return a recipe as `make_recipe` does, without dictionaries of questions."""
    number = len(values)
    means = np.column_stack([each.mean(axis=1) for each in values])
    parts = [
        (each - each.mean(axis=1, keepdims=True)) / (number * each.shape[1]) for each in values
    ]
    if is_shared:
        parts = [parts[0] + parts[1], *parts[2:]]
    shares = np.concatenate(parts, axis=1)
    return Recipe(means + trainings, seeds, shares, _name_questions(shares.shape[1]))


@cache
def _name_questions(number: int) -> tuple[str, ...]:
    return tuple(f"{at:04}" for at in range(number))
