"""What each comparison of a study can see, before its runs are paid for.

How much trainings vary is measured on finished runs of this study if these have ten degrees of
freedom or more, else stated by it (`report.training_sd`), else assumed: 0.5, 1 and 1.5 points.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nt_pkg.config.base import IMPORTED, UNTRAINED
from nt_pkg.config.filters import expand_comparison, list_benchmarks, match_scores
from nt_pkg.config.published import find_published_effect
from nt_pkg.config.report import Comparison, Report
from nt_pkg.config.study import Study
from nt_pkg.cost.generation import expected_questions
from nt_pkg.files import layout
from nt_pkg.files.json_files import read_json
from nt_pkg.plan.study_plan import Plan
from nt_pkg.statistics.power import (
    MOST_SEEDS,
    Questions,
    detectable,
    difference_error,
    sampling_variance,
)
from nt_pkg.statistics.verdicts import MIN_DEGREES

ASSUMED = (0.005, 0.01, 0.015)  # tau, shares
QUESTION_SD = 0.1  # of recipes on a single question; `make bench-statistics` has .05 to .15
WITH_SEEDS = (3, 5)  # of every run, as a way out

Recipe = tuple[str, str, str]  # student, subset, format
_BySeed = dict[int, dict[str, "_Planned"]]


@dataclass(frozen=True)
class _Planned:
    """A score that the study will have."""

    student: str
    subset: str
    format: str
    seed: int
    benchmark: str
    mode: str

    @property
    def recipe(self) -> Recipe:
        return self.student, self.subset, self.format

    @property
    def is_trained(self) -> bool:
        return self.subset not in (UNTRAINED, IMPORTED)


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    pool: every trained recipe of its student in its mode, itself included, with its seeds.
    taus: how its trainings may vary, standard deviations as shares; zero if it is not trained.
    """

    recipe: Recipe
    seeds: int
    is_trained: bool
    pool: tuple[tuple[Recipe, int], ...]
    taus: tuple[float, ...]


