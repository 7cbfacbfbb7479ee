"""Verdicts next to the truth: what each is worth, whose truth it is, and what a check refuses."""

import dataclasses
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nt_pkg.config.report import Comparison
from nt_pkg.files.json_files import write_json
from nt_pkg.identity.fingerprint import code_fingerprint
from nt_pkg.identity.recipe_key import recipe_key
from nt_pkg.plan import study_plan
from nt_pkg.plan.study_plan import Plan
from nt_pkg.plan.validate import load_study
from nt_pkg.report.build import build_report
from nt_pkg.report.effects import measure_effects
from nt_pkg.report.records import Effect, Inputs, Judged, Score, Truth
from nt_pkg.report.summary import read_summary, read_truth
from nt_pkg.report.truth import (
    find_outcome,
    is_zero_by_design,
    judge_truth,
    keep_truth,
    say_outcome,
)
from scripts import keep_truth as keep_truth_script
from tests.check_report import find_false
from tests.unit.report_study import (
    compare,
    make_bare,
    make_run,
    make_study,
    make_subset,
    score,
    side,
)

Config = dict[str, Any]


@pytest.mark.parametrize(
    ("verdict", "value", "error", "more", "outcome"),
    [
        ("above", 0.20, 0.02, {}, "found"),
        ("supported", 0.20, 0.02, {}, "found"),
        ("below", -0.20, 0.02, {}, "found"),
        ("opposite", -0.20, 0.02, {}, "found"),
        ("above", -0.20, 0.02, {}, "false"),
        ("opposite", 0.20, 0.02, {}, "false"),
        ("above", 0.03, 0.02, {}, "false"),  # within two errors of zero
        ("below", 0.0, 0.0, {}, "false"),  # a control
        ("no difference seen", 0.05, 0.02, {}, "missed"),
        ("not supported", -0.05, 0.02, {}, "missed"),
        ("no difference seen", 0.03, 0.02, {}, "rightly quiet"),
        ("no difference seen", 0.0, 0.0, {}, "rightly quiet"),
        ("supported", 0.01, 0.002, {"within": 0.02}, "found"),
        ("supported", -0.05, 0.002, {"within": 0.02}, "false"),
        ("not supported", 0.01, 0.002, {"within": 0.02}, "missed"),
        ("not supported", 0.05, 0.002, {"within": 0.02}, "rightly quiet"),
        ("supported", 0.019, 0.002, {"within": 0.02}, "open"),
        ("supported", 3.0, 0.2, {"tokens": "longer"}, "found"),
        ("supported", 1.5, 0.2, {"tokens": "longer"}, "false"),
        ("supported", 2.1, 0.2, {"tokens": "longer"}, "false"),
        ("supported", 0.8, 0.05, {"tokens": "fewer"}, "found"),
        ("opposite", 1.3, 0.05, {"tokens": "fewer"}, "found"),
        ("supported", 1.1, 0.05, {"tokens": "alike"}, "found"),
        ("supported", 3.0, 0.05, {"tokens": "alike"}, "false"),
        ("supported", 0.3, 0.05, {"tokens": "alike"}, "false"),
        ("these two models differ", 0.2, 0.02, {}, "not judged"),
        ("not enough data", 0.2, 0.02, {}, "not judged"),
    ],
)
def test_what_a_verdict_is_worth(
    verdict: str, value: float, error: float, more: dict[str, Any], outcome: str
) -> None:
    effect = Effect(name="q", kind="difference", claim=None, contrast="", benchmark="b", **more)

    assert find_outcome(replace(effect, verdict=verdict), value, error) == outcome


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "missed: this study could not see it (80 % of such studies see 14.0 points)"),
        ({"value": -0.3}, "missed by bad luck: 80 % of such studies see 14.0 points"),
        ({"mde80": None}, "missed: this study could not see it"),
        ({"outcome": "found"}, "found"),
        (
            {"outcome": "stale"},
            "not judged: the truth on file is of another world, and is not used",
        ),
    ],
)
def test_outcomes_in_words(more: dict[str, Any], said: str) -> None:
    missed = Judged(name="q", verdict="not supported", outcome="missed", value=0.1, mde80=0.14)

    assert say_outcome(replace(missed, **more)) == said


