"""Effects and claims of an invented study: filters, pairing, tests, verdicts."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from nt_pkg.config.report import Claim, Comparison, Published
from nt_pkg.identity.seeds import rng
from nt_pkg.report.build import build_report
from nt_pkg.report.effects import measure_effects
from nt_pkg.report.records import Inputs, Score
from nt_pkg.statistics.tests import correct_holm
from tests.unit.report_study import (
    compare,
    make_bare,
    make_run,
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
        (0.3, "c", 2, "supported"),
        (0.2, "c", 1, "these two models differ"),
        (0.0, "c", 1, "no difference between these two models"),
        (0.2, None, 4, "above"),
        (-0.2, None, 4, "below"),
        (0.0, None, 4, "no difference seen"),
    ],
)
def test_verdicts(gap: float, claim: str | None, num_seeds: int, verdict: str) -> None:
    """Verdicts follow sign, corrected p and number of seeds."""
    rows = [score("a", "system2", seed, "think", level=0.4 + gap) for seed in range(num_seeds)]
    rows += [score("b", "system2", seed, "think", level=0.4) for seed in range(num_seeds)]
    (effect,), _ = measure_effects([compare(side("a"), side("b"), claim)], rows)

    assert effect.verdict == verdict
    assert effect.num_seeds == num_seeds


def test_modes_need_no_second_filter() -> None:
    """A comparison of modes is think minus no_think, with the ratio of tokens."""
    wanted = {"subset": "random-512", "format": "system2"}
    question = Comparison(name="q", kind="modes", a=wanted)

    (effect,), _ = measure_effects([question], make_scores())

    assert effect.difference == pytest.approx(0.12, abs=0.02)
    assert effect.tokens_ratio is not None and effect.tokens_ratio > 5
    assert "adaptive" in effect.note


@pytest.mark.parametrize("subset", ["imported", "none"])
def test_a_model_that_was_not_trained_here_stands_against_every_seed(subset: str) -> None:
    """By whatever the filter names it; its unknown tokens give no ratio."""
    rows = [score("a", "system2", seed, "think", level=0.6) for seed in range(4)]
    rows.append(score(subset, "none", 0, "think", student="m", accuracy=0.4, mean_tokens=None))

    (effect,), _ = measure_effects([compare(side("a"), {"student": "m"})], rows)

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

    (effect,), _ = measure_effects([question], rows)

    assert effect.num_seeds == 4
    assert effect.note == "seed 3 left out, not scored on both sides"


def test_comparison_is_of_the_benchmarks_that_both_sides_have() -> None:
    """Other blocks of the study may ask others; a benchmark that one side lacks says nothing."""
    rows = [
        *(row for row in make_scores() if row.subset != "random-512"),
        *(row for row in make_scores() if row.subset == "random-512"
          and row.benchmark != "micro_mixed"),
        replace(score("other", "system2", 0, "think"), benchmark="elsewhere"),
    ]  # fmt: skip
    names = sorted({row.benchmark for row in make_scores()} - {"micro_mixed"})

    (effect,), _ = measure_effects([compare(side("long-512"), side("random-512"))], rows)

    assert effect.num_seeds == 5
    assert effect.note == "without micro_mixed, which one side lacks"
    assert effect.benchmark == (names[0] if len(names) == 1 else f"mean of {len(names)}")


def test_comparisons_that_read_alike_say_what_sets_them_apart() -> None:
    """By their benchmark, then by what is compared; what reads unlike others says nothing more."""
    rows = make_scores()
    names = sorted({row.benchmark for row in rows})
    a, b = side("long-512"), side("random-512")
    words: dict[str, Any] = {"sides": ("long traces", "random ones"), "kind": "difference"}
    words["claim"] = "Long ones win."
    questions = [
        Comparison(name="all", a=a, b=b, **words),
        *(
            Comparison(name=f"{tokens}{name}", a=a | place, b=b | place, tokens=tokens, **words)
            for name in names
            for place in [{"benchmark": name}]
            for tokens in (None, "fewer")
        ),
        compare(b, a),
    ]

    effects, _ = measure_effects(questions, rows, labels={names[0]: "first questions"})

    titles = [effect.title for effect in effects]
    assert len(set(titles)) == len(titles)
    assert titles[0] == f"Long traces \u2212 random ones (mean of {len(names)} benchmarks)"
    assert titles[1] == "Long traces \u2212 random ones (first questions)"
    assert titles[2] == "Long traces \u2212 random ones (first questions, tokens)"
    assert titles[-1] == "Subset random-512 \u2212 subset long-512"


def invent_answers(shift: float) -> Callable[[Score], dict[str, float]]:
    """Return what invents the share right of 300 questions; subset `a` is better by `shift`."""

    def answers(found: Score) -> dict[str, float]:
        draw = rng("answers", found.benchmark)
        extra = rng("extra", found.subset, found.benchmark)
        level = {f"q{number}": draw.random() for number in range(300)}
        own = shift if found.subset == "a" else 0.0
        return {name: value + own + extra.gauss(0, 0.1) for name, value in level.items()}

    return answers


DIFFER, ALIKE = "these two models differ", "no difference between these two models"


@pytest.mark.parametrize(
    ("shift", "more", "verdict", "note"),
    [
        (0.05, {}, DIFFER, ""),
        (-0.05, {}, DIFFER, ""),
        (0.0, {}, ALIKE, ""),
        (0.0, {"within": 3}, ALIKE, "that they are within 3 points is shown"),
        (0.05, {"within": 3}, DIFFER, "that they are within 3 points is not shown"),
    ],
)
def test_one_seed_is_about_two_models(
    shift: float, more: dict[str, Any], verdict: str, note: str
) -> None:
    """The mean of two benchmarks over their questions, each asked in both."""
    rows = [score(s, "system2", 0, "think", b) for s in "ab" for b in ("x", "y", "z")]
    sides = {key: {**side(key), "benchmark": ["x", "y"]} for key in "ab"}
    question = compare(sides["a"], sides["b"], **more)
    answers = invent_answers(shift)

    (effect,), _ = measure_effects([question], rows, answers)

    left, right = ({r.benchmark: answers(r) for r in rows if r.subset == name} for name in "ab")
    gaps = {b: {q: left[b][q] - right[b][q] for q in left[b]} for b in ("x", "y")}
    means = [gaps["x"][q] / 2 + gaps["y"][q] / 2 for q in gaps["x"]]
    assert (effect.verdict, effect.basis, effect.benchmark) == (verdict, "models", "mean of 2")
    assert effect.difference == pytest.approx(sum(means) / 300)
    # 299 of 300 degrees of freedom, as a t law has them.
    assert effect.standard_error == pytest.approx(stats.sem(means) * (299 / 297) ** 0.5)
    assert effect.note == note and effect.p_value_raw is None


@pytest.mark.parametrize(
    ("sd", "verdict"), [(0.001, "supported"), (0.05, "not supported"), (None, DIFFER)]
)
def test_a_stated_spread_of_trainings_allows_a_verdict_on_recipes(
    sd: float | None, verdict: str
) -> None:
    """That on the two models stands beside it; without it there is only this one."""
    rows = [score(s, "system2", 0, "think", b) for s in "ab" for b in ("x", "y")]

    (effect,), _ = measure_effects(
        [compare(side("a"), side("b"))], rows, invent_answers(0.05), training_sd=sd
    )

    assert (effect.verdict, effect.models) == (verdict, DIFFER if sd else "")
    assert effect.spread == ("stated" if sd else "")


@pytest.mark.parametrize(("num_others", "verdict"), [(5, "supported"), (4, DIFFER)])
def test_ten_degrees_of_other_recipes_speak_for_one_training(num_others: int, verdict: str) -> None:
    """Five recipes of three seeds have ten degrees of freedom, four have eight."""
    rows = [score(s, "system2", 0, "think", level=v) for s, v in (("a", 0.7), ("b", 0.4))]
    rows += [score(f"o{n}", "system2", s, "think") for n in range(num_others) for s in range(3)]

    (effect,), _ = measure_effects([compare(side("a"), side("b"))], rows)

    assert effect.verdict == verdict


def test_sides_with_other_questions_count_as_unpaired() -> None:
    """Their standard errors over questions are added; fewer than 30 questions are no test."""
    rows = [score(s, "system2", 0, "think", level=v) for s, v in (("a", 0.6), ("b", 0.4))]
    few = [replace(row, num_questions=29) for row in rows]

    def answers(found: Score) -> dict[str, float]:
        return {f"{found.subset}{n}": float(n < 50 * found.accuracy) for n in range(50)}

    (effect,), _ = measure_effects([compare(side("a"), side("b"))], rows, answers)
    (untold,), _ = measure_effects([compare(side("a"), side("b"))], rows)
    (short,), _ = measure_effects([compare(side("a"), side("b"))], few)

    alone = [stats.sem(list(answers(row).values())) for row in rows]
    assert effect.standard_error == pytest.approx(np.hypot(alone[0], alone[1]) * (49 / 47) ** 0.5)
    errors = [row.standard_error or 0 for row in rows]
    assert untold.standard_error == pytest.approx(np.hypot(errors[0], errors[1]))
    assert short.verdict == "not enough data" and "too few questions" in short.note


@pytest.mark.parametrize(
    ("ratio", "claim", "verdicts"),
    [
        (2.4, "longer", (DIFFER, "supported")),
        (2.0, "longer", (DIFFER, "not supported")),
        (1.5, "longer", (DIFFER, "opposite")),
        (1.5, "alike", (DIFFER, "supported")),
        (0.4, "alike", (DIFFER, "not supported")),
        (0.9, "fewer", (DIFFER, "supported")),
        (1.1, "fewer", (DIFFER, "opposite")),
        (1.0, "fewer", (ALIKE, "not supported")),
    ],
)
def test_lengths_are_tested_over_questions_and_seeds(
    ratio: float, claim: str, verdicts: tuple[str, str]
) -> None:
    """One seed is about two models; a question whose answers all failed is left out."""
    question = compare(side("a"), side("b"), tokens=claim)
    published = [
        Published(table="4", row=n, tokens={"micro_steps": v}, filter=side(n))
        for n, v in (("a", 90), ("b", 100))
    ]

    def lengths(found: Score) -> dict[str, float | None]:
        draw, factor = rng(found.subset), ratio if found.subset == "a" else 1.0
        known = {f"q{n}": factor * (100 + n + draw.gauss(0, 5)) for n in range(40)}
        return {**known, "failed": None if found.subset == "a" else 50.0}

    found = []
    for num_seeds in (1, 4):
        rows = [
            score(s, "system2", seed, "think", mean_tokens=(ratio if s == "a" else 1) * (119 + x))
            for s, x in (("a", 0.3), ("b", 0.2))
            for seed, x in enumerate((x, -x, x / 2, -x / 2)[:num_seeds])
        ]
        found += measure_effects([question], rows, None, published, lengths)[0]

    assert [each.verdict for each in found] == list(verdicts)
    assert [each.basis for each in found] == ["models", "recipes"]
    assert found[0].tokens_ratio == pytest.approx(ratio, rel=0.03)
    assert found[0].paper == pytest.approx(0.9)
    (alone,), _ = measure_effects([question], rows[::4])
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


def test_families_are_corrected_apart() -> None:
    """Five without a claim, three of them in a family of their own; a claim beside them."""
    rows = [
        score(s, "system2", n, "think", level=0.4 + (s == "a") * 0.06)
        for s in "abcdef"
        for n in range(4)
    ]
    names = {"b": "", "c": "", "d": "own", "e": "own", "f": "own"}
    asked = [
        compare(side("a"), side(s), None, family=f).model_copy(update={"name": s})
        for s, f in names.items()
    ]
    asked.append(compare(side("a"), side("b")))

    effects, _ = measure_effects(asked, rows)

    raw = [each.p_value_raw or 1 for each in effects]
    assert [each.p_value for each in effects] == pytest.approx(
        [*correct_holm(raw[:2]), *correct_holm(raw[2:5]), raw[5]]
    )
    assert {each.family for each in effects} == {"without a claim", "own", "claims"}


def test_what_else_differs_stands_beside() -> None:
    """Answers of all seeds, and the trainings of the same runs."""
    rows = [
        score(s, "system2", n, "think", truncation_rate=r, mean_tokens_complete=60.0)
        for s, r in (("a", 0.1), ("b", 0.3))
        for n in range(2)
    ]
    runs = [make_run("a", "system2", n, 500 + n) for n in range(3)]

    (effect,), _ = measure_effects([compare(side("a"), side("b"))], rows, runs=runs)

    assert (effect.a.truncation_rate, effect.b.truncation_rate) == (0.1, pytest.approx(0.3))
    assert (effect.a.num_examples, effect.b.num_examples) == (500.5, None)
    assert effect.a.tokens_complete == 60.0


def test_the_untrained_student_is_one_model_with_noise_of_its_own() -> None:
    """Its error over questions counts, and its seed goes with every seed of the other side."""
    rows = [score("a", "system2", n, "think", level=0.6) for n in range(4)]
    rows += [score("none", "none", 0, "think", level=0.4)]

    (effect,), _ = measure_effects([compare(side("a"), side("none", "none"))], rows)

    squares = [
        np.mean([(r.standard_error or 0) ** 2 for r in each]) for each in (rows[:4], rows[4:])
    ]
    spread = stats.sem([row.accuracy for row in rows[:4]])
    assert (effect.num_seeds, effect.verdict) == (4, "supported")
    assert effect.standard_error == pytest.approx((spread**2 + sum(squares)) ** 0.5, rel=0.01)
