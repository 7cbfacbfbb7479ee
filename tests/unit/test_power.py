"""What a comparison can see: the formula against simulated tests, and planned studies."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from nt_pkg.config.load import read_study
from nt_pkg.files import layout
from nt_pkg.files.json_files import write_json
from nt_pkg.identity.seeds import generator
from nt_pkg.plan.power import foresee, say_limits, say_prospects
from nt_pkg.plan.validate import load_study
from nt_pkg.preflight.power import power
from nt_pkg.report.effects import measure_effects
from nt_pkg.statistics.power import Questions, detectable, difference_error, seeds_needed
from nt_pkg.statistics.recipes import Recipe, compare_recipes
from tests.unit.report_study import compare, score, side

PAPER = Path(__file__).parents[2] / "config" / "paper.yaml"
NUM_QUESTIONS = 100
ALIKE = {"claim": "Alike.", "within": 3}


@pytest.mark.parametrize(("num_seeds", "family", "question_sd"), [(3, 9, 0.0), (5, 1, 0.1)])
def test_the_test_finds_what_is_detectable_four_times_in_five(
    num_seeds: int, family: int, question_sd: float
) -> None:
    """Where the report's test pools all trainings, as the formula takes for granted."""
    draw = generator("power", num_seeds)
    asked = [Questions(NUM_QUESTIONS, 100)] * 4
    omega, e = 100 * question_sd, 100 * 0.5 / 10

    def draw_recipe(shift: float = 0.0) -> Recipe:
        own = omega * draw.normal(size=(1, 4, NUM_QUESTIONS))
        answers = shift + own + e * draw.normal(size=(num_seeds, 4, NUM_QUESTIONS))
        answers += 2 * draw.normal(size=(num_seeds, 4, 1))
        means = answers.mean(axis=2)
        shares = (answers - means[:, :, None]).reshape(num_seeds, -1) / (4 * NUM_QUESTIONS)
        names = tuple(f"{at:03}" for at in range(4 * NUM_QUESTIONS))
        return Recipe(means, tuple(range(num_seeds)), shares, names)

    error = difference_error([0.01] * 2, [num_seeds] * 2, asked, question_sd)
    shift = 100 * detectable(error, 13.0 * (num_seeds - 1), family)
    tests = []
    for _ in range(140):
        recipes = [draw_recipe(shift if at % 2 else 0.0) for at in range(13)]
        for at in range(0, 12, 2):
            sides = [recipes[at + 1], recipes[at]]
            tests += compare_recipes(sides, [[*recipes[:at], *recipes[at + 2 :]]])
    pooled = [test for test in tests if test.source == "pooled"]
    seen = np.mean([test.p_value < 0.05 / family for test in pooled])

    assert len(pooled) > 600
    # Two errors, as the pairs of a study share their pool.
    assert seen == pytest.approx(0.8, abs=0.05)


def test_more_is_asked_of_large_families_and_of_few_degrees() -> None:
    for degrees in (4, 26):
        critical = stats.t.isf(0.05 / 18, degrees) + stats.t.isf(0.2, degrees)
        assert detectable(3.0, degrees, 9) == pytest.approx(3 * critical)
    assert detectable(2.0, None, 1) == pytest.approx(2 * (1.960 + 0.842), abs=0.002)
    # An equivalence that is true has to pass both of its one-sided tests.
    assert detectable(1.0, None, 1, alike=True) == pytest.approx(1.645 + 1.282, abs=0.002)


def test_an_error_has_trainings_answers_and_questions() -> None:
    # tau 1 point, e^2 = .25 / 400 on one benchmark, omega^2 = .01 / 100, three seeds.
    expected = (2 * (0.01**2 + 0.25 / 400) / 3 + 2 * 0.01 / 100) ** 0.5
    assert difference_error([0.01] * 2, [3, 3], [Questions(100, 4)], 0.1) == pytest.approx(expected)
    # An untrained side has no tau, and two benchmarks halve the error of one.
    half = difference_error([0.0, 0.0], [1, 1], [Questions(100)] * 2, 0.1)
    assert half == pytest.approx(difference_error([0.0] * 2, [1, 1], [Questions(200)], 0.1))


def test_seeds_make_trainings_smaller_and_not_questions() -> None:
    assert seeds_needed(0.03, (0.01**2, 0.0), (3, 26.0), 1) == 3
    assert seeds_needed(0.02, (0.01**2, 0.0), (3, 26.0), 1) == 7
    assert seeds_needed(0.02, (0.0, 0.01**2), (3, 26.0), 1) is None
    # With two degrees nothing is promised before there are ten.
    assert seeds_needed(9.0, (0.01**2, 0.0), (2, 2.0), 1) == 6


def plan_study(demo: dict[str, Any], seeds: int, **report: Any) -> Any:
    """Return the study of the tests with so many seeds of its trainings."""
    for block in demo["runs"]:
        if block["subsets"] != ["none"]:
            block["seeds"] = list(range(seeds))
    demo["report"] |= report
    return load_study(demo)


