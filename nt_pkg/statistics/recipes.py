"""Recipes compared: the variance of their difference, and the tests that follow from it.

A score is y[run, seed, question]. The difference of two recipes over S seeds has the variance

    2 (tau^2 + e^2) / S + 2 omega^2

tau^2: what another draw and training changes; e^2: sampling of answers, and what a training does
to single questions; omega^2: the choice of questions, of which a recipe answers some better than
others. tau^2 + e^2 is seen between the seeds (`nt_pkg.statistics.spread`), omega^2 between the
questions: their differences, averaged over seeds, have the variance 2 omega^2 + 2 e^2 / S, and e^2
is seen between the seeds of a question. A question that two benchmarks share counts as one.

An untrained student has no tau, only the sampling of its answers. Two modes of one training are
one recipe, of the differences between its modes.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import chdtr

from nt_pkg.statistics.mixture import Array, Error
from nt_pkg.statistics.spread import find_spread
from nt_pkg.statistics.tests import MIN_QUESTIONS, Answers
from nt_pkg.statistics.verdicts import MIN_DEGREES

LEVEL_FLOOR = 0.01


@dataclass(frozen=True)
class Recipe:
    """The runs of a recipe on some benchmarks, or their differences between two modes.

    means: (seeds, benchmarks), accuracy of every run, as a share.
    shares: (seeds, questions), what every question adds to a run's mean over benchmarks, less what
        it adds on average; None if answers are not known.
    seeds: the seeds, in this order; an untrained student's may be any.
    questions: ids of these questions, sorted.
    errors: (seeds, benchmarks), standard errors over questions of `means`; for unknown answers.
    is_trained: False for a student that was not trained: its seeds only sample other answers.
    """

    means: Array
    seeds: tuple[int, ...] = ()
    shares: Array | None = None
    questions: tuple[str, ...] = ()
    errors: Array | None = None
    is_trained: bool = True

    @property
    def num_seeds(self) -> int:
        """Number of runs."""
        return len(self.means)

    @property
    def scores(self) -> Array:
        """The mean over benchmarks of every run."""
        return np.asarray(self.means.mean(axis=1))

    @cached_property
    def sampling(self) -> float | None:
        """e^2 of one run's mean over benchmarks; None with one seed."""
        if self.shares is None or self.num_seeds < 2:
            return None
        rest = self.shares - self.shares.mean(axis=0)
        return _scatter(rest) / (self.num_seeds - 1)


