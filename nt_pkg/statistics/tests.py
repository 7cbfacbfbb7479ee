"""Tests of single differences, over seeds or over questions, corrected for their number.

The comparisons of a report are in `nt_pkg.statistics.recipes`.
"""

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