def test_degrees_come_from_all_recipes_if_enough_is_seen_to_pool_them(demo: dict[str, Any]) -> None:
    two, five = ({each.name: each for each in foresee(plan_study(demo, seeds))} for seeds in (2, 5))
    assert two.keys() == five.keys() == {"system2_vs_system1", "long_vs_random"}
    # Ten recipes think: eight subsets, and two mixes. Two seeds cannot show that they vary alike.
    assert five["long_vs_random"].degrees == 10 * 4
    assert two["long_vs_random"].degrees < 4
    for name, each in two.items():
        assert (each.seeds, five[name].seeds, each.family) == (2, 5, 1)
        assert five[name].mde80[1] < each.mde80[1]
        assert list(each.mde80) == sorted(each.mde80) and each.source == "assumed"
        assert not each.is_promised


def test_tau_is_stated_or_measured_on_finished_runs(demo: dict[str, Any], tmp_path: Path) -> None:
    study = plan_study(demo, 5)
    first = foresee(study, tmp_path)[0]
    draw = generator("finished")
    for block in study.runs:
        for student in block.students:
            for subset in block.subsets:
                for form in block.formats:
                    for seed in block.seeds:
                        shift = float(0.05 * draw.normal())
                        names = {"student": student, "subset": subset, "format": form, "seed": seed}
                        for benchmark in block.benchmarks:
                            for mode in block.modes:
                                path = layout.artifact(
                                    layout.SCORE, tmp_path, **names, benchmark=benchmark, mode=mode
                                )
                                write_json(path, {"accuracy": 0.5 + shift})
    measured = foresee(study, tmp_path)[0]
    assert measured.source == "measured" and measured.degrees == first.degrees
    assert measured.tau == pytest.approx(0.05, rel=0.35)
    stated = foresee(plan_study(demo, 1, training_sd=2.0), tmp_path)[0]
    assert (stated.source, stated.tau, stated.is_promised) == ("stated", 0.02, True)


def test_the_papers_study_is_told_that_it_cannot_see_its_claims(tmp_path: Path) -> None:
    study = load_study(read_study([PAPER]))
    prospects = {each.name: each for each in foresee(study, tmp_path)}
    large, small = prospects["random-1k-to-500k-llama"], prospects["disagree-vs-random-10k"]
    assert (large.seeds, large.degrees, large.family, large.is_promised) == (1, 0, 9, False)
    # +8.7 points are seen with three seeds of all recipes, +1.2 with none that anyone would pay.
    assert large.effect and large.effect > 0.08 and large.seeds_needed == 3
    assert small.effect and small.effect < 0.02 and (small.seeds_needed or 100) > 50
    alike = prospects["random-1k-like-s1k"]
    assert alike.is_alike and alike.effect == 0.02

    hours = {side.recipe: 10.0 for each in prospects.values() for side in each.sides}
    limits = say_limits(list(prospects.values()), hours)
    assert "CANNOT SEE" in limits[0].text and "GPU-hours" in limits[0].todo
    assert "ONE TRAINING" in limits[1].text
    table = say_prospects(list(prospects.values()), hours)
    row = next(line for line in table if line.startswith("random-1k-to-500k-llama"))
    assert row.split()[-3:] == ["+8.7", "3", "60"]
    found = power(study, tmp_path, [])
    assert [each.level for each in found] == ["warn", "warn", "ok"]
    assert "disagree-vs-random-10k 5.4 (should 1.2)" in found[-1].found


def test_a_study_that_sees_what_it_should_is_not_warned(demo: dict[str, Any]) -> None:
    comparison = dict(demo["report"]["comparisons"][0]) | ALIKE | {"within": 50}
    study = plan_study(demo, 8, comparisons=[comparison], claims=[])
    prospects = foresee(study)
    assert [each.sees() for each in prospects] == [True]
    assert say_limits(prospects, {}) == []


def test_the_report_says_what_its_tests_see() -> None:
    """From the error, the degrees and the family of each; beside the paper's difference."""
    names = ("a", "b", "c", "d")
    rows = [score(name, "system2", seed, "think", level=0.5) for name in names for seed in range(4)]
    first = compare(side("a"), side("b"), "A claim.")
    others = [compare(side(one), side("b"), None) for one in ("c", "d")]
    asked = [first, *(each.model_copy(update={"name": each.a["subset"]}) for each in others)]

    effects, _ = measure_effects(asked, rows)

    for effect, family in zip(effects, (1, 2, 2), strict=True):
        assert effect.standard_error and effect.degrees and effect.mde80
        expected = detectable(effect.standard_error, effect.degrees, family)
        assert effect.mde80 == pytest.approx(expected)
        assert effect.question_error is not None
        assert effect.question_error < effect.standard_error
