"""The statistics of comparisons against known values, and against scipy."""

import pytest
from scipy import stats

from nt_pkg.identity.seeds import rng
from nt_pkg.statistics.ratios import find_p_value, pair_lengths, pair_questions
from nt_pkg.statistics.tests import (
    average_seeds,
    compare_alike,
    compare_independent,
    compare_questions,
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


def test_alike_agrees_with_scipy() -> None:
    """Two one-sided tests: the larger of their p values."""
    values = [0.011, -0.013, 0.004, 0.02, -0.008, 0.001]
    below = stats.ttest_1samp(values, -0.02, alternative="greater").pvalue
    above = stats.ttest_1samp(values, 0.02, alternative="less").pvalue

    assert compare_alike(run_paired_t(values), 0.02) == pytest.approx(max(below, above))


def test_ratio_of_lengths_agrees_with_scipy() -> None:
    """The test is a t test of a - r b, and the ends of the interval are where it reaches 5 %."""
    draw = rng("lengths")
    b = [draw.uniform(20, 60) for _ in range(12)]
    a = [2.3 * each + draw.gauss(0, 15) for each in b]
    ratio = pair_lengths(a, b)
    assert ratio is not None and ratio.interval is not None

    def differences(factor: float) -> list[float]:
        return [x - factor * y for x, y in zip(a, b, strict=True)]

    for end in ratio.interval:
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


def test_benchmarks_count_alike_with_the_degrees_of_the_smallest() -> None:
    sizes = {"small": 35, "large": 400}
    pairs = {
        name: [(invent_shares(f"{name} a", size), invent_shares(f"{name} b", size))]
        for name, size in sizes.items()
    }
    tests = {
        name: stats.ttest_rel(list(a.values()), list(b.values()))
        for name, [(a, b)] in pairs.items()
    }
    errors = [stats.sem([a[q] - b[q] for q in a]) for [(a, b)] in pairs.values()]

    found = compare_questions(pairs)

    assert found is not None
    mean = sum(test.statistic * e for test, e in zip(tests.values(), errors, strict=True)) / 2
    error = sum(each**2 for each in errors) ** 0.5 / 2
    assert (found.mean, found.standard_error) == (pytest.approx(mean), pytest.approx(error))
    assert found.interval == pytest.approx(interval_of(mean, error, 34))
    assert found.p_value == pytest.approx(2 * stats.t.sf(abs(mean / error), 34))
    only = compare_questions({"small": pairs["small"]})
    assert only is not None and only.p_value == pytest.approx(tests["small"].pvalue)


@pytest.mark.parametrize(("number", "is_tested"), [(29, False), (30, True)])
def test_thirty_questions_are_needed(number: int, is_tested: bool) -> None:
    sides = invent_shares("a", number), invent_shares("b", number)

    assert (compare_questions({"b": [sides]}) is not None) == is_tested
    assert (pair_questions({"b": [sides]}) is not None) == is_tested


@pytest.mark.parametrize("shift", [-0.012, 0.012])
def test_alike_is_tested_on_both_sides(shift: float) -> None:
    """The nearer margin decides, above as below."""
    values = [shift + each for each in (0.011, -0.013, 0.004, 0.02, -0.008, 0.001)]
    below = stats.ttest_1samp(values, -0.02, alternative="greater").pvalue
    above = stats.ttest_1samp(values, 0.02, alternative="less").pvalue

    assert compare_alike(run_paired_t(values), 0.02) == pytest.approx(max(below, above))


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

    assert ratio is not None and ratio.interval is None


@pytest.mark.parametrize(
    ("verdicts", "together"),
    [
        (["supported", "supported"], "supported"),
        (["supported", "not supported"], "not supported"),
        (["not supported", "not enough data"], "not enough data"),
        (["not enough data", "opposite", "supported"], "opposite"),
    ],
)
def test_a_claim_is_as_good_as_its_weakest_part(verdicts: list[str], together: str) -> None:
    assert judge_together(verdicts) == together
