"""Ratios of lengths: the tokens of one side's answers over the other's, with paired tests.

That one side has at least r times the tokens of the other is tested as a difference: a - r b,
paired by seed or by question, is above zero on average. The interval of the ratio holds every r
that this test does not reject (Fieller 1954), so interval and test cannot disagree.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from nt_pkg.statistics.tests import MIN_QUESTIONS
from nt_pkg.statistics.verdicts import ALPHA

# From this ratio on, an answer counts as longer. Our choice: the paper's System-2 student
# writes 1.7 times as much when asked to think and counts as unable to switch; between System-1 and
# System-2 there is a factor of 27.
LONGER = 2.0

Lengths = Mapping[str, float | None]  # question id -> mean tokens; None: all answers failed


@dataclass(frozen=True)
class Ratio:
    """Mean tokens of two sides with the variances and the covariance of these two means."""

    a: float
    b: float
    variance_a: float
    variance_b: float
    covariance: float
    degrees: int

    @property
    def value(self) -> float:
        """Tokens of the first side over those of the second."""
        return self.a / self.b

    @property
    def standard_error(self) -> float:
        """Standard error of the ratio, to first order."""
        return self._error(self.value) / self.b

    def interval(self, level: float = 1 - ALPHA) -> tuple[float, float] | None:
        """Return Fieller's interval; None if it is unbounded or there are no data."""
        if not self.degrees:
            return None
        square = float(stdtrit(self.degrees, (1 + level) / 2)) ** 2
        lead = self.b**2 - square * self.variance_b
        if lead <= 0:  # the shorter side cannot be told from zero
            return None
        middle = self.a * self.b - square * self.covariance
        root = middle**2 - lead * (self.a**2 - square * self.variance_a)
        half = math.sqrt(max(0.0, root))
        return (middle - half) / lead, (middle + half) / lead

    def p_above(self, factor: float) -> float:
        """Return the one-sided p value of the ratio being above a factor."""
        return self._tail(self.a - factor * self.b, factor)

    def p_below(self, factor: float) -> float:
        """Return the one-sided p value of the ratio being below a factor."""
        return self._tail(factor * self.b - self.a, factor)

    def _tail(self, gap: float, factor: float) -> float:
        error = self._error(factor)
        if error < 1e-9:  # the same difference everywhere
            return 0.5 if abs(gap) < 1e-9 else float(gap < 0)
        return float(stdtr(self.degrees, -gap / error))

    def _error(self, factor: float) -> float:
        square = self.variance_a - 2 * factor * self.covariance + factor**2 * self.variance_b
        return math.sqrt(max(0.0, square))


def pair_lengths(a: Sequence[float], b: Sequence[float]) -> Ratio | None:
    """Return the ratio of two sides paired in this order; None if the second has no tokens."""
    if not a or not sum(b):
        return None
    means = float(np.mean(a)), float(np.mean(b))
    if len(a) < 2:
        return Ratio(*means, 0.0, 0.0, 0.0, 0)
    spread = np.cov(a, b) / len(a)
    return Ratio(*means, float(spread[0, 0]), float(spread[1, 1]), float(spread[0, 1]), len(a) - 1)


def pair_questions(pairs: Mapping[str, Sequence[tuple[Lengths, Lengths]]]) -> Ratio | None:
    """Return the ratio of mean tokens over the questions that both sides answered.

    Every question counts once, whatever its repeats and seeds; benchmarks count alike. A question
    whose answers all failed on one side has no length and is left out.

    Args:
        pairs: by benchmark, the lengths of both sides, one pair a seed.

    Returns:
        None if a benchmark has fewer than 30 such questions, or the sides have other questions.
    """
    parts = []
    for members in pairs.values():
        sides = list(zip(*members, strict=True))
        asked = set(sides[0][0])
        if any(set(found) != asked for side in sides for found in side):
            return None
        known = [q for q in sorted(asked) if all(f[q] is not None for s in sides for f in s)]
        if len(known) < MIN_QUESTIONS:
            return None
        means = [[math.fsum(f[q] or 0.0 for f in s) / len(s) for q in known] for s in sides]
        parts.append(pair_lengths(means[0], means[1]))
    found = [part for part in parts if part is not None]
    if len(found) < len(parts):
        return None
    number = len(found)
    return Ratio(
        math.fsum(part.a for part in found) / number,
        math.fsum(part.b for part in found) / number,
        math.fsum(part.variance_a for part in found) / number**2,
        math.fsum(part.variance_b for part in found) / number**2,
        math.fsum(part.covariance for part in found) / number**2,
        min(part.degrees for part in found),
    )


def add_ratios(over_seeds: Ratio, over_questions: Ratio) -> Ratio:
    """Return the ratio with the variances between trainings and between questions, added.

    The sampling of answers is in both, so the sum is a little too wide.
    """
    return Ratio(
        over_questions.a,
        over_questions.b,
        over_seeds.variance_a + over_questions.variance_a,
        over_seeds.variance_b + over_questions.variance_b,
        over_seeds.covariance + over_questions.covariance,
        over_seeds.degrees,
    )


def find_p_value(ratio: Ratio, claim: str) -> float:
    """Return the p value of a claim about lengths.

    longer (a has at least twice the tokens of b) and fewer (a has fewer tokens than b) are tested
    two-sided; alike (neither has twice those of the other) by two one-sided tests.
    """
    if claim == "alike":
        return max(ratio.p_above(1 / LONGER), ratio.p_below(LONGER))
    factor = LONGER if claim == "longer" else 1.0
    return 2 * min(ratio.p_above(factor), ratio.p_below(factor))


def lean(ratio: float, claim: str) -> float:
    """Return a number that is positive if a ratio agrees with a claim, negative otherwise."""
    return ratio - LONGER if claim == "longer" else 1 - ratio
