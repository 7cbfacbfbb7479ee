"""The smallest difference that a comparison sees with 80 % power, before or after it ran.

    MDE80 = (t[1 - a / 2m, v] + t[.8, v]) * sqrt(2 (tau^2 + e^2) / S + 2 omega^2)

a: 5 %; m: comparisons whose p values are corrected together, of which Holm's first step asks most;
v: degrees of freedom behind the variance between trainings; tau, e and omega:
`nt_pkg.statistics.recipes`. With few degrees that variance may itself be off by a factor, so below
`MIN_DEGREES` the formula promises nothing.

Nothing here needs numpy before a function is called.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nt_pkg.statistics.verdicts import ALPHA, MIN_DEGREES

POWER = 0.8
MOST_SEEDS = 99
# Of answers that are right or wrong, p (1 - p) at most.
ANSWER_VARIANCE = 0.25


@dataclass(frozen=True)
class Questions:
    """The questions of a benchmark, and how often a run answers each."""

    number: int
    repeats: int = 1


def detectable(error: float, degrees: float | None, family: int, *, alike: bool = False) -> float:
    """Return the difference that is found with 80 % power, in the unit of its standard error.

    Args:
        error: standard error of the difference.
        degrees: degrees of freedom behind it; None if its variance is known.
        family: number of comparisons or claims that are corrected together.
        alike: return the margin within which two equal sides are shown to be alike instead.
    """
    level, power = (ALPHA, (1 + POWER) / 2) if alike else (ALPHA / 2, POWER)
    return error * (_quantile(1 - level / family, degrees) + _quantile(power, degrees))


def seeds_needed(
    difference: float,
    variances: tuple[float, float],
    behind: tuple[int, float | None],
    family: int,
    *,
    alike: bool = False,
) -> int | None:
    """Return the seeds with which a difference is detectable; None: more than `MOST_SEEDS`.

    Args:
        difference: the difference, or the margin if `alike`.
        variances: of the measured difference, from trainings and from questions.
        behind: seeds and degrees of freedom of the measurement; these grow with the seeds of all
            recipes.
        family: number of comparisons or claims that are corrected together.
        alike: the claim is that both sides are alike.
    """
    trainings, questions = variances
    seeds, degrees = behind
    for number in range(seeds, MOST_SEEDS + 1):
        each = degrees
        if degrees is not None and seeds > 1:
            each = degrees * (number - 1) / (seeds - 1)
        if each is not None and each < MIN_DEGREES:
            continue
        error = math.sqrt(trainings * seeds / number + questions)
        if detectable(error, each, family, alike=alike) <= difference:
            return number
    return None


def difference_error(
    taus: Sequence[float], seeds: Sequence[int], asked: Sequence[Questions], question_sd: float
) -> float:
    """Return the standard error of a difference of means over benchmarks, in shares.

    Args:
        taus: tau of each side, a share; 0 of a student that is not trained.
        seeds: runs of each side.
        asked: the benchmarks, which count alike.
        question_sd: how much recipes differ on a single question, a standard deviation.
    """
    sampling = sampling_variance(asked)
    omega = sum(question_sd**2 / each.number for each in asked) / len(asked) ** 2
    trainings = sum((tau**2 + sampling) / num for tau, num in zip(taus, seeds, strict=True))
    return math.sqrt(trainings + 2 * omega)


def sampling_variance(asked: Sequence[Questions]) -> float:
    """Return e^2, by how much other answers of the same model would change a run's mean."""
    each = [ANSWER_VARIANCE / (benchmark.number * benchmark.repeats) for benchmark in asked]
    return math.fsum(each) / len(asked) ** 2


def _quantile(probability: float, degrees: float | None) -> float:
    from scipy.special import ndtri, stdtrit

    return float(ndtri(probability) if degrees is None else stdtrit(degrees, probability))