@pytest.mark.parametrize(("within", "mde80"), [(None, 0.14), (0.3, None)])
def test_what_a_study_can_see_stands_beside_the_truth(
    within: float | None, mde80: float | None, tmp_path: Path
) -> None:
    """The margin of a claim that sides are alike is no such difference."""
    truth, scores = measure_truth(0.1, tmp_path), rows(0.0, range(3))
    claim = None if within is None else "alike"
    effects = [
        replace(e, mde80=0.14, within=within, claim=claim)
        for e in measure_effects(QUESTION, scores)[0]
    ]

    [found] = judge_truth(QUESTION, effects, scores, [], truth, RECIPES)

    assert found.mde80 == mde80


def rows(gap: float, seeds: range) -> list[Score]:
    """Return scores of two recipes, the first better by `gap`."""
    names = (("long-512", 0.5 + gap), ("random-512", 0.5))
    return make_bare([score(n, "system2", s, "think", level=v) for n, v in names for s in seeds])


QUESTION = [compare(side("long-512"), side("random-512"), None)]
RECIPES = {recipe_key(each): f"digest of {each.subset}" for each in rows(0, range(1))}


def measure_truth(gap: float, folder: Path) -> Truth:
    """Return the truth as a study with ten seeds of its own measures it."""
    study = make_study(comparisons=QUESTION)
    build_report(Inputs(study, rows(gap, range(100, 110))), folder)
    return keep_truth(read_summary(folder), QUESTION, RECIPES)


@pytest.mark.parametrize(
    ("here", "true", "recipes", "outcome"),
    [
        (0.3, 0.3, RECIPES, "found"),
        (0.3, -0.3, RECIPES, "false"),
        (0.0, 0.3, RECIPES, "missed"),
        (0.3, 0.3, {**RECIPES, next(iter(RECIPES)): "edited"}, "stale"),
        (0.3, 0.3, {}, "stale"),
    ],
)
def test_a_study_next_to_its_truth(
    here: float, true: float, recipes: dict[str, str], outcome: str, tmp_path: Path
) -> None:
    """The page, its table and summary.json say it; a stale truth is said and not used."""
    truth = measure_truth(true, tmp_path / "truth")
    study = make_study(comparisons=QUESTION, truth="config/truth/t.json")

    build_report(Inputs(study, rows(here, range(3)), truth=truth, recipes=recipes), tmp_path)

    summary = json.loads((tmp_path / "summary.json").read_text())
    [found] = summary["truth"]
    headline = " ".join(summary["headline"])
    assert found["outcome"] == outcome
    assert (tmp_path / "tables/truth.csv").is_file()
    assert bool(find_false(summary)) == (outcome == "false")
    assert ("config/truth/t.json is of another world" in headline) == (outcome == "stale")
    if outcome == "stale":
        assert found["value"] is None and found["source"] == ""
    else:
        assert found["value"] == pytest.approx(true, abs=0.02) and found["num_seeds"] == 10
        assert f"1 {outcome}" in headline


def test_names_do_not_matter_and_without_a_truth_nothing_is_said(tmp_path: Path) -> None:
    truth = measure_truth(0.3, tmp_path)
    scores = rows(0.3, range(3))
    renamed = [QUESTION[0].model_copy(update={"name": "other"})]
    effects, _ = measure_effects(renamed, scores)

    [found] = judge_truth(renamed, effects, scores, [], truth, RECIPES)

    assert (found.name, found.outcome) == ("other", "found")
    assert judge_truth(renamed, effects, scores, [], None, {}) == []
    [unknown] = judge_truth(renamed, effects, scores, [], truth, {})
    assert unknown.outcome == "not known"


def test_lengths_of_the_same_sides_have_a_truth_of_their_own(tmp_path: Path) -> None:
    asked = [*QUESTION, compare(side("long-512"), side("random-512"), "c", tokens="alike")]
    asked[1] = asked[1].model_copy(update={"name": "lengths"})
    build_report(Inputs(make_study(comparisons=asked), rows(0.3, range(100, 105))), tmp_path)
    truth, scores = keep_truth(read_summary(tmp_path), asked, RECIPES), rows(0.3, range(4))
    effects, _ = measure_effects(asked, scores)

    found = judge_truth(asked, effects, scores, [], truth, RECIPES)

    assert [each.source for each in found] == ["measured", "measured"]
    assert [round(each.value or 0, 1) for each in found] == [0.3, 1.0]


