"""The statistics of comparisons against known values, and against scipy."""

import pytest
from scipy import stats

from nt_pkg.identity.seeds import rng
from nt_pkg.statistics.ratios import add_ratios, find_p_value, pair_lengths, pair_questions
from nt_pkg.statistics.recipes import compare_recipes, make_recipe
from nt_pkg.statistics.tests import (
    average_seeds,
    compare_independent,
    correct_holm,
    run_paired_t,
)
from nt_pkg.statistics.verdicts import judge_together


def test_paired_t_agrees_with_scipy() -> None:
    """The paired t test is scipy's, interval included."""
    a, b = [0.52, 0.55, 0.49, 0.58, 0.51], [0.50, 0.51, 0.50, 0.52, 0.49]
    reference = stats.ttest_rel(a, b)
    interval = reference.confidence_interval(0.95)

    found = run_paired_t([x - y for x, y in zip(a, b, strict=True)])

    assert found.p_value == pytest.approx(reference.pvalue)
    assert found.interval == pytest.approx((interval.low, interval.high))


def test_paired_t_of_a_textbook_example() -> None:
    """Differences 1, 2, 3: mean 2, s.e. 1/sqrt(3), t = 3.4641, p = 0.0742 with two degrees."""
    found = run_paired_t([1.0, 2.0, 3.0])

    assert found.standard_error == pytest.approx(3**-0.5)
    assert found.p_value == pytest.approx(0.07418, abs=1e-5)
    assert found.interval == pytest.approx((-0.48414, 4.48414), abs=1e-4)


def test_holm_known_values() -> None:
    """The same numbers as R's p.adjust(method = "holm")."""
    assert correct_holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert correct_holm([0.6, 0.9]) == [1.0, 1.0]
    assert correct_holm([]) == []


def test_ratio_of_lengths_agrees_with_scipy() -> None:
    """The test is a t test of a - r b, and the ends of the interval are where it reaches 5 %."""
    draw = rng("lengths")
    b = [draw.uniform(20, 60) for _ in range(12)]
    a = [2.3 * each + draw.gauss(0, 15) for each in b]
    ratio = pair_lengths(a, b)
    assert ratio is not None
    ends = ratio.interval()
    assert ends is not None

    def differences(factor: float) -> list[float]:
        return [x - factor * y for x, y in zip(a, b, strict=True)]

    for end in ends:
        assert run_paired_t(differences(end)).p_value == pytest.approx(0.05)
    assert ratio.value == pytest.approx(sum(a) / sum(b))
    assert find_p_value(ratio, "longer") == pytest.approx(
        stats.ttest_1samp(differences(2), 0).pvalue
    )
    assert find_p_value(ratio, "fewer") == pytest.approx(stats.ttest_rel(a, b).pvalue)
    below = stats.ttest_1samp(differences(2), 0, alternative="less").pvalue
    assert find_p_value(ratio, "alike") == pytest.approx(below)
    same = pair_lengths(b, b)
    assert same is not None and find_p_value(same, "fewer") == 1.0


def interval_of(mean: float, error: float, degrees: int) -> tuple[float, float]:
    """Return scipy's 95 % t interval."""
    low, high = stats.t.interval(0.95, degrees, loc=mean, scale=error)
    return float(low), float(high)


def invent_shares(name: str, number: int) -> dict[str, float]:
    """Return the share right of some questions."""
    draw = rng("shares", name)
    return {f"q{n}": draw.random() for n in range(number)}


@pytest.mark.parametrize("num_seeds", [1, 3])
def test_independent_errors_have_the_degrees_of_the_questions(num_seeds: int) -> None:
    """31 questions are 30 degrees, whatever the number of seeds; t = 2.04 and not 1.96."""
    found = compare_independent(0.1, [0.03, 0.04] * num_seeds, 31)

    assert found.standard_error == pytest.approx(0.05)
    assert found.interval == pytest.approx(interval_of(0.1, 0.05, 30))
    assert found.p_value == pytest.approx(2 * stats.t.sf(2, 30))
    assert found.degrees == 30