@dataclass(frozen=True)
class Test:
    """A difference of two recipes, or of two models, tested.

    basis: `recipes`, or `models` if each side is one training and nothing tells how trainings vary.
    source: where the variance between trainings comes from: pooled, moderated, own, others (recipes
        with more seeds), stated, or nothing.
    degrees: degrees of freedom behind that variance; None if it is stated.
    alike: p value of the test that these recipes vary between trainings as the others do.
    """

    mean: float
    error: Error
    basis: str
    source: str
    degrees: float | None
    alike: float | None = None

    @property
    def standard_error(self) -> float:
        """Standard error of the difference."""
        return math.sqrt(self.error.variance)

    @property
    def p_value(self) -> float:
        """Two-sided p value of no difference."""
        return 1.0 if self.mean == 0 else self.error.p_two_sided(self.mean)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the interval of the difference."""
        half = self.error.half_width(level)
        return self.mean - half, self.mean + half

    def p_within(self, margin: float) -> float:
        """Return the p value of two one-sided tests that the difference is within +- `margin`.

        Schuirmann 1987.
        """
        above, below = margin - self.mean, margin + self.mean
        return max(self.error.p_above(above), self.error.p_above(below))


def make_recipe(
    answers: Mapping[int, Mapping[str, Answers]], *, is_trained: bool = True
) -> Recipe | None:
    """Return a recipe from the answers of its runs, by seed and benchmark.

    Every question counts once, whatever its repeats and seeds; benchmarks count alike. None if the
    runs did not all answer the same questions.
    """
    seeds = tuple(sorted(answers))
    benchmarks = sorted(answers[seeds[0]])
    asked = {name: sorted(answers[seeds[0]][name]) for name in benchmarks}
    if any(run[name].keys() != set(asked[name]) for run in answers.values() for name in benchmarks):
        return None
    questions = tuple(sorted({q for found in asked.values() for q in found}))
    places = {question: at for at, question in enumerate(questions)}
    shares = np.zeros((len(seeds), len(questions)))
    means = np.zeros((len(seeds), len(benchmarks)))
    for column, name in enumerate(benchmarks):
        where = np.array([places[question] for question in asked[name]])
        values = np.array([[answers[s][name][q] for q in asked[name]] for s in seeds])
        means[:, column] = values.mean(axis=1)
        shares[:, where] += (values - means[:, [column]]) / (len(benchmarks) * values.shape[1])
    return Recipe(means, seeds, shares, questions, is_trained=is_trained)


def between_modes(a: Recipe, b: Recipe) -> Recipe:
    """Return the differences of two modes of the same runs, in the same order of seeds."""
    shares = errors = None
    if a.shares is not None and b.shares is not None and a.questions == b.questions:
        shares = a.shares - b.shares
    elif a.errors is not None and b.errors is not None:
        errors = np.hypot(a.errors, b.errors)
    questions = a.questions if shares is not None else ()
    return Recipe(a.means - b.means, a.seeds, shares, questions, errors, a.is_trained)


def compare_recipes(
    sides: Sequence[Recipe],
    others: Sequence[Sequence[Recipe]],
    training_sd: float | None = None,
) -> list[Test]:
    """Return the tests of the first side minus the second: on recipes, on two models, or both.

    Args:
        sides: the recipes of both sides, of the same seeds in the same order; or one, of the
            differences between two modes.
        others: further recipes whose trainings may vary like those of the sides: one list for each
            side, or one for both, if these are of one student, in one mode.
        training_sd: tau as the study states it, a share; used where a side was trained once and
            no other recipes tell it.
    """
    between = _between_questions(sides)
    if between is None:
        return []
    signs = (1.0, -1.0)
    mean = sum(sign * float(side.scores.mean()) for sign, side in zip(signs, sides, strict=False))
    found = []
    trained = [side for side in sides if side.is_trained]
    if trained:
        found += _test_recipes(mean, sides, others, training_sd, between)
    if all(side.num_seeds == 1 for side in trained):
        found.append(Test(mean, Error(0.0, None, between), "models", "nothing", None))
    return found


def _test_recipes(
    mean: float,
    sides: Sequence[Recipe],
    others: Sequence[Sequence[Recipe]],
    training_sd: float | None,
    between: float,
) -> list[Test]:
    """Return the test about recipes, or nothing if it is not known how trainings vary."""
    trained = [side for side in sides if side.is_trained]
    if len(others) == 1 or len(sides) == 1:
        parts = [find_spread(trained, others[0])]
    else:
        pools = [pool for side, pool in zip(sides, others, strict=True) if side.is_trained]
        parts = [find_spread([side], pool) for side, pool in zip(trained, pools, strict=True)]
    known = [part for part in parts if part is not None]
    is_once = any(side.num_seeds == 1 for side in trained)
    if is_once and (len(known) < len(parts) or any(p.degrees < MIN_DEGREES for p in known)):
        if training_sd is None:
            return []
        variance = training_sd**2 * sum(1 / side.num_seeds for side in trained)
        return [Test(mean, Error(variance, None, between), "recipes", "stated", None)]
    alike = min((part.alike for part in known if part.alike is not None), default=None)
    times = [1 / side.num_seeds for side in trained]
    sampling = sum(
        _sampling(side, others) * time for side, time in zip(trained, times, strict=True)
    )
    if len(known) == 1:
        spread, degrees = known[0].variance * sum(times), known[0].degrees
    else:
        each = [part.variance * time for part, time in zip(known, times, strict=True)]
        spread = sum(each)
        squares = sum(v**2 / part.degrees for v, part in zip(each, known, strict=True))
        degrees = spread**2 / squares if squares else min(part.degrees for part in known)
    source = next(
        (s for s in ("own", "moderated", "others") if any(part.source == s for part in known)),
        "pooled",
    )
    error = _error(spread, degrees, between, sampling)
    return [Test(mean, error, "recipes", source, degrees, alike)]


def _error(spread: float, degrees: float, between: float, sampling: float) -> Error:
    """Return the error of a difference; e^2 is in `spread` and in `between`, and counts once.

    Runs that vary even less than the sampling of their answers explains, such as those with the
    same difference at every seed, are taken to vary as that.
    """
    if spread < sampling and chdtr(degrees, degrees * spread / sampling) < LEVEL_FLOOR:
        spread = sampling
    return Error(spread, degrees, max(0.0, between - sampling))


def _sampling(side: Recipe, others: Sequence[Sequence[Recipe]]) -> float:
    """Return e^2 of one run; of a recipe that was trained once, that of the others on average."""
    if side.sampling is not None:
        return side.sampling
    known = [each.sampling for pool in others for each in pool if each.sampling is not None]
    return float(np.mean(known)) if known else 0.0


def _between_questions(sides: Sequence[Recipe]) -> float | None:
    """Return 2 omega^2 + 2 e^2 / S, or None if there are too few questions.

    If the sides answered other questions, or answers are not known, it is that of unpaired ones.
    """
    first = sides[0]
    shares = [side.shares for side in sides]
    known = [each for each in shares if each is not None]
    if len(known) == len(sides) and all(side.questions == first.questions for side in sides):
        apart = known[0].mean(axis=0) - (known[1].mean(axis=0) if len(known) > 1 else 0.0)
        return _inflate(float(_scatter(apart)), len(first.questions))
    found = 0.0
    for side in sides:
        if side.shares is not None:
            own = _inflate(_scatter(side.shares.mean(axis=0)), len(side.questions))
            if own is None:
                return None
            found += own
        elif side.errors is not None:
            found += float((side.errors**2).sum(axis=1).mean()) / side.errors.shape[1] ** 2
        else:
            return None
    return found


def _inflate(variance: float, number: int) -> float | None:
    """Return a variance from n questions as a t law has it, which is wider than a normal one."""
    return None if number < MIN_QUESTIONS else variance * (number - 1) / (number - 3)


def _scatter(shares: Array) -> float:
    """Return the variance of a sum over questions, from what every question adds to it."""
    number = len(shares.T)
    return float((shares**2).sum()) * number / (number - 1)
