"""Selectors that go by any label: alone, combined, stratified; and those that share their code."""

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from nt_pkg.config.base import checked_params
from nt_pkg.plugins import registry as plugins
from nt_pkg.subsets.select import select_subset
from tests.unit.test_selectors import NUM, Candidate, inputs, near_table, pick, tables

PICKS = json.loads((Path(__file__).parents[1] / "golden/selector_picks.json").read_text())
BY_TOKENS = {"label": "length", "field": "num_tokens"}


def scored(values: list[Any], **others: list[Any]) -> list[Candidate]:
    """Return rows with a label `score` of these values, and further labels."""
    columns = {"score": values, **others}
    return [
        Candidate(f"{n:03}", {name: given[n] for name, given in columns.items()})
        for n in range(len(values))
    ]


@pytest.mark.parametrize("case", PICKS, ids=lambda case: f"{case['selector']} {case['params']}")
def test_picks_are_those_before_the_rules_were_shared(case: dict[str, Any]) -> None:
    """12 of 240 rows at seed 3: rows, order, scores and conditions."""
    rows, counts = select_subset(
        case["selector"], case["params"], 12, 3, *inputs(NUM), near_table()
    )

    assert [[int(row["id"], 16), row["score"]] for row in rows] == case["picks"]
    assert counts.get("conditions") == case.get("conditions")


@pytest.mark.parametrize(
    ("selector", "params", "rule"),
    [
        ("long", {"scale_tokens": 60.0}, {**BY_TOKENS, "rule": "power", "scale": 60, "power": 2.5}),
        ("verbosity", {"level": "low"}, {"label": "verbosity", "rule": "lowest"}),
        ("verbosity", {"level": "high"}, {"label": "verbosity", "rule": "highest"}),
        (
            "verbosity",
            {"level": "medium"},
            {"label": "verbosity", "rule": "band", "at_least": 5, "at_most": 5},
        ),
        (
            "easy_to_verify",
            {"max_words": 2},
            {"label": "reference_words", "rule": "band", "at_most": 2},
        ),
    ],
)
def test_by_value_has_the_special_cases(
    selector: str, params: dict[str, Any], rule: dict[str, Any]
) -> None:
    """The same rows in the same order."""
    given = [row_id for row_id, _ in pick(selector, *rows_and_size(), 1, **params)]

    assert [row_id for row_id, _ in pick("by_value", *rows_and_size(), 1, **rule)] == given


def rows_and_size() -> tuple[list[Candidate], int]:
    from tests.unit.test_selectors import candidates

    return candidates(), 20


def test_stratified_has_topics() -> None:
    assert pick("stratified", *rows_and_size(), label="domain") == pick("topics", *rows_and_size())


def test_highest_and_lowest_by_hand() -> None:
    given = scored([0.5, -1.0, 2.0, 0.0, 2.0])

    highest = pick("by_value", given, 5, label="score", rule="highest")
    lowest = pick("by_value", given, 3, label="score", rule="lowest")

    assert [value for _, value in highest] == [2.0, 2.0, 0.5, 0.0, -1.0]
    assert lowest == [("001", -1.0), ("003", 0.0), ("000", 0.5)]
    orders = {tuple(pick("by_value", given, 2, seed, label="score")) for seed in range(20)}
    assert len(orders) == 2  # the seed decides between equals


def test_band_and_quantiles_by_hand() -> None:
    """Both ends belong to a band; equal values are on one side of a quantile."""
    values = [float(n) for n in range(100)]
    given = scored(values)

    def found(size: int, **params: Any) -> list[float]:
        return sorted(value for _, value in pick("by_value", given, size, label="score", **params))

    assert found(99, rule="band", at_least=10, at_most=12) == [10, 11, 12]
    assert found(99, rule="band", at_least=98) == [98, 99]
    assert found(99, rule="quantiles", at_most=0.1) == values[:10]
    assert found(99, rule="quantiles", at_least=0.25, at_most=0.5) == values[24:50]
    assert len(found(7, rule="quantiles", at_most=0.5)) == 7
    tied = scored([0.0] * 60 + [1.0] * 40)
    assert len(pick("by_value", tied, 100, label="score", rule="quantiles", at_most=0.25)) == 60