@pytest.mark.parametrize(("number", "is_tested"), [(29, False), (30, True)])
def test_thirty_questions_are_needed(number: int, is_tested: bool) -> None:
    sides = invent_shares("a", number), invent_shares("b", number)
    recipes = [make_recipe({0: {"b": side}}) for side in sides]

    found = compare_recipes([each for each in recipes if each is not None], [[]])
    assert bool(found) == is_tested
    assert (pair_questions({"b": [sides]}) is not None) == is_tested


def test_error_over_seeds_is_scipys() -> None:
    assert average_seeds([0.4, 0.5, 0.9]) == pytest.approx((0.6, stats.sem([0.4, 0.5, 0.9])))
    assert average_seeds([0.4]) == (0.4, None)


def test_ratio_over_benchmarks_adds_up_their_variances() -> None:
    """Two means of lengths, averaged: variances and covariance over four, the fewest degrees."""
    sizes = {"small": 40, "large": 90}
    sides = {
        name: tuple(
            {q: 20 + 60 * share for q, share in invent_shares(f"{name} {side}", size).items()}
            for side in "ab"
        )
        for name, size in sizes.items()
    }
    whole = pair_questions({name: [(a, b)] for name, (a, b) in sides.items()})
    parts = [pair_lengths(list(a.values()), list(b.values())) for a, b in sides.values()]
    known = [part for part in parts if part is not None]

    assert whole is not None
    assert whole.a == pytest.approx(sum(part.a for part in known) / 2)
    assert whole.variance_a == pytest.approx(sum(part.variance_a for part in known) / 4)
    assert whole.variance_b == pytest.approx(sum(part.variance_b for part in known) / 4)
    assert whole.covariance == pytest.approx(sum(part.covariance for part in known) / 4)
    assert whole.degrees == 39


def test_variances_of_a_ratio_add_up_over_seeds_and_questions() -> None:
    """With the degrees of the seeds; the lengths are those over questions."""
    seeds, questions = pair_lengths([9.0, 11.0], [5.0, 4.0]), pair_lengths([8.0, 9, 7], [4.0, 4, 5])
    assert seeds is not None and questions is not None

    both = add_ratios(seeds, questions)

    assert both.value == questions.value and both.degrees == 1
    assert both.variance_a == pytest.approx(2 / 2 + 1 / 3)
    assert both.covariance == pytest.approx(seeds.covariance + questions.covariance)


def test_error_of_a_ratio_is_that_of_the_difference_it_is_tested_by() -> None:
    """To first order: the error of a - r b over the mean of b."""
    b = [20.0, 35.0, 50.0, 41.0, 28.0]
    a = [2.0 * each + extra for each, extra in zip(b, (3, -4, 1, 5, -2), strict=True)]
    ratio = pair_lengths(a, b)

    assert ratio is not None
    gaps = [x - ratio.value * y for x, y in zip(a, b, strict=True)]
    assert ratio.standard_error == pytest.approx(stats.sem(gaps) / (sum(b) / 5))
    assert ratio.degrees == 4


def test_a_ratio_over_almost_nothing_has_no_interval() -> None:
    """Where the shorter side is not told from zero, any ratio is possible."""
    ratio = pair_lengths([5.0, 9.0, 7.0], [0.1, -0.2, 0.3])

    assert ratio is not None and ratio.interval() is None


DIFFER, ALIKE = "these two models differ", "no difference between these two models"


@pytest.mark.parametrize(
    ("verdicts", "together"),
    [
        (["supported", "supported"], "supported"),
        (["supported", "not supported"], "not supported"),
        (["not supported", "not enough data"], "not enough data"),
        (["not enough data", "opposite", "supported"], "opposite"),
        ([DIFFER, ALIKE], DIFFER),
        ([ALIKE, ALIKE], ALIKE),
        ([DIFFER, "supported"], "not enough data"),
    ],
)
def test_a_claim_is_as_good_as_its_weakest_part(verdicts: list[str], together: str) -> None:
    assert judge_together(verdicts) == together