def test_one_seed_is_no_truth(tmp_path: Path) -> None:
    build_report(Inputs(make_study(comparisons=QUESTION), rows(0.3, range(1))), tmp_path)

    with pytest.raises(ValueError, match="comparison q of study s was not measured"):
        keep_truth(read_summary(tmp_path), QUESTION, RECIPES)


def test_the_script_keeps_what_reads_back(tmp_path: Path) -> None:
    truth = measure_truth(0.3, tmp_path)
    spec = {"comparisons": [each.model_dump(mode="json") for each in QUESTION], "recipes": RECIPES}
    out = tmp_path / "truth.json"

    given = {"--spec": json.dumps(spec), "--summary": tmp_path / "summary.json", "--out": out}
    keep_truth_script.main([str(text) for pair in given.items() for text in pair])

    assert read_truth(out).recipes == truth.recipes
    assert {each.name: (each.num_seeds, round(each.mean, 1)) for each in truth.recipes} == {
        key: (10, 0.8 if "long" in key else 0.5) for key in RECIPES
    }
    write_json(out, {**dataclasses.asdict(truth), "effects": [{"name": "q"}]})
    with pytest.raises(ValueError, match=r"truth\.json is not a Truth"):
        read_truth(out)


@pytest.mark.parametrize(
    ("a", "b", "selectors", "sizes", "is_zero"),
    [
        (side("s"), side("r"), ("sham", "random"), (512, 512), True),
        (side("r"), side("s"), ("sham", "random"), (512, 512), True),
        (side("s"), side("r"), ("sham", "sham"), (512, 512), True),
        (side("s"), side("r"), ("long", "random"), (512, 512), False),
        (side("s"), side("r"), ("sham", "random"), (512, 128), False),
        (side("s"), side("r", mode="no_think"), ("sham", "random"), (512, 512), False),
        (side("s"), side("r", "system1"), ("sham", "random"), (512, 512), False),
        (side("s"), side("s", "system1"), ("sham", "random"), (512, 512), False),
    ],
)
def test_zero_by_design(
    a: dict[str, str],
    b: dict[str, str],
    selectors: tuple[str, str],
    sizes: tuple[int, int],
    is_zero: bool,
) -> None:
    """Only if the sides differ in nothing but in which blind selector chose their rows."""
    scores = [
        score(name, form, 0, mode)
        for name in ("s", "r")
        for form in ("system2", "system1")
        for mode in ("think", "no_think")
    ]
    subsets = [
        make_subset(name, selector=selector, size=size)
        for name, selector, size in zip(("s", "r"), selectors, sizes, strict=True)
    ]

    assert is_zero_by_design(compare(a, b, None), scores, subsets) is is_zero


RULE = {"rule": "random", "code": "1"}


@pytest.mark.parametrize(
    ("specs", "epochs", "is_zero"),
    [
        (({}, {}), (2, 2), True),
        (({}, {}), (2, 3), False),
        (({"tokens": 900}, {}), (2, 2), False),
        (({"one_per_question": RULE}, {}), (2, 2), False),
        (({"one_per_question": RULE}, {"one_per_question": {**RULE, "code": "2"}}), (2, 2), True),
        (({"one_per_question": RULE}, {"one_per_question": {"rule": "right"}}), (2, 2), False),
        (({"one_per_question": {"rule": "right"}},) * 2, (2, 2), True),
    ],
)
def test_zero_by_design_needs_all_else_to_be_alike(
    specs: tuple[dict[str, Any], dict[str, Any]], epochs: tuple[int, int], is_zero: bool
) -> None:
    """A choice among answers looks at them, and it decides before a blind selector does."""
    names = ("s", "r")
    scores = [score(name, "system2", 0, "think") for name in names]
    subsets = [
        make_subset(name, selector="random", spec=spec)
        for name, spec in zip(names, specs, strict=True)
    ]
    runs = [
        replace(make_run(name, "system2", 0, 512), spec={"epochs": number})
        for name, number in zip(names, epochs, strict=True)
    ]

    asked = compare(side("s"), side("r"), None)
    assert is_zero_by_design(asked, scores, subsets, runs) is is_zero


