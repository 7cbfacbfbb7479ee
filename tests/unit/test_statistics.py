"""The statistics of comparisons against known values, and against scipy."""

import pytest
from scipy import stats

from nt_pkg.identity.seeds import rng
from nt_pkg.statistics.ratios import find_p_value, pair_lengths
from nt_pkg.statistics.tests import (
    compare_alike,
    correct_holm,
    run_paired_t,
)


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
