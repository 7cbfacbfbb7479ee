"""Warnings at the top of the page: idle conditions of selectors, and sides that are no equals."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from nt_pkg.report.build import build_report
from nt_pkg.report.cautions import say_idle_conditions, say_uneven_sides
from nt_pkg.report.parts.subsets_table import tabulate_subsets
from nt_pkg.report.records import Inputs
from tests.unit.report_study import (
    compare,
    make_bare,
    make_material,
    make_run,
    make_study,
    make_subset,
    score,
    side,
)

SIZES = {"a": 100, "b": 100, "c": 300, "d": 300}


@pytest.mark.parametrize(
    ("left", "right", "is_said"),
    [
        ((100, 100), (100, 100), False),
        ((98, 98), (100, 100), False),
        ((97, 97), (100, 100), True),
        ((100, 100), (97, 97), True),
        ((100, 95), (100, 99), True),  # 97.5 against 99.5 on average
        ((96, 100), (98, 98), False),
    ],
)
def test_sides_of_one_size_with_unequal_rows(
    left: tuple[int, int], right: tuple[int, int], is_said: bool
) -> None:
    runs = [make_run("a", "system2", seed, num) for seed, num in enumerate(left)]
    runs += [make_run("b", "system2", seed, num) for seed, num in enumerate(right)]
    scores = [score(name, "system2", seed, "think") for name in "ab" for seed in (0, 1)]

    said = say_uneven_sides([compare(side("a"), side("b"))] * 2, scores, runs, SIZES)

    assert bool(said) == is_said
    if is_said:
        shown = [f"{sum(rows) / 2:,.0f} rows" for rows in (left, right)]
        one, other = shown
        assert f"micro-llama on a / system2 with {one} and" in said
        assert said.count(f"micro-llama on b / system2 with {other} of 100") == 1  # not twice


def test_formats_of_one_subset_lose_other_rows() -> None:
    """Answers without traces are short, so none of them is left out."""
    runs = [make_run("a", "system2", 0, 90), make_run("a", "system1", 0, 100)]
    scores = [score("a", "system2", 0, "think"), score("a", "system1", 0, "no_think")]
    asked = compare(side("a"), side("a", "system1", "no_think"))

    assert "a / system2 with 90 rows and" in say_uneven_sides([asked], scores, runs, SIZES)


def test_only_seeds_that_both_sides_have_count() -> None:
    runs = [make_run("a", "system2", seed, num) for seed, num in enumerate((100, 50))]
    runs.append(make_run("b", "system2", 0, 100))
    scores = [
        score(name, "system2", seed, "think") for name, seed in (("a", 0), ("a", 1), ("b", 0))
    ]

    assert say_uneven_sides([compare(side("a"), side("b"))], scores, runs, SIZES) == ""


def test_other_sizes_and_the_untrained_are_not_meant_to_be_equal() -> None:
    runs = [make_run("a", "system2", 0, 100), make_run("c", "system2", 0, 300)]
    scores = [score(name, "system2", 0, "think") for name in "ac"]
    scores.append(score("none", "none", 0, "think"))
    asked = [compare(side("a"), side("c")), compare(side("a"), side("none", "none"))]

    assert say_uneven_sides(asked, scores, runs, SIZES) == ""


def test_idle_conditions_are_named_with_their_subsets() -> None:
    idle = {"num_available": 1000, "selector": "odd", "conditions": {"x": 995, "y": 500}}
    draws = [make_subset("a", seed, **idle) for seed in (0, 1)]
    draws += [make_subset("b", **idle), make_subset("c"), make_subset("d", conditions={"y": 900})]

    said = say_idle_conditions(draws)

    assert "next to nothing: odd of a and b (x: true of 995 of 1,000 rows)." in said
    assert "y" not in said.partition(":")[2].partition(".")[0]
    assert say_idle_conditions([replace(each, conditions={"y": 500}) for each in draws]) == ""


def test_both_stand_in_the_headline_and_the_table(tmp_path: Path) -> None:
    subsets = [
        make_subset("a", size=100, conditions={"x": 5600}),
        make_subset("b", size=100, conditions={"x": 2805}),
    ]
    runs = [make_run("a", "system2", 0, 100), make_run("b", "system2", 0, 90)]
    scores = [score(name, "system2", 0, "think") for name in "ab"]
    study = make_study(comparisons=[compare(side("a"), side("b"))])
    build_report(Inputs(study, make_bare(scores), subsets=subsets, runs=runs), tmp_path)

    said = json.loads((tmp_path / "summary.json").read_text())["headline"]
    page = (tmp_path / "index.html").read_text()
    for words in ("x: true of 5,600 of 5,610 rows", "b / system2 with 90 rows of 100"):
        assert sum(words in text for text in said) == 1
        assert words in page
    table = tabulate_subsets(make_material(scores, subsets=subsets))
    assert table and [row["conditions"] for row in table.rows] == ["x: 99.8 %", "x: 50.0 %"]