@dataclass(frozen=True)
class Prospect:
    """What a planned comparison can see; differences are shares.

    sides: a and b; of two modes of one training, this one alone.
    family: comparisons or claims whose p values are corrected together.
    source: where the taus come from: measured, stated or assumed.
    effect: the difference that it should see: the published one, or the margin of a claim that the
        sides are alike; None if there is none.
    """

    name: str
    sides: tuple[Side, ...]
    asked: tuple[Questions, ...]
    family: int
    source: str
    effect: float | None
    is_alike: bool

    @property
    def seeds(self) -> int:
        """Trainings of each trained side."""
        return min((side.seeds for side in self._trained), default=0)

    @property
    def degrees(self) -> float:
        """Degrees of freedom behind the variance between trainings."""
        return self._degrees(0)

    @property
    def mde80(self) -> tuple[float, ...]:
        """The difference that is seen with 80 % power, at each tau."""
        return tuple(self._detectable(at, 0) for at in range(len(self.sides[0].taus)))

    @property
    def is_promised(self) -> bool:
        """Whether the variance between trainings will be known well enough to promise anything."""
        return self.source == "stated" or self.degrees >= MIN_DEGREES or not self._trained

    @property
    def tau(self) -> float:
        """The middle one of the taus."""
        return max(side.taus[len(side.taus) // 2] for side in self.sides)

    def sees(self, seeds: int = 0) -> bool | None:
        """Return whether it sees its effect at the middle tau; None without an effect.

        Args:
            seeds: of every recipe, or as many as are planned if these are more.
        """
        if self.effect is None:
            return None
        is_known = not self._trained or self.source == "stated"
        is_known = is_known or self._degrees(seeds) >= MIN_DEGREES
        return is_known and self._detectable(len(self.sides[0].taus) // 2, seeds) <= abs(
            self.effect
        )

    @property
    def seeds_needed(self) -> int | None:
        """Seeds of every recipe with which it sees its effect; None: never."""
        first = max(1, self.seeds)
        return next((n for n in range(first, MOST_SEEDS + 1) if self.sees(n)), None)

    @property
    def _trained(self) -> tuple[Side, ...]:
        return tuple(side for side in self.sides if side.is_trained)

    def _degrees(self, least: int) -> float:
        """Return the degrees of freedom if every recipe has so many seeds at least."""
        from nt_pkg.statistics.spread import expect_degrees

        each = []
        for pool in {side.pool for side in self._trained}:
            sides = [side for side in self._trained if side.pool == pool]
            own = sum(max(side.seeds, least) - 1 for side in sides)
            total = sum(max(num, least) - 1 for _, num in pool)
            each.append(expect_degrees(own, len(sides), total - own, len(self.asked)))
        if len(each) == 2 and all(each):  # two students or two modes, alike in their variance
            return 4 / sum(1 / degrees for degrees in each)
        return min(each, default=0)

    def _detectable(self, at: int, least: int) -> float:
        both = self.sides * (3 - len(self.sides))  # two modes vary at most as two recipes
        error = difference_error(
            [side.taus[at] for side in both],
            [max(side.seeds, least) if side.is_trained else side.seeds for side in both],
            self.asked,
            QUESTION_SD,
        )
        degrees = self._degrees(least)
        known = self.source == "stated" or not degrees
        return detectable(error, None if known else degrees, self.family, alike=self.is_alike)


@dataclass(frozen=True)
class Limit:
    """What a study cannot see or promise, and what would help."""

    text: str
    todo: str


def foresee(study: Study, folder: Path = Path()) -> list[Prospect]:
    """Return what each comparison of accuracies can see, in the order of the study.

    Comparisons of lengths are left out, and those whose sides or questions are not known.

    Args:
        study: the checked study.
        folder: where finished runs may be.
    """
    scores = [_Planned(**each) for each in Plan(study).evals()]
    families = _families(study.report)
    found = []
    for comparison in study.report.comparisons:
        if not comparison.tokens:
            prospect = _foresee(comparison, study, scores, families[comparison.name], folder)
            found += [prospect] if prospect else []
    return found


def _foresee(
    comparison: Comparison, study: Study, scores: Sequence[_Planned], family: int, folder: Path
) -> Prospect | None:
    a, b = expand_comparison(comparison)
    found = [match_scores(scores, side, comparison.name) for side in (a, b)]
    wanted = list_benchmarks(a, found)
    cells = [_complete(each, wanted) for each in found]
    if all(_first(cell).is_trained for cell in cells if cell) and all(cells):
        both = set(cells[0]) & set(cells[1])
        cells = [{seed: cell[seed] for seed in both} for cell in cells]
    numbers = [expected_questions(study, name) for name in wanted]
    if not all(cells) or None in numbers:
        return None
    asked = tuple(
        Questions(number, study.benchmarks[name].repeats)
        for name, number in zip(wanted, numbers, strict=True)
        if number
    )
    firsts = [_first(cell) for cell in cells]
    if firsts[0].recipe == firsts[1].recipe and firsts[0].is_trained:
        cells, firsts = cells[:1], firsts[:1]
    pools = [_pool(scores, first, wanted) for first in firsts]
    stated = study.report.training_sd
    known = [
        _measure(pool, first.mode, wanted, asked, folder)
        for pool, first in zip(pools, firsts, strict=True)
        if first.is_trained
    ]
    taus: list[tuple[float, ...]] = [ASSUMED] * len(firsts)
    source = "assumed"
    if stated is not None:
        taus, source = [(stated / 100,)] * len(firsts), "stated"
    elif known and None not in known:
        measured = iter(known)
        taus = [((next(measured) or 0.0) if each.is_trained else 0.0,) for each in firsts]
        source = "measured"
    margin = None if comparison.within is None else comparison.within / 100
    return Prospect(
        name=comparison.name,
        sides=tuple(
            Side(
                first.recipe,
                len(cell),
                first.is_trained,
                tuple((recipe, len(seeds)) for recipe, seeds in pool.items()),
                each if first.is_trained else (0.0,) * len(each),
            )
            for first, cell, pool, each in zip(firsts, cells, pools, taus, strict=True)
        ),
        asked=asked,
        family=family,
        source=source,
        effect=find_published_effect(study.report.published, (a, b), wanted)
        if margin is None
        else margin,
        is_alike=margin is not None,
    )


def _families(report: Report) -> dict[str, int]:
    """Return for each comparison how many are corrected together with it, as the report does."""
    named = {name for claim in report.claims for name in claim.comparisons}
    alone = [each for each in report.comparisons if each.claim and each.name not in named]
    found = {}
    for each in report.comparisons:
        others = [e for e in report.comparisons if e.claim is None and e.family == each.family]
        found[each.name] = len(report.claims) + len(alone) if each.claim else len(others)
    return found


def _complete(cells: _BySeed, wanted: Sequence[str]) -> _BySeed:
    return {seed: found for seed, found in cells.items() if all(name in found for name in wanted)}


def _first(cells: _BySeed) -> _Planned:
    return next(score for found in cells.values() for score in found.values())


def _pool(
    scores: Sequence[_Planned], first: _Planned, wanted: Sequence[str]
) -> dict[Recipe, list[int]]:
    """Return the seeds of every trained recipe of a student in a mode on some benchmarks."""
    cells: dict[Recipe, _BySeed] = {}
    for each in scores:
        if (each.student, each.mode) == (first.student, first.mode) and each.is_trained:
            cells.setdefault(each.recipe, {}).setdefault(each.seed, {})[each.benchmark] = each
    found = {recipe: sorted(_complete(cell, wanted)) for recipe, cell in cells.items()}
    return {recipe: seeds for recipe, seeds in found.items() if seeds}


def _measure(
    pool: Mapping[Recipe, Sequence[int]],
    mode: str,
    wanted: Sequence[str],
    asked: Sequence[Questions],
    folder: Path,
) -> float | None:
    """Return tau from finished runs, pooled; None if they have too few degrees of freedom."""
    squares, degrees = 0.0, 0
    for (student, subset, form), seeds in pool.items():
        names = {"student": student, "subset": subset, "format": form, "mode": mode}
        means = [
            statistics.fmean(found)
            for seed in seeds
            if (found := _accuracies(names, seed, wanted, folder))
        ]
        if len(means) > 1:
            squares += statistics.variance(means) * (len(means) - 1)
            degrees += len(means) - 1
    if degrees < MIN_DEGREES:
        return None
    return math.sqrt(max(0.0, squares / degrees - sampling_variance(asked)))


def _accuracies(
    names: Mapping[str, str], seed: int, wanted: Sequence[str], folder: Path
) -> list[float]:
    """Return a run's accuracies, or none if a score is missing or was cut off."""
    found = []
    for benchmark in wanted:
        path = layout.artifact(layout.SCORE, folder, **names, seed=seed, benchmark=benchmark)
        try:
            found.append(float(read_json(path)["accuracy"]))
        except (OSError, ValueError, KeyError):  # it is rebuilt before it counts
            return []
    return found


def say_prospects(prospects: Sequence[Prospect], hours: Mapping[Recipe, float]) -> list[str]:
    """Return a table of what each comparison can see, notes on it, and what it means.

    Args:
        prospects: from `foresee`.
        hours: GPU-hours of one seed of a recipe, its training and its answers, where known.
    """
    if not prospects:
        return []
    has_effect = any(each.effect is not None for each in prospects)
    width = max(10, *(len(each.name) for each in prospects))
    head = f"{'comparison':{width}} {'seeds':>5} {'df':>4} {'family':>6} {'can see':>15}"
    if has_effect:
        head += f" {'should see':>10} {'seeds needed':>12} {'GPU-hours':>9}"
    lines, limits = ["what each comparison can see, in points of accuracy", head], []
    for each in prospects:
        line = (
            f"{each.name:{width}} {each.seeds:>5} {each.degrees:>4.0f} {each.family:>6} "
            f"{_show(each.mde80):>15}"
        )
        if each.effect is not None:
            line += _show_needed(each, hours)
        lines.append(line)
    for limit in say_limits(prospects, hours):
        limits += [limit.text, f"  {limit.todo}"]
    return [*lines, *_notes(prospects), *limits]


def say_prospect(each: Prospect) -> str:
    """Return what one comparison can see at the middle tau, and what it should."""
    text = f"{each.name} {100 * each.mde80[len(each.mde80) // 2]:.1f}"
    return text if each.effect is None else f"{text} (should {100 * abs(each.effect):.1f})"


def say_limits(prospects: Sequence[Prospect], hours: Mapping[Recipe, float]) -> list[Limit]:
    """Return what the study cannot see or promise; nothing if it sees what it should."""
    found = []
    asked = [each for each in prospects if each.effect is not None]
    if blind := [each for each in asked if not each.sees()]:
        points = f"by {100 * blind[0].tau:.2g} point{'s' if blind[0].tau != 0.01 else ''}"
        tau = points if blind[0].tau else "no more than the sampling of answers explains"
        remedies = [
            _say_with(seeds, asked, hours)
            for seeds in WITH_SEEDS
            if seeds > min(each.seeds for each in blind)
        ]
        found.append(
            Limit(
                f"{len(blind)} of {len(asked)} comparisons CANNOT SEE the difference that is "
                f"published or claimed, if trainings vary {tau} ({blind[0].source})",
                "; ".join(remedies) or "more questions, or fewer claims",
            )
        )
    few = [each for each in prospects if not each.is_promised]
    if once := [each for each in few if each.seeds == 1]:
        found.append(
            Limit(
                f"{len(once)} of {len(prospects)} comparisons have ONE TRAINING a side: what they "
                "can see is a guess, and their verdicts will be about two models, not recipes",
                "give runs more seeds, or state report.training_sd if pilots tell it",
            )
        )
    if len(few) > len(once):
        found.append(
            Limit(
                f"{len(few) - len(once)} of {len(prospects)} comparisons have fewer than "
                f"{MIN_DEGREES} degrees of freedom (df) behind the variance between trainings: "
                "nothing can be promised for them",
                "give runs more seeds, or add recipes of the same student",
            )
        )
    return found


def _say_with(seeds: int, asked: Sequence[Prospect], hours: Mapping[Recipe, float]) -> str:
    """Return how many comparisons see their effect with so many seeds of every run."""
    seen = sum(bool(each.sees(seeds)) for each in asked)
    recipes = {side.recipe for each in asked for side in each.sides if side.is_trained}
    text = f"with {seeds} seeds of every run {seen} of {len(asked)} would see it"
    if recipes and recipes <= hours.keys():
        cost = seeds * sum(hours[recipe] for recipe in recipes)
        text += f", for {cost:,.0f} GPU-hours of their trainings and answers"
    return text


def _notes(prospects: Sequence[Prospect]) -> list[str]:
    sources = {each.source for each in prospects}
    text = "can see: with 80 % power at 5 %, corrected for its family (Holm)"
    if "assumed" in sources:
        taus = " / ".join(f"{100 * tau:g}" for tau in ASSUMED)
        text += f"; three numbers: if trainings vary by {taus} points, as no finished runs tell yet"
    if "measured" in sources:
        text += "; one number: as the trainings of finished runs vary"
    if "stated" in sources:
        text += "; one number: as report.training_sd says that trainings vary"
    lines = [text]
    if any(each.effect is not None for each in prospects):
        lines.append(
            "should see: the published difference, or the margin of a claim that both are alike; "
            f"seeds needed: of every recipe (never: {MOST_SEEDS} are too few, the questions do "
            "not suffice); GPU-hours: of this comparison's trainings and answers with these seeds"
        )
    return lines


def _show(values: Sequence[float]) -> str:
    return " / ".join(f"{100 * value:.1f}" for value in values)


def _show_needed(each: Prospect, hours: Mapping[Recipe, float]) -> str:
    assert each.effect is not None
    points = 100 * each.effect
    effect = f"within {points:g}" if each.is_alike else f"{points:+.1f}"
    seeds = each.seeds_needed
    trained = [side.recipe for side in each.sides if side.is_trained]
    cost = "-"
    if seeds is not None and all(recipe in hours for recipe in trained):
        cost = f"{seeds * sum(hours[recipe] for recipe in trained):,.0f}"
    return f" {effect:>10} {seeds or 'never':>12} {cost:>9}"
