"""The recipes of a comparison, and the others whose trainings tell how much trainings vary.

A recipe is a student, a subset and a format, in one mode; its runs are its seeds.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from nt_pkg.report.records import Score, ScoresBySeed
from nt_pkg.statistics.recipes import Recipe, Test, between_modes, compare_recipes, make_recipe
from nt_pkg.statistics.tests import MIN_QUESTIONS, Answers

AnswersOf = Callable[[Score], Answers]
_Group = tuple[str, str, str]  # student, subset, format


class Runs:
    """The runs of a study by recipe, and tests of their differences."""

    def __init__(
        self,
        scores: Sequence[Score],
        answers: AnswersOf | None = None,
        training_sd: float | None = None,
    ) -> None:
        """Sort the scores.

        Args:
            scores: all scores of the study.
            answers: returns the share of right answers per question of a score. Without it, and
                where sides answered other questions, their standard errors are added as if
                independent, which is too wide.
            training_sd: tau, a share, if the study states it.
        """
        self._answers = answers
        self._training_sd = training_sd
        self._groups: dict[_Group, dict[str, ScoresBySeed]] = {}
        self._known: dict[object, Recipe] = {}
        for score in scores:
            group = self._groups.setdefault(_group_of(score), {})
            group.setdefault(score.mode, {}).setdefault(score.seed, {})[score.benchmark] = score

    def test(self, sides: Sequence[ScoresBySeed], wanted: Sequence[str]) -> list[Test]:
        """Return the tests of a difference on the mean of some benchmarks.

        Args:
            sides: scores by seed and benchmark of both sides, complete on these benchmarks; trained
                sides of the same seeds.
            wanted: the benchmarks.
        """
        groups = [_group_of(_first(side)) for side in sides]
        modes = [_first(side).mode for side in sides]
        recipes = [self._recipe(side, wanted) for side in sides]
        if groups[0] == groups[1] and recipes[0].is_trained:
            others = self._others(groups, wanted, *modes)
            return compare_recipes([between_modes(*recipes)], [others], self._training_sd)
        pools = [
            self._others(groups, wanted, mode, student=group[0])
            for group, mode in zip(groups, modes, strict=True)
        ]
        is_shared = groups[0][0] == groups[1][0] and modes[0] == modes[1]
        return compare_recipes(recipes, pools[:1] if is_shared else pools, self._training_sd)

    def _others(
        self, groups: Sequence[_Group], wanted: Sequence[str], *modes: str, student: str = ""
    ) -> list[Recipe]:
        """Return the other trained recipes of a student in a mode, or between two modes."""
        found = []
        for group, by_mode in self._groups.items():
            if group in groups or group[0] != (student or groups[0][0]):
                continue
            sides = [by_mode.get(mode, {}) for mode in modes]
            seeds = [
                seed
                for seed in sorted(set.intersection(*(set(side) for side in sides)))
                if all(name in side[seed] for side in sides for name in wanted)
            ]
            if not seeds or not _first(sides[0]).is_trained:
                continue
            recipes = [self._recipe({s: side[s] for s in seeds}, wanted) for side in sides]
            found.append(recipes[0] if len(recipes) == 1 else between_modes(*recipes))
        return found

    def _recipe(self, cells: ScoresBySeed, wanted: Sequence[str]) -> Recipe:
        first = _first(cells)
        key = _group_of(first), first.mode, tuple(sorted(cells)), tuple(wanted)
        if key not in self._known:
            self._known[key] = self._make(cells, wanted)
        return self._known[key]

    def _make(self, cells: ScoresBySeed, wanted: Sequence[str]) -> Recipe:
        is_trained = _first(cells).is_trained
        if self._answers is not None:
            answers = {
                seed: {name: self._answers(found[name]) for name in wanted}
                for seed, found in cells.items()
            }
            if (recipe := make_recipe(answers, is_trained=is_trained)) is not None:
                return recipe
        table = [[cells[seed][name] for name in sorted(wanted)] for seed in sorted(cells)]
        means = np.array([[score.accuracy for score in row] for row in table])
        known = [score.standard_error for row in table for score in row]
        fewest = min(score.num_questions for row in table for score in row)
        errors = None
        if None not in known and fewest >= MIN_QUESTIONS:
            errors = np.array(known, dtype=float).reshape(means.shape)
        return Recipe(means, tuple(sorted(cells)), errors=errors, is_trained=is_trained)


def is_untrained(cells: ScoresBySeed) -> bool:
    """Return whether the runs of a side are of a student that was not trained."""
    return bool(cells) and not _first(cells).is_trained


def keep_complete(cells: ScoresBySeed, wanted: Sequence[str]) -> ScoresBySeed:
    """Return the seeds that have a score on every benchmark."""
    return {seed: found for seed, found in cells.items() if all(name in found for name in wanted)}


def _first(cells: Mapping[int, Mapping[str, Score]]) -> Score:
    return next(score for found in cells.values() for score in found.values())


def _group_of(score: Score) -> _Group:
    return score.student, score.subset, score.format
