"""The headline: findings as sentences with a figure, without the names of comparisons."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nt_pkg.config.report import Comparison
from nt_pkg.report.build import build_report
from nt_pkg.report.headline import say_effects
from nt_pkg.report.records import Effect, Inputs, Judged, Study
from nt_pkg.report.sentences import say_claim, say_difference, say_no_difference
from nt_pkg.report.wording import describe_sides
from tests.unit.report_study import make_bare, make_study, make_subset, score, side

LABELS = {"micro_hard": "hard questions"}
LONG = Effect(
    name="long_vs_random",
    kind="difference",
    claim=None,
    contrast="long-300 - random-300",
    benchmark="micro_hard",
    verdict="above",
    num_seeds=5,
    difference=0.236,
    standard_error=0.054,
    interval=(0.13, 0.34),
    p_value=0.0004,
    sides=("long traces", "random ones"),
)
QUIET = replace(
    LONG, name="sham_vs_random", verdict="no difference seen", p_value=0.8, difference=-0.012
)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            {},
            "Long traces scored 23.6 points (\u00b1 5.4) more than random ones on hard questions.",
        ),
        (
            {"difference": -0.192, "benchmark": "gsm8k"},
            "Long traces scored 19.2 points (\u00b1 5.4) less than random ones on gsm8k.",
        ),
        (
            {"benchmark": "mean of 2", "standard_error": None},
            "Long traces scored 23.6 points more than random ones on the mean of 2 benchmarks.",
        ),
        (
            {"difference": None, "note": "no score of x"},
            "Long traces and random ones were not compared: no score of x.",
        ),
    ],
)
def test_a_difference_is_a_sentence(more: dict[str, Any], said: str) -> None:
    assert say_difference(replace(LONG, **more), LABELS) == said


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"verdict": "supported"}, "C, by 23.6 points (\u00b1 5.4)."),
        ({"verdict": "not supported", "difference": 0.012}, "C: +1.2 \u00b1 5.4 points."),
        ({"verdict": "opposite", "difference": -0.2}, "C: \u221220.0 \u00b1 5.4 points."),
        ({"verdict": "supported", "within": 0.3}, "C: +23.6 \u00b1 5.4 points."),
        (
            {"verdict": "supported", "tokens": "longer", "tokens_ratio": 2.5, "tokens_error": 0.2},
            "C: 2.50\u00d7 the tokens (\u00b1 0.20).",
        ),
        ({"difference": None}, "C."),
    ],
)
def test_a_claim_is_told_with_its_figure(more: dict[str, Any], said: str) -> None:
    assert say_claim(replace(LONG, claim="C.", **more)) == said


def test_no_difference_is_a_sentence() -> None:
    other = replace(QUIET, sides=("mixed ones", "random ones"), standard_error=None)

    assert say_no_difference([QUIET, other], LABELS) == (
        "no difference was seen between long traces and random ones on hard questions "
        "(\u22121.2 \u00b1 5.4 points); nor between mixed ones and random ones on hard questions "
        "(\u22121.2 points)."
    )


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        (["no difference seen"], "The control, chosen without a look at the rows, was quiet"),
        (["no difference seen"] * 2, "Both controls, chosen without a look at the rows, were"),
        (["no difference seen"] * 3, "All controls, chosen without a look at the rows, were"),
        (["above"], "A control was found, an error: Long traces scored"),
    ],
)
def test_controls_have_a_sentence_of_their_own(verdicts: list[str], said: str) -> None:
    effects = [
        replace(QUIET, name=f"c{at}", verdict=v, p_value=0.01 if v == "above" else 0.8)
        for at, v in enumerate(verdicts)
    ]
    judged = [
        Judged(name=each.name, verdict=each.verdict, outcome="", source="design")
        for each in effects
    ]

    [finding] = say_effects(effects, judged=judged)

    assert finding.text.startswith(said)
    assert len(say_effects([*effects, LONG], judged=judged)) == 2


@pytest.mark.parametrize(
    ("a", "b", "sides"),
    [
        (
            {"subset": "x", "mode": "think"},
            {"subset": "y", "mode": "think"},
            ("subset x", "subset y"),
        ),
        ({"subset": "x"}, {"subset": "none"}, ("subset x", "the untrained student")),
        (
            {"subset": "x", "format": "f", "mode": "think"},
            {"subset": "x", "format": "g", "mode": "no_think"},
            ("format f, mode think", "format g, mode no_think"),
        ),
        ({"student": ["m", "n"]}, {}, ("student m + n", "the others")),
    ],
)
def test_sides_without_words_go_by_what_differs(
    a: dict[str, Any], b: dict[str, Any], sides: tuple[str, str]
) -> None:
    assert describe_sides(a, b) == sides


def test_a_reader_sees_no_name_of_a_comparison(tmp_path: Path) -> None:
    """Neither on the page nor in the headline, nor in a figure; files keep it for programs."""
    levels = {"long-512": 0.8, "odd-512": 0.5, "sham-512": 0.5, "random-512": 0.5}
    scores = [score(n, "system2", s, "think", level=v) for n, v in levels.items() for s in range(4)]
    words = {"long-512": ("long traces", "random ones"), "odd-512": None, "sham-512": None}
    asked = [
        Comparison(
            name=f"{subset.removesuffix('-512')}_vs_random",
            kind="difference",
            a=side(subset),
            b=side("random-512"),
            sides=sides,
        )
        for subset, sides in words.items()
    ]
    subsets = [make_subset(name) for name in levels]
    study = Study("s", make_study(comparisons=asked).report, labels={"micro_steps": "steps"})

    build_report(Inputs(study, make_bare(scores), subsets), tmp_path)

    summary = json.loads((tmp_path / "summary.json").read_text())
    page = (tmp_path / "index.html").read_text()
    assert "_vs_random" not in page + "".join(summary["headline"])
    assert "_vs_random" not in (tmp_path / "figures/effects.svg").read_text()
    assert {each["name"] for each in summary["effects"]} == {each.name for each in asked}
    assert any("Long traces scored " in line for line in summary["headline"])
    pair = "between subset odd-512 and subset random-512 on steps"
    assert any(pair in line for line in summary["headline"])
