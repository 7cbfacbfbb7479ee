"""How much trainings of a recipe vary: pooled over recipes where they vary alike.

Three seeds of one recipe give two degrees of freedom, three seeds of thirteen recipes 26, if all
thirteen vary alike. They need not: pooled blindly, two recipes that vary three times as much as
eleven others are found different in a third of all studies. So the recipes of a comparison are
measured against the others, per benchmark, because every benchmark shows again how much trainings
vary:

pooled      a factor of about two and a half in the standard deviation is excluded
own         they vary more than the others, or both sides vary less: only their own count
moderated   none of these is shown: their own variance and that of the others, the others with no
            more degrees of freedom than their own (Smyth 2004 finds this number from many
            genes; from a dozen recipes it cannot be found)

What is excluded and shown has levels that were chosen by simulation (`make bench-statistics`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import fdtr, fdtrc, fdtri

from nt_pkg.statistics.mixture import Array

FACTOR_BOTH = 6.0  # of the variance of both sides that has to be excluded to pool them
FACTOR_ONE = 9.0  # of that of one side
LEVEL_EXCLUDED = 0.05
LEVEL_MORE = 0.05  # below it both sides, or one, are said to vary more than the others
LEVEL_LESS = 0.05  # and less; of the others, which then do not count
LEVEL_SIDES = 0.05  # below it one side is said to vary more than the other
LEVEL_BOTH = 0.2  # and below it one may, so that both together vary less because of the other
LEVEL_SEEDS = 0.01  # below it a seed is said to shift all recipes alike
PRIOR_SHARE = 0.5  # degrees of the others, for each of one's own, where they are only moderated


CORRELATION = 0.5  # of what a training changes on two benchmarks, before any is measured


class Runs(Protocol):
    """What is asked of a recipe: accuracy of each run by benchmark, and the seeds."""

    @property
    def means(self) -> Array:
        """(seeds, benchmarks)."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, in the order of `means`."""


@dataclass(frozen=True)
class Spread:
    """Variance between the trainings of a recipe, of one run's mean over benchmarks.

    source: pooled, moderated, own, or others if the recipe itself was trained once.
    alike: p value of the test that it varies as the others do; None without others.
    is_paired: what a seed does to all recipes alike is taken out.
    """

    variance: float
    degrees: float
    source: str
    alike: float | None = None
    is_paired: bool = False


@dataclass(frozen=True)
class _Scatter:
    """Sums of products of deviations from a recipe's mean: (benchmarks, benchmarks)."""

    products: Array
    degrees: float

    @property
    def variances(self) -> Array:
        """Variance of each benchmark."""
        return np.asarray(np.diag(self.products) / self.degrees)

    @property
    def variance(self) -> float:
        """Variance of the mean over benchmarks."""
        return float(self.products.mean() / self.degrees)


def expect_degrees(own: float, sides: int, others: float, benchmarks: int) -> float:
    """Return the degrees of freedom to expect of recipes that vary alike, before they ran.

    Args:
        own: degrees of the recipes of a comparison together.
        sides: number of these.
        others: degrees of the other recipes together.
        benchmarks: over which accuracies are averaged. Few cannot show that recipes vary alike.
    """
    if not own or not others:
        return own + others
    number = benchmarks / (1 + (benchmarks - 1) * CORRELATION**2)
    below = others * number
    is_pooled = FACTOR_BOTH * fdtri(own * number, below, LEVEL_EXCLUDED) > 1 and (
        FACTOR_ONE * fdtri(own / sides * number, below, LEVEL_EXCLUDED) > 1
    )
    return own + (others if is_pooled else min(others, PRIOR_SHARE * own * number))


def find_spread(members: Sequence[Runs], others: Sequence[Runs]) -> Spread | None:
    """Return the variance between trainings of the recipes of one side or both of a comparison.

    Args:
        members: the one or two recipes that are compared.
        others: further recipes of the same student, benchmarks and mode.

    Returns:
        None if no recipe has two seeds.
    """
    number = len(members) + len(others)
    effect = _seed_effect([*members, *others]) if len(members) == 2 else None
    own = [_scatter(each, effect, number) for each in members if len(each.means) > 1]
    rest = _add(
        _leave_out_steady(
            [_scatter(each, effect, number) for each in others if len(each.means) > 1]
        )
    )
    if not own:
        if rest is None:
            return None
        return Spread(rest.variance, rest.degrees, "others", None, effect is not None)
    mine = _add(own)
    assert mine is not None
    if rest is None:
        return Spread(mine.variance, _find_welch_degrees(own), "own")
    source, alike = _judge(mine, own, rest)
    if source == "own":
        return Spread(mine.variance, _own_degrees(own), source, alike)
    weight = rest.degrees
    if source == "moderated":
        weight = min(weight, PRIOR_SHARE * mine.degrees * _num_independent(rest))
    degrees = mine.degrees + weight
    variance = (mine.degrees * mine.variance + weight * rest.variance) / degrees
    return Spread(variance, degrees, source, alike, effect is not None)


