"""Recipes compared: variances against known ones, when trainings are pooled, claims of parts."""

import numpy as np
import pytest
from scipy import stats

from nt_pkg.identity.seeds import generator
from nt_pkg.statistics.families import Part, correct_claims
from nt_pkg.statistics.mixture import Error
from nt_pkg.statistics.recipes import Recipe, between_modes, compare_recipes, make_recipe
from nt_pkg.statistics.spread import find_spread


def draw_recipe(
    name: str, sd: float = 1.0, num_seeds: int = 3, level: float = 0.0, shift: float = 0.0
) -> Recipe:
    """Return a recipe on two benchmarks whose answers vary little between 40 questions."""
    draw = generator("recipe", name)
    trainings = sd * draw.normal(size=(num_seeds, 2)) + shift * np.arange(num_seeds)[:, None]
    answers = {
        seed: {
            b: {f"{b}{q}": level + trainings[seed, at] + 0.01 * draw.normal() for q in range(40)}
            for at, b in enumerate("xy")
        }
        for seed in range(num_seeds)
    }
    found = make_recipe(answers)
    assert found is not None
    return found


def even_recipe(number: int, sd: float = 1.0, num_seeds: int = 3) -> Recipe:
    """Return a recipe with this standard deviation on both benchmarks, which are uncorrelated."""
    apart = {
        2: np.array([[1, 1], [-1, -1]]) / 2**0.5,
        3: np.array([[1, 3**-0.5], [0, -2 * 3**-0.5], [-1, 3**-0.5]]),
    }[num_seeds]
    # Other seeds are high in other recipes, so that no seed shifts all of them.
    turned = np.roll(apart, number, axis=0) * [1, (-1) ** (number // 2)]
    return Recipe(sd * turned, tuple(range(num_seeds)))


@pytest.mark.parametrize("degrees", [1, 2, 4, 26])
def test_without_a_known_part_the_test_is_students(degrees: int) -> None:
    error = Error(4.0, degrees, 0.0)

    for gap in (0.5, 4.0, 20.0):
        assert error.p_two_sided(gap) == pytest.approx(2 * stats.t.sf(gap / 2, degrees), rel=1e-4)
    assert error.half_width() == pytest.approx(2 * stats.t.ppf(0.975, degrees), rel=1e-4)


def test_with_only_a_known_part_the_test_is_normal() -> None:
    assert Error(0.0, 2, 9.0).half_width(0.9) == pytest.approx(3 * stats.norm.ppf(0.95), rel=1e-4)
    assert Error(5.0, None, 4.0).p_above(3.0) == pytest.approx(stats.norm.sf(1))


def test_both_parts_are_averaged_over_what_the_variance_may_be() -> None:
    """Against draws: a t law times its scale, plus a normal one."""
    draw = generator("both")
    drawn = 2 * draw.standard_t(3, 400_000) + 1.5 * draw.normal(size=400_000)

    error = Error(4.0, 3, 2.25)

    assert error.p_two_sided(9.0) == pytest.approx(float((abs(drawn) > 9).mean()), rel=0.03)


def test_a_shared_question_counts_once() -> None:
    """Two benchmarks with the same answers to the same questions tell no more than one."""
    draw = generator("shared")
    sides = [{f"q{n}": draw.normal() for n in range(50)} for _ in "ab"]
    once, twice = (
        [make_recipe({0: {name: side for name in names}}) for side in sides]
        for names in ("x", "xy")
    )

    (one,), (two,) = (
        compare_recipes([each for each in found if each is not None], [[]])
        for found in (once, twice)
    )

    assert two.standard_error == pytest.approx(one.standard_error)
    assert one.standard_error == pytest.approx(
        stats.sem([sides[0][q] - sides[1][q] for q in sides[0]]) * (49 / 47) ** 0.5
    )


def test_variances_of_trainings_and_questions_are_told_apart() -> None:
    """Known tau, e and omega; the mean of many estimates is 2 (tau^2 + e^2) / S + 2 omega^2."""
    draw = generator("parts")
    tau, e, omega, seeds, questions = 0.5, 0.3, 0.4, 3, 60
    found = []
    for _ in range(300):
        recipes = []
        for _ in range(2):
            own = draw.normal(size=questions) * omega * questions**0.5
            rest = draw.normal(size=(seeds, questions)) * e * questions**0.5
            values = tau * draw.normal(size=(seeds, 1)) + own + rest
            shares = (values - values.mean(axis=1, keepdims=True)) / questions
            names = tuple(map(str, range(questions)))
            recipes.append(Recipe(values.mean(axis=1)[:, None], (0, 1, 2), shares, names))
        (test,) = compare_recipes(recipes, [[]])
        found.append(test.error.variance)

    wanted = 2 * (tau**2 + e**2) / seeds + 2 * omega**2
    assert float(np.mean(found)) == pytest.approx(wanted, rel=0.08)


@pytest.mark.parametrize(
    ("sd", "source", "degrees"), [(1.0, "pooled", 26), (6.0, "own", 4), (0.05, "own", 4)]
)
def test_trainings_are_pooled_where_they_vary_alike(sd: float, source: str, degrees: int) -> None:
    others = [even_recipe(n) for n in range(11)]
    pair = [even_recipe(0, sd), even_recipe(1, sd)]

    found = find_spread(pair, others)

    assert found is not None and found.alike is not None
    assert (found.source, found.degrees) == (source, degrees)
    assert (found.alike < 0.05) == (source == "own")


def test_one_that_varies_more_is_seen_behind_a_quiet_one() -> None:
    others = [even_recipe(n) for n in range(11)]

    found = find_spread([even_recipe(0, 2.2), even_recipe(1, 0.3)], others)

    assert found is not None and found.source == "own"


def test_two_seeds_cannot_show_that_trainings_vary_alike() -> None:
    """Then the others count no more than the pair's own."""
    others = [even_recipe(n, num_seeds=2) for n in range(11)]

    found = find_spread([even_recipe(0, 1.2, 2), even_recipe(1, 1.2, 2)], others)

    assert found is not None and found.source == "moderated"
    assert 2 < found.degrees < 5


@pytest.mark.parametrize("sd", [0.01, 0.1])
def test_others_that_vary_less_do_not_make_all_look_steady(sd: float) -> None:
    steady = [even_recipe(n, sd) for n in (9, 10)]
    others = [even_recipe(n) for n in range(9)]
    pair = [even_recipe(0), even_recipe(1)]

    found = find_spread(pair, [*others, *steady])

    without = find_spread(pair, others)
    assert found is not None and without is not None
    assert (found.variance, found.degrees) == pytest.approx((without.variance, without.degrees))


def test_without_others_it_is_welchs_test() -> None:
    """Nothing tells that both sides vary alike, so one may vary more."""
    pair = [draw_recipe("a", 1.0), draw_recipe("b", 5.0, level=2.0)]

    (test,) = compare_recipes(pair, [[]])

    expected = stats.ttest_ind(*(each.scores for each in pair), equal_var=False)
    assert test.source == "own" and test.degrees == pytest.approx(float(expected.df))
    assert test.p_value == pytest.approx(float(expected.pvalue), rel=1e-3)


@pytest.mark.parametrize(("sds", "degrees"), [((5.0, 5.0), 4.0), ((20.0, 1.0), 2.0)])
def test_a_pair_that_varies_otherwise_counts_alone(
    sds: tuple[float, float], degrees: float
) -> None:
    """Both sides together if they vary alike; else the one that varies more counts most."""
    pair = [even_recipe(at, sd) for at, sd in enumerate(sds)]

    found = find_spread(pair, [even_recipe(n) for n in range(11)])

    assert found is not None and found.source == "own"
    assert found.degrees == pytest.approx(degrees, abs=0.1)


def test_the_same_difference_at_every_seed_is_no_certainty() -> None:
    """Sampling alone would spread it more: that is the least it can vary."""
    draw = generator("floor")
    first = draw.normal(size=(3, 40))
    shares = (first - first.mean(axis=1, keepdims=True)) / 40
    names = tuple(map(str, range(40)))
    a, b = (
        Recipe(np.array([[v], [v], [v]]), (0, 1, 2), shares * s, names)
        for v, s in ((0.7, 1), (0.6, -1))
    )

    (test,) = compare_recipes([a, b], [[]])

    sampling = sum((each.sampling or 0) / 3 for each in (a, b))
    assert test.error.spread == pytest.approx(sampling) and sampling > 0
    assert test.p_value > 0.01


@pytest.mark.parametrize(("shift", "is_paired"), [(20.0, True), (0.0, False)])
def test_seeds_are_paired_where_they_shift_all_alike(shift: float, is_paired: bool) -> None:
    others = [draw_recipe(f"other {n}", shift=shift) for n in range(6)]
    pair = [draw_recipe("a", shift=shift), draw_recipe("b", shift=shift)]

    found = find_spread(pair, others)

    assert found is not None and found.is_paired == is_paired
    assert found.variance == pytest.approx(0.5, rel=0.7)


def test_modes_of_one_training_are_compared_inside_it() -> None:
    """What a training changes in both modes alike is no part of their difference."""
    think = draw_recipe("think", 0.1)
    shift = np.array([[5.0], [-3.0], [1.0]])
    both = [
        Recipe(each.means + shift, each.seeds, each.shares, each.questions)
        for each in (think, draw_recipe("not", 0.1, level=-1.0))
    ]

    (test,) = compare_recipes([between_modes(*both)], [[]])

    assert test.mean == pytest.approx(1.0, abs=0.3)
    assert test.error.spread < 0.02


def test_an_equivalence_is_the_interval_of_ninety_per_cent() -> None:
    (test,) = compare_recipes([draw_recipe("a"), draw_recipe("b")], [[]])
    low, high = test.interval(0.9)
    margin = max(abs(low), abs(high))

    assert test.p_within(margin) == pytest.approx(0.05, rel=1e-3)


def part(p_value: float | None, leans: bool = True) -> Part:
    """Return a part of a claim."""
    return Part(p_value, leans)


def test_a_claim_of_parts_has_the_p_value_of_its_weakest() -> None:
    """Over three claims: Holm on .02, .01 and .03, and no correction inside."""
    claims = [[part(0.001), part(0.02)], [part(0.01)], [part(0.03), part(0.0001), part(0.002)]]

    found = correct_claims(claims)

    weakest = [max(p or 0 for p in parts) for parts in found]
    assert weakest == pytest.approx([0.04, 0.03, 0.04])
    assert found[0][0] == pytest.approx(0.03), "never below that of the claim before it"


def test_what_leans_against_a_claim_is_corrected_for_its_parts() -> None:
    """One of four parts at .02 against the claim: .08, in a family of two .16."""
    claims = [[part(0.02, leans=False), *[part(0.5)] * 3], [part(0.001)]]

    found = correct_claims(claims)

    assert found[0][0] == pytest.approx(0.08)
    assert found[1] == [pytest.approx(0.002)]


def test_a_claim_with_an_untested_part_is_not_supported() -> None:
    assert correct_claims([[part(0.001), part(None)], [part(0.01)]]) == [
        [pytest.approx(0.02), None],
        [pytest.approx(0.02)],
    ]
