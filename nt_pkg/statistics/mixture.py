"""Tests of a difference whose variance is known in part.

The error of a difference has a part whose variance `spread` was estimated with few degrees of
freedom (between trainings) and a part whose variance `known` is all but known (between questions).
A t test with one number of degrees is wrong for such a sum, most of all far out in its tails,
where corrected tests are decided. So the normal p value is averaged over the variances that
`spread` may stand for, degrees / chi^2 times as large (Fisher's solution of the Behrens-Fisher
problem; with `known` zero it is the t test, and it errs a little on the side of caution).
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import chdtri, ndtr

Array = npt.NDArray[np.float64]
_NODES = 64


@dataclass(frozen=True)
class Error:
    """The error of a difference, as variances in squared units of the difference.

    spread: the estimated part, with `degrees` of freedom; it is never below `floor`.
    degrees: None if the estimated part is taken as known.
    """

    spread: float
    degrees: float | None
    known: float
    floor: float = 0.0

    @property
    def variance(self) -> float:
        """The variance of the difference."""
        return max(self.spread, self.floor) + self.known

    def p_above(self, gap: float) -> float:
        """Return the one-sided p value of a difference that is `gap` above what is tested."""
        variances, weights = self._variances()
        with np.errstate(divide="ignore", invalid="ignore"):
            tails = np.where(variances > 0, ndtr(-gap / np.sqrt(variances)), 0.5 - np.sign(gap) / 2)
        return float((tails * weights).sum())

    def p_two_sided(self, gap: float) -> float:
        """Return the two-sided p value."""
        return min(1.0, 2 * self.p_above(abs(gap)))

    def half_width(self, level: float = 0.95) -> float:
        """Return half the width of the interval at a level of confidence."""
        scale = math.sqrt(self.variance)
        if scale == 0:
            return 0.0
        missed = 1 - level

        def excess(width: float) -> float:
            return self.p_two_sided(width * scale) - missed

        top = 4.0
        while excess(top) > 0:
            top *= 4
        found: float = brentq(excess, 0.0, top, xtol=1e-6)
        return scale * found

    def _variances(self) -> tuple[Array, Array]:
        if self.degrees is None or self.spread == 0:
            return np.array([self.variance]), np.ones(1)
        factors, weights = _factors(self.degrees)
        return np.maximum(self.spread * factors, self.floor) + self.known, weights


@cache
def _factors(degrees: float) -> tuple[Array, Array]:
    """Return degrees / chi^2 at nodes that are dense where it is large, and their weights."""
    places, weights = np.polynomial.legendre.leggauss(_NODES)
    roots = (places + 1) / 2
    # chdtri has the probability above a value.
    return degrees / chdtri(degrees, 1 - roots**4), 2 * weights * roots**3
