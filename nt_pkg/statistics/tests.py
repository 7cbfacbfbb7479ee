"""Tests of differences: over seeds, over questions, for being alike; corrected for their number."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtr, stdtrit

MIN_SEEDS = 3
MIN_QUESTIONS = 30  # below, a t test on differences of 0 and 1 is no test
ALPHA = 0.05

Record = Mapping[str, Any]
Answers = Callable[[Record], Mapping[str, float]]  # score -> question id -> share right


@dataclass(frozen=True)
class Paired:
    """Mean of per-seed differences; the other fields are None where the seeds do not allow them."""

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
    degrees = len(values) - 1
    half_width = float(stdtrit(degrees, 1 - ALPHA / 2)) * error
    p_value = 2 * float(stdtr(degrees, -abs(mean / error)))
    return Paired(mean, error, (mean - half_width, mean + half_width), p_value, degrees)


def correct_holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's step-down corrected p values, in the order given (Holm 1979)."""
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


def judge(difference: float, p_value: float, *, has_claim: bool) -> str:
    """Return the verdict on a tested difference; a claim always says that it is positive."""
    if p_value >= ALPHA or difference == 0:
        return "not supported" if has_claim else "no difference seen"
    if difference > 0:
        return "supported" if has_claim else "above"
    return "opposite" if has_claim else "below"


def compare_questions(
    pairs: Mapping[str, Sequence[tuple[Record, Record]]], answers: Answers
) -> Paired | None:
    """Return the mean difference over benchmarks, tested over the questions both sides answered.

    Every question counts once, whatever its repeats and seeds; benchmarks count alike. The error
    covers the choice of questions and the sampling of answers, and not the luck of a training. The
    degrees of freedom are those of the smallest benchmark.

    Args:
        pairs: by benchmark, the scores of both sides, one pair a seed.
        answers: gives the share right of every question of a score.

    Returns:
        None where a benchmark has fewer than 30 questions, or the sides other questions.
    """
    tests = []
    for members in pairs.values():
        sides = [(answers(a), answers(b)) for a, b in members]
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
    half_width = float(stdtrit(degrees, 1 - ALPHA / 2)) * error
    p_value = 2 * float(stdtr(degrees, -abs(mean / error)))
    return Paired(mean, error, (mean - half_width, mean + half_width), p_value, degrees)


def compare_alike(found: Paired, margin: float) -> float | None:
    """Return the p value of two one-sided t tests that a difference lies within +- `margin`.

    Schuirmann 1987; None where there is no error to test with.
    """
    if found.standard_error is None:
        return None
    if found.standard_error == 0:
        return 0.0 if abs(found.mean) < margin else 1.0
    below = stdtr(found.degrees, -(found.mean + margin) / found.standard_error)
    above = stdtr(found.degrees, (found.mean - margin) / found.standard_error)
    return float(max(below, above))