@pytest.mark.parametrize(("power", "favoured"), [(2.0, "high"), (-2.0, "low")])
def test_power_keeps_by_a_power_of_the_value(power: float, favoured: str) -> None:
    """Values 1 and 2 with scale at the favoured end: the others are kept a quarter as often."""
    num = 4000
    given = scored([1.0] * num + [2.0] * num)
    scale = 2.0 if favoured == "high" else 1.0

    chosen = pick(
        "by_value", given, num // 4, label="score", rule="power", scale=scale, power=power
    )

    rare = sum(score == 0.25 for _, score in chosen)
    assert {score for _, score in chosen} == {1.0, 0.25}
    assert abs(rare - len(chosen) / 5) < 4 * math.sqrt(len(chosen) * 0.2 * 0.8)


def test_power_of_nothing_and_of_less() -> None:
    for power, first in ((1.0, "001"), (-1.0, "000")):
        rule = {"label": "score", "rule": "power", "scale": 0.5, "power": power}
        assert pick("by_value", scored([0.0, 1.0]), 1, **rule)[0] == (first, 1.0)
        with pytest.raises(ValueError, match="label score has the value -1, and rule power takes"):
            pick("by_value", scored([-1.0, 1.0]), 1, **rule)


def test_true_counts_as_one() -> None:
    assert pick("by_value", scored([False, True]), 1, label="score") == [("001", 1.0)]


@pytest.mark.parametrize(
    ("params", "lost"),
    [
        ({"rule": "highest"}, "without a number in score.own"),
        ({"rule": "band", "at_least": 0}, "without a number in score.own"),
        ({"rule": "power", "scale": 9, "power": 1}, "without a number in score.own"),
    ],
)
def test_rows_without_a_number_are_left_out_and_counted(params: dict[str, Any], lost: str) -> None:
    given = scored([{"own": value} for value in [1.0, None, 3.0, math.nan, 5.0, math.inf]])
    given = [given[at] for at in (0, 1, 2, 4)]  # JSON has neither NaN nor infinity
    chosen = {"label": "score", "field": "own", **params}

    rows, counts = select_subset("by_value", chosen, 3, 0, *tables(given))

    assert {row["id"] for row in rows} == {"000", "002", "004"}
    assert counts["unusable"] == {lost: 1}
    assert counts["num_candidates"] == 3
    with pytest.raises(ValueError, match=rf"found 3 rows of 3 candidates .* 1 {lost}\)"):
        select_subset("by_value", chosen, 4, 0, *tables(given))


def test_failed_labels_are_counted_by_annotator() -> None:
    traces, labels = tables(scored([1.0, 2.0, 3.0]), score={1: "failed"})

    rows, counts = select_subset("by_value", {"label": "score"}, 2, 0, traces, labels)

    assert [row["id"] for row in rows] == ["002", "000"]
    assert counts["unusable"] == {"annotation score failed": 1}


