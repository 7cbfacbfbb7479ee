"""Does a score predict gain? Means of labels of subsets against the gains of their students.

The gain of a subset is the accuracy of its student minus that of the student of a random subset of
the same pool, teacher and size, averaged over the benchmarks that both have.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, pvariance

from nt_pkg.files.json_files import canonical
from nt_pkg.report.records import LabelMean, Score, ScoresBySeed, Subset
from nt_pkg.report.runs import Runs, keep_complete
from nt_pkg.statistics.correlation import Correlation, correlate
from nt_pkg.statistics.tests import correct_holm

_Setting = tuple[str, str, str]  # student, format, mode


@dataclass(frozen=True)
class Gain:
    """A subset whose student can be compared with that of a random subset of its size.

    Attributes:
        subset, size: the subset.
        recipe: its selector with parameters, pool and teacher: what subsets of other sizes share.
        against: the random subset.
        gain: accuracy over random, a share, with its standard error.
        basis: what the error covers: trainings (`recipes`) or only questions (`models`).
        means: of its numeric labels, averaged over draws.
    """

    student: str
    format: str
    mode: str
    subset: str
    size: int
    recipe: str
    against: str
    num_seeds: int
    gain: float
    standard_error: float | None
    basis: str
    means: Mapping[str, LabelMean]


@dataclass(frozen=True)
class Prediction:
    """A label and the gains of a student in one format and mode: one point for every recipe.

    `noise` is the mean squared error of the gains as a share of their variance: near 1, they
    differ by chance only, and no score can predict them. `p_value` is corrected over the labels of
    this student, format and mode (Holm).
    """

    student: str
    format: str
    mode: str
    label: str
    num_subsets: int
    correlation: Correlation
    noise: float | None
    p_value: float | None = None


def measure_gains(
    scores: Sequence[Score], subsets: Sequence[Subset], known: Runs
) -> tuple[list[Gain], list[Prediction]]:
    """Return the gain of every subset that has a random one of its size, and what predicts it."""
    draws: dict[str, list[Subset]] = defaultdict(list)
    for draw in subsets:
        draws[draw.subset].append(draw)
    cells: dict[_Setting, dict[str, ScoresBySeed]] = defaultdict(dict)
    for score in scores:
        if score.subset in draws:
            own = cells[score.student, score.format, score.mode].setdefault(score.subset, {})
            own.setdefault(score.seed, {})[score.benchmark] = score
    gains = [
        gain
        for setting, by_subset in cells.items()
        for name in by_subset
        if (gain := _gain(setting, name, by_subset, draws, known)) is not None
    ]
    return gains, _predict(gains)


def _gain(
    setting: _Setting,
    name: str,
    cells: Mapping[str, ScoresBySeed],
    draws: Mapping[str, Sequence[Subset]],
    known: Runs,
) -> Gain | None:
    own = draws[name][0]
    if own.is_random:
        return None
    found = [other for other in sorted(cells) if _is_baseline(draws[other][0], own)]
    if not found:
        return None
    # Of several, one that chooses among the answers to a question where the subset does.
    against = min(found, key=lambda each: bool(draws[each][0].choice) != bool(own.choice))
    sides = [cells[name], cells[against]]
    wanted = sorted(set.intersection(*(set.union(*map(set, side.values())) for side in sides)))
    complete = [keep_complete(side, wanted) for side in sides]
    seeds = sorted(set(complete[0]) & set(complete[1]))
    if not wanted or not seeds:
        return None
    paired = [{seed: side[seed] for seed in seeds} for side in complete]
    tests = {test.basis: test for test in known.test(paired, wanted)}
    test = tests.get("recipes", tests.get("models"))
    return Gain(
        *setting,
        subset=name,
        size=own.size,
        recipe=canonical([own.selector, own.params, {**own.around, "size": None}]),
        against=against,
        num_seeds=len(seeds),
        gain=test.mean if test else _mean(paired[0], wanted) - _mean(paired[1], wanted),
        standard_error=test.standard_error if test else None,
        basis=test.basis if test else "",
        means=_average_means([draw.means for draw in draws[name]]),
    )


def _is_baseline(other: Subset, own: Subset) -> bool:
    """Return whether a subset is a random one like another, but for which answers it chose."""
    free = {"choice": None, "near": None}
    return other.is_random and {**other.around, **free} == {**own.around, **free}


def _mean(side: ScoresBySeed, wanted: Sequence[str]) -> float:
    return fmean(found[name].accuracy for found in side.values() for name in wanted)


def _average_means(draws: Sequence[Mapping[str, LabelMean]]) -> dict[str, LabelMean]:
    """Return means over draws; the error is that of one draw, since draws may share rows."""
    names = set.intersection(*(set(draw) for draw in draws))
    found = {}
    for name in sorted(names):
        own = [draw[name] for draw in draws]
        known = [each.standard_error for each in own if each.standard_error is not None]
        error = fmean(known) if known else None
        found[name] = LabelMean(fmean(each.mean for each in own), error, own[0].num_rows)
    return found


def average_recipes(gains: Sequence[Gain], label: str) -> list[tuple[float, float, float | None]]:
    """Return (mean of the label, gain, error of the gain) of every recipe.

    Subsets of one recipe at several sizes are no independent points, so they are averaged, with
    their errors as if independent.
    """
    members: dict[str, list[Gain]] = defaultdict(list)
    for gain in gains:
        if label in gain.means:
            members[gain.recipe].append(gain)
    points = []
    for own in members.values():
        errors = [each.standard_error for each in own]
        known = [error**2 for error in errors if error is not None]
        error = math.sqrt(sum(known)) / len(own) if len(known) == len(own) else None
        x = fmean(each.means[label].mean for each in own)
        points.append((x, fmean(each.gain for each in own), error))
    return points


def _predict(gains: Sequence[Gain]) -> list[Prediction]:
    settings: dict[_Setting, list[Gain]] = defaultdict(list)
    for gain in gains:
        settings[gain.student, gain.format, gain.mode].append(gain)
    found = []
    for setting, own in sorted(settings.items()):
        labels = sorted({label for gain in own for label in gain.means})
        rows = [_prediction(setting, label, own) for label in labels]
        tested = [row for row in rows if row.correlation.p_value is not None]
        raw = [row.correlation.p_value or 0.0 for row in tested]
        corrected = dict(zip(map(id, tested), correct_holm(raw), strict=True))
        found += [replace(row, p_value=corrected.get(id(row))) for row in rows]
    return found


def _prediction(setting: _Setting, label: str, gains: Sequence[Gain]) -> Prediction:
    points = average_recipes(gains, label)
    values = [gain for _, gain, _ in points]
    errors = [error for *_, error in points]
    known = [error**2 for error in errors if error is not None]
    spread = pvariance(values) * len(values) / (len(values) - 1) if len(values) > 1 else 0.0
    noise = min(1.0, fmean(known) / spread) if known and spread > 0 else None
    return Prediction(
        *setting,
        label=label,
        num_subsets=sum(label in gain.means for gain in gains),
        correlation=correlate([x for x, *_ in points], values),
        noise=noise if len(known) == len(points) else None,
    )
