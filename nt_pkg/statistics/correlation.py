"""Correlation of a few points, with an interval that says how few they are."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtr
from scipy.stats import rankdata

from nt_pkg.statistics.verdicts import ALPHA

MIN_POINTS = 4  # Fisher's z has the variance 1 / (n - 3)


@dataclass(frozen=True)
class Correlation:
    """Pearson's r of `num` points, Spearman's rank correlation, interval and two-sided p value.

    The interval is Fisher's (1921): tanh(artanh r +- 1.96 / sqrt(n - 3)). It holds for independent
    points of a normal law. The p value is of the t test with n - 2 degrees of freedom. All but
    `num` are None if there are fewer than 4 points, or one side does not vary.
    """

    num: int
    r: float | None = None
    rank: float | None = None
    interval: tuple[float, float] | None = None
    p_value: float | None = None


def correlate(x: Sequence[float], y: Sequence[float]) -> Correlation:
    """Return the correlation of points; `x` and `y` have one value per point."""
    num = len(x)
    if num < MIN_POINTS or _is_constant(x) or _is_constant(y):
        return Correlation(num)
    r = _pearson(x, y)
    rank = _pearson(rankdata(x).tolist(), rankdata(y).tolist())
    if abs(r) > 1 - 1e-12:
        return Correlation(num, r, rank, (r, r), 0.0)
    half = float(ndtri(1 - ALPHA / 2)) / math.sqrt(num - 3)
    z = math.atanh(r)
    t = abs(r) * math.sqrt((num - 2) / (1 - r * r))
    interval = math.tanh(z - half), math.tanh(z + half)
    return Correlation(num, r, rank, interval, 2 * float(stdtr(num - 2, -t)))


def _pearson(x: Sequence[float], y: Sequence[float]) -> float:
    return float(np.clip(np.corrcoef(x, y)[0, 1], -1, 1))


def _is_constant(values: Sequence[float]) -> bool:
    spread = max(values) - min(values)
    return spread <= 1e-9 * max(1.0, *map(abs, values))
