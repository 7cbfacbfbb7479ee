"""Tests of differences: over seeds, over questions, for equivalence; corrected for their number."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from nt_pkg.statistics.verdicts import ALPHA

MIN_SEEDS = 3
MIN_QUESTIONS = 30  # with fewer, a t test on differences of 0 and 1 is not valid

Answers = Mapping[str, float]  # question id -> share right


@dataclass(frozen=True)
class Paired:
    """Mean of per-seed differences; the other fields are None if there are too few seeds."""

    mean: float
    standard_error: float | None
    interval: tuple[float, float] | None
    p_value: float | None
    degrees: int = 0


def run_paired_t(differences: Sequence[float]) -> Paired:
    """Return mean, standard error, 95 % t interval and two-sided p value of a paired t test.

    With one difference only the mean is known. Equal differences have no spread: the interval has
    zero width.
    """
    values = np.asarray(differences, dtype=float)
    mean = float(values.mean())
    if len(values) < 2:
        return Paired(mean, None, None, None)
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    if error < 1e-12:  # rounding noise of equal differences, not a spread
        return Paired(mean, 0.0, (mean, mean), 1.0 if abs(mean) < 1e-12 else 0.0)
    return _test_mean(mean, error, len(values) - 1)


def correct_holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's step-down corrected p values, in the order given (Holm 1979)."""
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


def average_seeds(values: Sequence[float]) -> tuple[float, float | None]:
    """Return mean and standard error over seeds; one seed has no error."""
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, None
    return mean, float(np.std(values, ddof=1)) / math.sqrt(len(values))


def compare_questions(pairs: Mapping[str, Sequence[tuple[Answers, Answers]]]) -> Paired | None:
    """Return the mean difference over benchmarks, tested over the questions both sides answered.

    Every question counts once, whatever its repeats and seeds; benchmarks count alike. The error
    covers the choice of questions and the sampling of answers, but not chance in training. The
    degrees of freedom are those of the smallest benchmark.

    Args:
        pairs: by benchmark, the answers of both sides, one pair a seed.

    Returns:
        None if a benchmark has fewer than 30 questions, or the sides have other questions.
    """
    tests = []
    for sides in pairs.values():
        questions = set(sides[0][0])
        if len(questions) < MIN_QUESTIONS or any(
            set(side) != questions for pair in sides for side in pair
        ):
            return None
        tests.append(
            run_paired_t(
                [math.fsum(a[q] - b[q] for a, b in sides) / len(sides) for q in sorted(questions)]
            )
        )
    if len(tests) == 1:
        return tests[0]
    mean = math.fsum(test.mean for test in tests) / len(tests)
    error = math.sqrt(math.fsum((test.standard_error or 0) ** 2 for test in tests)) / len(tests)
    if error == 0:
        return Paired(mean, 0.0, (mean, mean), 1.0 if abs(mean) < 1e-12 else 0.0)
    degrees = min(test.degrees for test in tests if test.degrees)
    return _test_mean(mean, error, degrees)


def compare_independent(mean: float, errors: Sequence[float], num_questions: int) -> Paired:
    """Return the test of a mean difference over seeds from the errors of both sides of each.

    The errors are over questions, and added as if both sides had answered different ones. All seeds
    answer the same questions, so more seeds do not make the error smaller.

    Args:
        mean: mean difference over seeds.
        errors: standard errors of both sides, seed by seed.
        num_questions: of the score that has fewest.
    """
    error = math.sqrt(math.fsum(each**2 for each in errors) / (len(errors) / 2))
    return _test_mean(mean, error, num_questions - 1)


def _test_mean(mean: float, error: float, degrees: int) -> Paired:
    half_width = float(stdtrit(degrees, 1 - ALPHA / 2)) * error
    p_value = 2 * float(stdtr(degrees, -abs(mean / error)))
    return Paired(mean, error, (mean - half_width, mean + half_width), p_value, degrees)


def compare_alike(found: Paired, margin: float) -> float | None:
    """Return the p value of two one-sided t tests that a difference lies within +- `margin`.

    Schuirmann 1987; None if there is no standard error.
    """
    if found.standard_error is None:
        return None
    if found.standard_error == 0:
        return 0.0 if abs(found.mean) < margin else 1.0
    below = stdtr(found.degrees, -(found.mean + margin) / found.standard_error)
    above = stdtr(found.degrees, (found.mean - margin) / found.standard_error)
    return float(max(below, above))
