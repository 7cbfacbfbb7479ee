"""Effects and claims of an invented study: filters, pairing, tests, verdicts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from nt_pkg.config.report import Claim, Comparison, Published
from nt_pkg.identity.seeds import rng
from nt_pkg.report.build import build_report
from nt_pkg.report.effects import measure_effects
from nt_pkg.report.records import Inputs, Score
from nt_pkg.statistics.tests import run_paired_t
from tests.unit.report_study import (
    compare,
    make_bare,
    make_scores,
    make_study,
    score,
    side,
)


@pytest.mark.parametrize(
    ("gap", "claim", "num_seeds", "verdict"),
    [
        (0.2, "c", 4, "supported"),
        (-0.2, "c", 4, "opposite"),
        (0.0, "c", 4, "not supported"),
        (0.2, "c", 2, "not enough data"),
        (0.2, None, 4, "above"),
        (-0.2, None, 4, "below"),
        (0.0, None, 4, "no difference seen"),
    ],
)
def test_verdicts(gap: float, claim: str | None, num_seeds: int, verdict: str) -> None:
    """Verdicts follow sign, corrected p and number of seeds."""
    rows = [score("a", "system2", seed, "think", level=0.4 + gap) for seed in range(num_seeds)]
    rows += [score("b", "system2", seed, "think", level=0.4) for seed in range(num_seeds)]
    (effect,) = measure_effects([compare(side("a"), side("b"), claim)], rows)

    assert effect.verdict == verdict
    assert effect.num_seeds == num_seeds


def test_modes_need_no_second_filter() -> None:
    """A comparison of modes is think minus no_think, with the ratio of tokens."""
    wanted = {"subset": "random-512", "format": "system2"}
    question = Comparison(name="q", kind="modes", a=wanted)

    (effect,) = measure_effects([question], make_scores())

    assert effect.difference == pytest.approx(0.12, abs=0.02)
    assert effect.tokens_ratio is not None and effect.tokens_ratio > 5
    assert "adaptive" in effect.note


@pytest.mark.parametrize("subset", ["imported", "none"])
def test_a_model_that_was_not_trained_here_stands_against_every_seed(subset: str) -> None:
    """By whatever the filter names it; its unknown tokens give no ratio."""
    rows = [score("a", "system2", seed, "think", level=0.6) for seed in range(4)]
    rows.append(score(subset, "none", 0, "think", student="m", accuracy=0.4, mean_tokens=None))

    (effect,) = measure_effects([compare(side("a"), {"student": "m"})], rows)

    assert (effect.num_seeds, effect.verdict, effect.tokens_ratio) == (4, "supported", None)
    assert effect.difference == pytest.approx(0.2, abs=0.03)


def test_ambiguous_and_unknown_filters_are_refused() -> None:
    """A filter that leaves the mode open, or has a wrong field, says what to do."""
    rows = make_scores(2)
    open_mode = compare({"subset": "random-512"}, {})
    with pytest.raises(ValueError, match="more than one score of seed 0"):
        measure_effects([open_mode], rows)
    with pytest.raises(ValueError, match="sub_set"):
        measure_effects([compare({"sub_set": "x"}, {})], rows)


def test_incomplete_seeds_are_left_out_and_named() -> None:
    """A seed without one of the benchmarks cannot be paired."""
    rows = [
        r
        for r in make_scores()
        if (r.subset, r.seed, r.benchmark) != ("random-512", 3, "micro_mixed")
    ]
    question = compare(side("long-512"), side("random-512"))

    (effect,) = measure_effects([question], rows)

    assert effect.num_seeds == 4
    assert "[3]" in effect.note


def invent_answers(shift: float) -> Callable[[Score], dict[str, float]]:
    """Return what invents the share right of 300 questions; subset `a` is better by `shift`."""

    def answers(found: Score) -> dict[str, float]:
        draw = rng("answers", found.benchmark)
        extra = rng("extra", found.subset, found.benchmark)
        level = {f"q{number}": draw.random() for number in range(300)}
        own = shift if found.subset == "a" else 0.0
        return {name: value + own + extra.gauss(0, 0.1) for name, value in level.items()}

    return answers


@pytest.mark.parametrize(
    ("shift", "more", "verdict"),
    [
        (0.05, {}, "supported"),
        (-0.05, {}, "opposite"),
        (0.0, {}, "not supported"),
        (0.0, {"within": 3}, "supported"),
        (0.05, {"within": 3}, "not supported"),
    ],
)
def test_one_seed_is_tested_over_questions(
    shift: float, more: dict[str, Any], verdict: str
) -> None:
    """The mean of two benchmarks, each paired by question; within: two one-sided tests."""
    rows = [score(s, "system2", 0, "think", b) for s in "ab" for b in ("x", "y", "z")]
    sides = {key: {**side(key), "benchmark": ["x", "y"]} for key in "ab"}
    question = compare(sides["a"], sides["b"], **more)
    answers = invent_answers(shift)

    (effect,) = measure_effects([question], rows, answers)

    left, right = ({r.benchmark: answers(r) for r in rows if r.subset == name} for name in "ab")
    tests = [run_paired_t([left[b][q] - right[b][q] for q in left[b]]) for b in ("x", "y")]
    errors = [test.standard_error or 0 for test in tests]
    assert (effect.verdict, effect.basis, effect.benchmark) == (verdict, "questions", "mean of 2")
    assert effect.difference == pytest.approx(sum(test.mean for test in tests) / 2)
    assert effect.standard_error == pytest.approx((errors[0] ** 2 + errors[1] ** 2) ** 0.5 / 2)


def test_other_questions_are_not_compared() -> None:
    """Sides that answered other questions, or too few, stay without a test."""
    rows = [score(s, "system2", 0, "think") for s in "ab"]

    (effect,) = measure_effects(
        [compare(side("a"), side("b"))], rows, lambda r: {f"{r.subset}{n}": 1.0 for n in range(50)}
    )

    assert (effect.verdict, effect.basis) == ("not enough data", "seeds")


@pytest.mark.parametrize(
    ("ratio", "claim", "verdict"),
    [
        (2.4, "longer", "supported"),
        (2.0, "longer", "not supported"),
        (1.5, "longer", "opposite"),
        (1.5, "alike", "supported"),
        (0.4, "alike", "not supported"),
        (0.9, "fewer", "supported"),
        (1.1, "fewer", "opposite"),
    ],
)
def test_lengths_are_tested_over_questions(ratio: float, claim: str, verdict: str) -> None:
    """With one seed a claim about lengths is paired by question; one that failed is left out."""
    rows = [score(s, "system2", 0, "think") for s in "ab"]
    question = compare(side("a"), side("b"), tokens=claim)
    published = [
        Published(table="4", row=n, tokens={"micro_steps": v}, filter=side(n))
        for n, v in (("a", 90), ("b", 100))
    ]

    def lengths(found: Score) -> dict[str, float | None]:
        draw, factor = rng(found.subset), ratio if found.subset == "a" else 1.0
        known = {f"q{n}": factor * (100 + n + draw.gauss(0, 5)) for n in range(40)}
        return {**known, "failed": None if found.subset == "a" else 50.0}

    (effect,) = measure_effects([question], rows, None, published, lengths=lengths)

    assert (effect.verdict, effect.basis, effect.num_seeds) == (verdict, "questions", 1)
    assert effect.tokens_ratio == pytest.approx(ratio, rel=0.03)
    assert effect.paper == pytest.approx(0.9)
    (alone,) = measure_effects([question], rows)
    assert alone.verdict == "not enough data"


def test_claims_need_all_their_parts(tmp_path: Path) -> None:
    """One part that fails, is missing or is opposite decides; the paper's effect stands beside."""
    levels = {"low": 0.2, "middle": 0.3, "high": 0.5}
    rows = [
        score(name, "system2", seed, mode, level=level)
        for name, level in levels.items()
        for seed in range(4)
        for mode in ("think", "no_think")
    ]
    pairs = {"up": ("high", "low"), "down": ("low", "high"), "gone": ("high", "x")}
    parts = [
        Comparison(name=n, kind="difference", a=side(a), b=side(b), claim=n)
        for n, (a, b) in pairs.items()
    ]
    parts += [
        Comparison(name=n, kind="modes", a={"subset": "high"}, claim="it switches", tokens=n)
        for n in ("longer", "alike")
    ]
    wanted = {"A": ["up", "longer"], "B": ["up", "down", "gone"], "C": ["gone", "up"]}
    wanted["D"] = ["up", "alike"]
    study = make_study(
        comparisons=parts,
        claims=[Claim(name=n, text=f"Claim {n}", comparisons=c) for n, c in wanted.items()],
        published=[
            Published(table="1", row=n, accuracy={"micro_steps": v}, filter=side(n))
            for n, v in (("high", 40.0), ("low", 37.5))
        ],
    )
    build_report(Inputs(study, make_bare(rows)), tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())

    assert {claim["name"]: claim["verdict"] for claim in summary["claims"]} == {
        **{"A": "supported", "B": "opposite"},
        **{"C": "not enough data", "D": "not supported"},
    }
    assert summary["effects"][0]["paper"] == pytest.approx(0.025)
    assert "Supported: A. Claim A. 2 of 2 comparisons supported." in summary["headline"]
    assert "+2.5" in (tmp_path / "tables" / "claims.md").read_text()


@pytest.mark.parametrize(("num_seeds", "basis"), [(2, "questions"), (3, "seeds")])
def test_three_seeds_are_enough_for_a_test_over_seeds(num_seeds: int, basis: str) -> None:
    """Of accuracies and of lengths; with fewer the questions stand in for them."""
    rows = [score(s, "system2", seed, "think") for s in "ab" for seed in range(num_seeds)]
    plain = compare(side("a"), side("b"))
    lengths = plain.model_copy(update={"name": "lengths", "tokens": "fewer"})

    found = measure_effects(
        [plain, lengths],
        rows,
        lambda r: {f"q{n}": r.accuracy + n / 100 for n in range(40)},
        lengths=lambda r: {f"q{n}": (r.mean_tokens or 0) + n for n in range(40)},
    )

    assert [(each.basis, each.num_seeds) for each in found] == [(basis, num_seeds)] * 2
    if basis == "seeds":
        sides = [[r.mean_tokens for r in rows if r.subset == name] for name in "ab"]
        assert found[1].p_value_raw == pytest.approx(stats.ttest_rel(*sides).pvalue)