@pytest.mark.parametrize(
    ("selector", "values", "field", "message"),
    [
        (
            "by_value",
            ["a", "b"],
            None,
            "label score is no number but text: selector `stratified`.*`type: number`",
        ),
        ("by_value", [[1], [2]], None, "label score is no number but a list"),
        ("by_value", [1.0, 2.0], "own", "no field 'own'; its labels have no fields"),
        ("by_value", [{"own": 1, "b": 2}], None, "name one with `field`; it has own, b"),
        ("by_value", [{"own": 1}], "b", "no field 'b'; it has own"),
        (
            "stratified",
            [0.5, 0.25],
            None,
            "label score is no name but a number with a fraction: selectors `by_value`",
        ),
        ("stratified", [["a"], ["b"]], None, "label score is no name but a list"),
    ],
)
def test_labels_of_another_kind_are_refused(
    selector: str, values: list[Any], field: str | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        select_subset(selector, {"label": "score", "field": field}, 1, 0, *tables(scored(values)))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"rule": "band"}, "rules band and quantiles take one or both"),
        ({"rule": "highest", "at_least": 1}, "rules band and quantiles take one or both"),
        ({"rule": "power", "power": 1}, "rule power needs both"),
        ({"rule": "power", "power": 0, "scale": 1}, "rule power needs both"),
        ({"rule": "lowest", "power": 1}, "rule power needs both"),
        ({"rule": "band", "at_least": 2, "at_most": 1}, "at_least 2.0 is above at_most 1.0"),
        ({"rule": "quantiles", "at_most": 25}, "are shares, from 0 to 1"),
        ({"rules": "lowest"}, "did you mean 'rule'"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(params: dict[str, Any], message: str) -> None:
    model = plugins.plugin("selectors", "by_value").params
    with pytest.raises(ValueError, match=message):
        checked_params(model, {"label": "score", **params}, "subsets.x")


def test_zero_is_a_bound() -> None:
    found = pick("by_value", scored([-1.0, 0.0, 1.0]), 3, label="score", rule="band", at_most=0)

    assert {value for _, value in found} == {-1.0, 0.0}


def test_a_band_that_decides_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    params = {"label": "score", "rule": "band", "at_least": 0, "at_most": 9}

    select_subset("by_value", params, 2, 0, *tables(scored([1.0] * 300)))

    assert (
        "decides next to nothing: score at least 0 and at most 9: true of 300 of 300" in caplog.text
    )


def combined(given: list[Candidate], size: int, *quality: dict[str, Any], **more: Any) -> Any:
    return pick("combine", given, size, quality=list(quality), **more)


def test_ranks_are_combined_by_their_weights() -> None:
    """By hand: ranks of a are 1/4, 2/4, 3/4, 1, and of b, where the lowest is best, the reverse."""
    given = scored([1, 2, 3, 4], b=[10, 20, 30, 40])
    high = {"label": "score"}
    low = {"label": "b", "prefer": "lowest", "weight": 3}

    assert combined(given, 4, high, low) == [
        ("000", (0.25 + 3 * 1) / 4),
        ("001", (0.5 + 3 * 0.75) / 4),
        ("002", (0.75 + 3 * 0.5) / 4),
        ("003", (1 + 3 * 0.25) / 4),
    ]
    assert combined(given, 1, {**high, "weight": 9}, low)[0][0] == "003"


def test_equals_share_their_mean_rank() -> None:
    given = scored([5, 5, 5, 9])

    assert sorted(score for _, score in combined(given, 4, {"label": "score"})) == [0.5] * 3 + [1.0]


def test_scales_of_labels_do_not_matter() -> None:
    draw = np.random.default_rng(0)
    values, others = draw.normal(size=50).tolist(), draw.normal(size=50).tolist()
    one = scored(values, b=others)
    other = scored([math.exp(3 * value) for value in values], b=[1e6 * value for value in others])

    quality = ({"label": "score"}, {"label": "b", "weight": 2})
    assert combined(one, 20, *quality) == combined(other, 20, *quality)


def test_coverage_gives_the_best_of_each_name_in_turn() -> None:
    given = scored([1, 2, 3, 4, 5, 6], topic=["x", "x", "y", "y", "y", "z"])

    found = combined(given, 6, {"label": "score"}, coverage={"label": "topic"})

    assert {row_id for row_id, _ in found[:3]} == {"001", "004", "005"}
    assert {row_id for row_id, _ in found[3:5]} == {"000", "003"}
    assert found[5][0] == "002"
    assert dict(found)["005"] == 1.0


def test_rows_that_lack_one_of_the_labels_are_left_out() -> None:
    given = scored([1, None, 3, 4], b=[1, 2, None, 4], topic=["x", "x", "x", None])
    quality = [{"label": "score"}, {"label": "b"}]

    rows, counts = select_subset(
        "combine", {"quality": quality, "coverage": {"label": "topic"}}, 1, 0, *tables(given)
    )

    assert [row["id"] for row in rows] == ["000"]
    assert counts["unusable"] == {"without all of score, b, topic": 3}


@pytest.mark.parametrize("values", [["x", "y", None], [1, 2, None], [True, False, None]])
def test_strata_are_names_or_whole_numbers(values: list[Any]) -> None:
    given = scored(values * 10)

    rows, counts = select_subset("stratified", {"label": "score"}, 12, 0, *tables(given))

    labels = {each.id: each.labels["score"] for each in given}
    assert Counter(labels[row["id"]] for row in rows) == {values[0]: 6, values[1]: 6}
    assert counts["unusable"] == {"without a name in score": 10}


def test_column_of_nothing() -> None:
    for selector in ("by_value", "stratified"):
        with pytest.raises(
            ValueError, match=r"found 0 rows of 0 candidates .* 3 without a n.* in score\)"
        ):
            select_subset(selector, {"label": "score"}, 1, 0, *tables(scored([None] * 3)))
    assert pa.types.is_null(pa.array([None]).type)