def _leave_out_steady(others: Sequence[_Scatter]) -> list[_Scatter]:
    """Return the others without those that vary less than the rest of them.

    Two that vary a third as much make the rest seem to vary less than it does, and a claim too
    easy to support. One that varies more only makes it harder.
    """
    whole = _add(others)
    if whole is None or len(others) < 3:
        return list(others)
    number = _num_independent(whole)
    found = []
    for each in others:
        left = (np.diag(whole.products) - np.diag(each.products)) / (whole.degrees - each.degrees)
        known = left > 0
        ratio = float((each.variances[known] / left[known]).mean()) if known.any() else 1.0
        below = (whole.degrees - each.degrees) * number
        if fdtr(each.degrees * number, below, ratio) >= LEVEL_LESS:
            found.append(each)
    return found


def _own_degrees(own: Sequence[_Scatter]) -> float:
    """Return the degrees of the variance of one side or two, fewer if one is said to vary more."""
    if _p_sides_alike(own) > LEVEL_SIDES:
        return sum(each.degrees for each in own)
    return _find_welch_degrees(own)


def _p_sides_alike(own: Sequence[_Scatter]) -> float:
    """Return the two-sided p value of the test that two sides vary alike; 1 for one side."""
    both = _add(own)
    assert both is not None
    known = both.variances > 0
    if len(own) == 1 or not known.any():
        return 1.0
    one, other = (float((each.variances[known] / both.variances[known]).mean()) for each in own)
    first, second = (each.degrees * _num_independent(both) for each in own)
    lower = fdtr(first, second, one / other) if other else 1.0
    return float(2 * min(lower, 1 - lower))


def _find_welch_degrees(own: Sequence[_Scatter]) -> float:
    """Return the degrees of the variance of sides that may vary differently (Satterthwaite)."""
    squares = sum(each.variance**2 / each.degrees for each in own)
    total = sum(each.variance for each in own)
    return total**2 / squares if squares else sum(each.degrees for each in own)


def _judge(mine: _Scatter, own: Sequence[_Scatter], rest: _Scatter) -> tuple[str, float]:
    """Return how the recipes stand to the others, and the two-sided p value of standing alike."""
    number = _num_independent(rest)
    below = rest.degrees * number

    def measure(found: _Scatter) -> tuple[float, float]:
        """Return the ratio of variances, averaged over benchmarks, and its degrees."""
        known = rest.variances > 0
        if not known.any():
            return (1.0 if not found.variances.any() else np.inf), found.degrees * number
        ratio = float((found.variances[known] / rest.variances[known]).mean())
        return ratio, found.degrees * number

    ratio, above = measure(mine)
    more, less = float(fdtrc(above, below, ratio)), float(fdtr(above, below, ratio))
    alike = min(1.0, 2 * min(more, less))
    sides = [measure(each) for each in own]
    if more < LEVEL_MORE:
        return "own", alike
    if less < LEVEL_LESS:
        return ("own" if _p_sides_alike(own) > LEVEL_BOTH else "moderated"), alike
    if any(fdtrc(df, below, each) < LEVEL_MORE for each, df in sides):
        return "own", alike
    is_excluded = ratio < FACTOR_BOTH * fdtri(above, below, LEVEL_EXCLUDED) and all(
        each < FACTOR_ONE * fdtri(df, below, LEVEL_EXCLUDED) for each, df in sides
    )
    return "pooled" if is_excluded else "moderated", alike


def _num_independent(rest: _Scatter) -> float:
    """Return as how many independent benchmarks theirs count for a variance.

    A sum of variances whose benchmarks have the correlations r has the degrees of n^2 / sum r^2
    independent ones (Satterthwaite).
    """
    size = np.sqrt(np.diag(rest.products))
    if not size.all():
        return 1.0
    number = len(size)
    squares = (rest.products / np.outer(size, size)) ** 2
    # Chance alone makes a squared correlation of 1 / degrees.
    apart = squares.sum() - number - number * (number - 1) / rest.degrees
    return float(number**2 / (number + max(0.0, apart)))


def _seed_effect(recipes: Sequence[Runs]) -> Array | None:
    """Return what a seed adds to every recipe, (seeds, benchmarks), if it is more than chance.

    Two-way analysis of variance, without which pairing by seed would only cost degrees of freedom.
    """
    seeds = recipes[0].seeds
    alike = [each.means for each in recipes if each.seeds == seeds]
    if len(alike) < 3 or len(alike) < len(recipes) or len(seeds) < 2:
        return None
    table = np.array(alike)
    table = table - table.mean(axis=1, keepdims=True)  # (recipes, seeds, benchmarks)
    effect = table.mean(axis=0)
    number, num_seeds = table.shape[:2]
    shared = number * float((effect.mean(axis=1) ** 2).sum()) / (num_seeds - 1)
    left = float(((table - effect).mean(axis=2) ** 2).sum()) / ((num_seeds - 1) * (number - 1))
    degrees = num_seeds - 1, (num_seeds - 1) * (number - 1)
    is_chance = left == 0 or fdtrc(*degrees, shared / left) >= LEVEL_SEEDS
    return None if is_chance else np.asarray(effect)


def _scatter(recipe: Runs, effect: Array | None, number: int) -> _Scatter:
    apart = recipe.means - recipe.means.mean(axis=0)
    degrees = float(len(apart) - 1)
    if effect is not None:
        apart = apart - effect
        degrees *= (number - 1) / number  # the mean of n recipes holds 1 / n of each
    return _Scatter(apart.T @ apart, degrees)


def _add(found: Sequence[_Scatter]) -> _Scatter | None:
    if not found:
        return None
    products = np.sum([each.products for each in found], axis=0)
    return _Scatter(products, sum(each.degrees for each in found))