@pytest.mark.parametrize(("gap", "wrong"), [(0.3, 1), (-0.3, 1), (0.0, 0)])
def test_a_found_control_is_refused_without_any_truth_on_file(
    gap: float, wrong: int, tmp_path: Path
) -> None:
    asked = [Comparison(name="q", kind="difference", a=side("sham-512"), b=side("random-512"))]
    scores = [replace(s, subset=s.subset.replace("long", "sham")) for s in rows(gap, range(4))]
    subsets = [make_subset(name) for name in ("sham-512", "random-512")]

    build_report(Inputs(make_study(comparisons=asked), scores, subsets), tmp_path)

    found = find_false(json.loads((tmp_path / "summary.json").read_text()))
    assert len(found) == wrong
    assert all("the control q is" in line for line in found)


def digests(config: Config) -> dict[str, str]:
    return Plan(load_study(config)).recipe_digests()


LONG = "micro-llama/long-300/system2/micro_free/think"
EDITS: dict[str, tuple[Callable[[Config], Any], bool]] = {
    "pool": (lambda c: c["pools"]["micro"]["params"].update(seed=1), True),
    "selector": (lambda c: c["subsets"]["long-300"]["params"].update(scale_tokens=70), True),
    "size": (lambda c: c["subsets"]["long-300"].update(size=200), True),
    "format": (lambda c: c["formats"]["system2"].update(think_words=30), True),
    "training": (lambda c: _training(c).update(learning_rate=0.002), True),
    "batching": (lambda c: _training(c).update(tokens_per_step=2048), True),
    "epochs": (lambda c: _training(c).update(epochs={0: 6}), True),
    "sampling": (lambda c: c["students"]["micro-llama"]["sampling"].update(max_tokens=90), True),
    "benchmark": (lambda c: c["benchmarks"]["micro_free"]["params"].update(seed=1), True),
    "seeds": (lambda c: c.update(seeds=[7, 8]), False),
    "questions": (lambda c: c["benchmarks"]["micro_free"]["params"].update(num_questions=9), False),
    "runtime": (lambda c: c["students"]["micro-llama"]["runtime"].update(zero_stage=1), False),
    "shards": (lambda c: c["pools"]["micro"].update(num_shards=3), False),
    "title": (lambda c: c["report"].update(title="T"), False),
    "another selector": (lambda c: c["subsets"]["topics-300"].update(size=9), False),
    "an annotator it has not": (lambda c: c["annotators"]["agreement"].update(params={}), False),
}


def _training(config: Config) -> Any:
    return config["students"]["micro-llama"]["training"]


@pytest.mark.parametrize("edit", EDITS)
def test_what_a_truth_depends_on(demo: Config, edit: str) -> None:
    """On the world, the training and the test; not on seeds, speed or other recipes."""
    before = digests(demo)
    change, matters = EDITS[edit]
    change(demo)

    assert (digests(demo)[LONG] != before[LONG]) is matters


def test_shared_code_has_a_number(demo: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refactoring of it makes no truth stale; the code of a plug-in and the number do."""
    before = digests(demo)[LONG]
    place = "nt_pkg.plan.study_plan.code_fingerprint"
    monkeypatch.setattr(place, _edited("nt_pkg.subsets.select"))
    assert digests(demo)[LONG] == before
    monkeypatch.setattr(place, _edited("nt_pkg.annotators.length"))
    assert digests(demo)[LONG] != before
    monkeypatch.setattr(place, code_fingerprint)
    monkeypatch.setitem(study_plan.VERSIONS, "truth", 99)
    assert digests(demo)[LONG] != before


def _edited(module: str) -> Callable[..., str]:
    return lambda name, roots: "edited" if name == module else code_fingerprint(name, roots)


def test_seeds_replace_those_of_what_trains(demo: Config) -> None:
    demo["seeds"] = [100, 101]
    plan = Plan(load_study(demo))

    assert {run["seed"] for run in plan.sft()} == {100, 101}
    assert {run["seed"] for run in plan.sampled() if run["subset"] == "none"} == {0}


def test_the_file_is_looked_for_in_the_project(demo: Config) -> None:
    demo["report"]["truth"] = "tests/study.yaml"
    assert [Path(p).resolve() for p in Plan(load_study(demo)).truth()] == [
        Path(__file__).parents[1] / "study.yaml"
    ]
    assert "recipes" in json.loads(Plan(load_study(demo)).report_spec())
    demo["report"]["truth"] = "config/nothing.json"
    with pytest.raises(ValueError, match=r"report\.truth: .*nothing\.json does not exist"):
        Plan(load_study(demo)).truth()
