"""What changed between two reports of one study."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from nt_pkg.config.report import Report
from nt_pkg.files.json_files import write_json
from nt_pkg.identity.seeds import rng
from nt_pkg.report.build import build_report, draw_parts
from nt_pkg.report.changes.causes import share_kept
from nt_pkg.report.changes.compare import compare_summaries, measure_change
from nt_pkg.report.changes.records import Changes
from nt_pkg.report.changes.words import say_changes
from nt_pkg.report.records import (
    Effect,
    Histogram,
    Inputs,
    Pool,
    Run,
    Score,
    Study,
    TraceSet,
    read_record,
)
from nt_pkg.report.summary import (
    KEPT_IDS,
    VERSION,
    KeptScore,
    KeptSubset,
    Summary,
    digest_ids,
    read_summary,
    summarise,
)
from scripts import compare_reports
from tests.unit.report_study import make_material, make_subset

Edit = Callable[[Inputs], Inputs]
SEEDS = range(4)


def ids(*numbers: int) -> list[str]:
    return [f"{number:02x}" * 16 for number in numbers]


IDS = {"long": ids(*range(10)), "random": ids(*range(20, 30))}


def accuracy(subset: str, seed: int) -> float:
    return 0.4 + 0.1 * (subset == "long") + rng(subset, str(seed)).uniform(-0.01, 0.01)


def make_inputs() -> Inputs:
    """Return a study of two subsets and four seeds, and an untrained student."""
    score = Score(
        student="s",
        subset="none",
        format="none",
        seed=0,
        benchmark="m",
        mode="think",
        num_questions=400,
        repeats=1,
        accuracy=0.1,
        standard_error=0.025,
        mean_tokens=40.0,
        median_tokens=40.0,
        truncation_rate=0.0,
        no_answer_rate=0.0,
        thinking_rate=1.0,
        failed=0,
        token_histogram=Histogram([0], []),
        sampling={"temperature": 0.0},
        prompt_digest="p1",
        versions={"torch": "2"},
        engine={"kind": "transformers", "model": "m1"},
        spec={"code": ["g1"]},
    )
    run = Run(
        student="s",
        subset="none",
        format="system2",
        seed=0,
        num_examples=10,
        num_tokens=900,
        num_steps=5,
        final_loss=0.5,
        loss_curve=[],
        wall_seconds=1.0,
        tokens_per_second=9.0,
        world_size=1,
        zero_stage=2,
        spec={"training": {}},
        versions={"torch": "2"},
    )
    draws = [(subset, seed) for subset in IDS for seed in SEEDS]
    return Inputs(
        study=Study("x", Report(title="T")),
        scores=[
            *(
                replace(
                    score,
                    **{"subset": subset, "seed": seed, "format": "system2"},
                    accuracy=accuracy(subset, seed),
                )
                for subset, seed in draws
            ),
            score,
        ],
        runs=[replace(run, subset=subset, seed=seed) for subset, seed in draws],
        subsets=[
            make_subset(
                subset,
                seed,
                **{"size": 10, "pool": "p", "teacher": "t"},
                **{"spec": {"params": {"scale": 60}}, **digest_ids(IDS[subset])},
            )
            for subset, seed in draws
        ],
        pools=[Pool(pool="p", num_rows_in=100, num_kept=100)],
        traces=[
            TraceSet(
                pool="p", teacher="t", num_rows=100, failed={}, incomplete={}, mean_tokens=50.5
            )
        ],
    )


def summary_of(inputs: Inputs, **verdicts: str) -> Summary:
    """Return a summary as it comes back from its file."""
    effects = [
        Effect(
            name=name,
            kind="difference",
            claim=None,
            contrast="",
            benchmark="m",
            verdict=verdict,
            difference=0.1,
            standard_error=0.02,
        )
        for name, verdict in ({"long_vs_random": "above"} | verdicts).items()
    ]
    written = json.loads(json.dumps(asdict(summarise(inputs, effects))))
    return read_record(Summary, written, "summary.json")


def changes_after(*edits: Edit, **verdicts: str) -> Changes:
    before = now = make_inputs()
    for edit in edits:
        now = edit(now)
    return compare_summaries(summary_of(before), summary_of(now, **verdicts), "old")


def set_all(section: str, where: dict[str, Any], **values: Any) -> Edit:
    """Return an edit of all records of a section that have some values."""

    def edit(inputs: Inputs) -> Inputs:
        found = [
            replace(each, **values) if where.items() <= vars(each).items() else each
            for each in getattr(inputs, section)
        ]
        return replace(inputs, **{section: found})

    return edit


def shift(by: float, jitter: float = 0.002, **where: Any) -> Edit:
    """Return an edit that moves the accuracies of some scores, not all alike."""

    def edit(inputs: Inputs) -> Inputs:
        found = [
            replace(each, accuracy=each.accuracy + by + jitter * each.seed)
            if where.items() <= vars(each).items()
            else each
            for each in inputs.scores
        ]
        return replace(inputs, scores=found)

    return edit


def tables_of(changes: Changes) -> list[str]:
    """Return the names of the tables that show what changed."""
    return [each.name for each in draw_parts(make_material([], changes=changes)).get("changes", [])]


def test_nothing_changed() -> None:
    found = changes_after()

    assert tables_of(found) == []
    assert say_changes(found) == (
        "Since the earlier report (old): none of 9 scores changed; none of 1 verdict."
    )


def test_another_selection_explains_its_scores_and_no_others() -> None:
    other = digest_ids(ids(*range(6, 16)))
    found = changes_after(
        shift(-0.2, subset="long"),
        set_all("subsets", {"subset": "long"}, spec={"params": {"scale": 80}}, **other),
        long_vs_random="below",
    )

    [row] = found.scores
    assert (row.subset, row.num_seeds, row.num_changed) == ("long", 4, 4)
    assert row.difference == pytest.approx(-0.197)
    assert (row.verdict, row.basis, row.causes) == ("below", "seeds", "other rows picked")
    [origin] = found.origins
    assert origin.differences == "params.scale: 60 -> 80"
    assert origin.result == "other rows; 40.0 % were there before"
    assert say_changes(found) == (
        "Since the earlier report (old): 4 of 9 scores changed (1 of 3 averages over seeds, 1 by "
        "more than chance); 1 of 1 verdict: long_vs_random from above to below; 1 of 2 subsets "
        "picked other rows."
    )
    assert tables_of(found) == ["changes-verdicts", "changes-scores", "changes-made"]


@pytest.mark.parametrize(
    ("edit", "cause", "differences"),
    [
        (
            set_all("scores", {"subset": "long"}, sampling={"temperature": 0.6}),
            "other sampling",
            ["sampling.temperature: 0.0 -> 0.6"],
        ),
        (
            set_all("scores", {"subset": "long"}, spec={"code": ["g2"]}),
            "other grading",
            ["grading.code edited"],
        ),
        (
            set_all("scores", {"subset": "long"}, prompt_digest="p2"),
            "other prompts",
            ["prompts: p1 -> p2"],
        ),
        (
            set_all("runs", {"subset": "long"}, versions={"torch": "3"}),
            "other packages",
            ["versions.torch: 2 -> 3"],
        ),
        (
            set_all("runs", {"subset": "long"}, spec={"training": {"epochs": 2}}),
            "other training",
            ["training.epochs: default -> 2"],
        ),
        (set_all("runs", {"subset": "long"}, num_tokens=7), "other texts of the same rows", []),
        (
            set_all("runs", {"subset": "long"}, final_loss=0.6),
            "trained again, to another loss",
            [],
        ),
        (set_all("pools", {}, num_kept=90), "nothing on record", [""]),
    ],
)
def test_what_differs_behind_a_score(edit: Edit, cause: str, differences: list[str]) -> None:
    found = changes_after(shift(0.01, subset="long"), edit)

    assert [row.causes for row in found.scores] == [cause]
    assert [row.differences for row in found.origins] == differences


def test_an_untrained_student_may_be_another_model() -> None:
    """That of a trained one is what came out of its training, and says nothing of its own."""
    engine = {"kind": "transformers", "model": "m2"}
    found = changes_after(shift(0.01), set_all("scores", {}, engine=engine))

    assert {row.subset: row.causes for row in found.scores} == {
        **{"long": "nothing on record", "random": "nothing on record", "none": "another model"},
    }


def test_edited_selector_with_the_same_rows() -> None:
    found = changes_after(set_all("subsets", {"subset": "long"}, spec={"params": {"scale": 61}}))

    assert [(row.what, row.result) for row in found.origins] == [("long", "the same rows")]
    assert found.scores == ()


def test_scores_that_came_and_went_are_not_compared() -> None:
    def edit(inputs: Inputs) -> Inputs:
        kept = [s for s in inputs.scores if (s.subset, s.seed) != ("long", 3)]
        new = [replace(s, subset="topics") for s in kept if s.subset == "long"]
        return replace(inputs, scores=kept + new)

    found = changes_after(edit)

    assert [
        (row.change, row.subset, row.seeds, row.num_scores, row.is_whole) for row in found.runs
    ] == [("added", "topics", "0, 1, 2", 3, True), ("removed", "long", "3", 1, False)]
    assert (found.num_scores, found.scores) == (8, ())
    assert "3 scores added; 1 score removed" in say_changes(found)


def test_comparison_of_one_report_only_is_no_changed_verdict() -> None:
    found = changes_after(topics="below")

    assert [(row.name, row.before, row.now) for row in found.verdicts] == [
        ("topics", "not asked", "below")
    ]
    assert "none of 1 verdict" in say_changes(found)


def test_comparison_may_move_and_keep_its_verdict() -> None:
    before = summary_of(make_inputs())
    now = replace(before, effects=[replace(before.effects[0], difference=0.09)])

    found = compare_summaries(before, now)

    assert found.verdicts == ()
    assert "none of 1 verdict, 1 with another difference." in say_changes(found)


def test_scores_of_one_seed_are_no_averages() -> None:
    whole = make_inputs()
    before = replace(whole, scores=[score for score in whole.scores if score.seed == 0])
    now = shift(0.3, subset="long")(before)

    found = compare_summaries(summary_of(before), summary_of(now))

    assert [(row.basis, row.verdict) for row in found.scores] == [("questions", "above")]
    assert "1 of 3 scores changed (1 by more than chance)" in say_changes(found)


def pair(before: float, now: float, **both: Any) -> tuple[KeptScore, KeptScore]:
    score = replace(summary_of(make_inputs()).scores[0], standard_error=0.03, num_questions=200)
    return replace(score, accuracy=before, **both), replace(score, accuracy=now, **both)


def test_interval_of_a_change_has_the_degrees_of_the_fewest_questions() -> None:
    """Scipy's t interval and p value with 30 degrees; the other seed has 200 questions."""
    pairs = [pair(0.4, 0.5, num_questions=31), pair(0.4, 0.5)]

    found, _ = measure_change(pairs, is_asked_alike=False)

    error = 0.03 * 2**0.5
    assert found.interval == pytest.approx(stats.t.interval(0.95, 30, loc=0.1, scale=error))
    assert found.p_value == pytest.approx(2 * stats.t.sf(0.1 / error, 30))


def test_changes_are_corrected_over_all_that_changed() -> None:
    """Holm: the smaller of two p values is doubled; sides of several seeds have their spread."""
    found = changes_after(shift(-0.2, subset="long"), shift(0.004, 0.002, subset="random"))

    raw = {}
    inputs = make_inputs()
    for subset, by in (("long", -0.2), ("random", 0.004)):
        raw[subset] = stats.ttest_1samp([by + 0.002 * seed for seed in SEEDS], 0).pvalue
    shown = {row.subset: row for row in found.scores}
    assert shown["long"].p_value == pytest.approx(2 * raw["long"])
    assert shown["random"].p_value == pytest.approx(raw["random"])
    before = [s.accuracy for s in inputs.scores if s.subset == "long"]
    assert shown["long"].before_error == pytest.approx(stats.sem(before))


@pytest.mark.parametrize(
    ("pairs", "alike", "basis", "error"),
    [
        ([pair(0.4, 0.5), pair(0.4, 0.52), pair(0.4, 0.54)], True, "seeds", 0.0115),
        # Other questions: three seeds say nothing about the luck of their choice.
        ([pair(0.4, 0.5), pair(0.4, 0.52), pair(0.4, 0.54)], False, "questions", 0.0424),
        # One question more at every seed is no spread, and no proof.
        ([pair(0.5, 0.75)] * 3, True, "questions", 0.0424),
        ([pair(0.4, 0.5)], True, "questions", 0.0424),
        ([pair(0.4, 0.5, num_questions=20)], True, "questions", None),
        ([pair(0.0, 1.0, standard_error=0.0)], True, "questions", None),
        ([pair(0.0, 1.0, standard_error=None)], True, "questions", None),
    ],
)
def test_what_a_change_is_tested_over(
    pairs: list[Any], alike: bool, basis: str, error: float | None
) -> None:
    found, over = measure_change(pairs, is_asked_alike=alike)

    assert over == basis
    assert found.standard_error == (None if error is None else pytest.approx(error, abs=1e-4))
    assert (found.p_value is None) == (error is None)


def keep_draw(rows: list[str]) -> KeptSubset:
    names: Any = {"pool": "p", "teacher": "t", "subset": "s", "seed": 0, "made": ""}
    return KeptSubset(**names, size=len(rows), **digest_ids(rows))


def test_share_of_rows_from_samples_of_large_subsets() -> None:
    draw = rng("ids")
    rows = [f"{draw.getrandbits(128):032x}" for _ in range(20_000)]
    old, now = (keep_draw(part) for part in (rows[:12_000], rows[8_000:]))

    assert len(old.some_ids.split()) == KEPT_IDS
    assert share_kept(old, now) == pytest.approx(1 / 3, abs=0.05)
    # A few rows that were picked from many: too few of them lie among the smallest ids.
    assert share_kept(old, keep_draw(rows[:200])) is None


@pytest.mark.parametrize(
    ("summary", "study", "message"),
    [
        (None, "x", "does not exist .* give the folder of a finished report"),
        ({}, "x", "is not the summary of a report"),
        ({"study": "y", "version": 1}, "x", "is a report of study 'y', but this study is 'x'"),
        ({"study": "x"}, "x", "has no version, but 2 is needed: .* rebuild that report"),
        ({"study": "x", "version": 9}, None, "has version 9, but 2 is needed"),
    ],
)
def test_reports_that_cannot_be_compared(
    tmp_path: Path, summary: dict[str, Any] | None, study: str | None, message: str
) -> None:
    if summary is not None:
        write_json(tmp_path / "summary.json", summary)

    with pytest.raises(ValueError, match=message):
        read_summary(tmp_path, study)


@pytest.mark.parametrize("is_compared", [False, True])
def test_page_says_what_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], is_compared: bool
) -> None:
    """From an earlier report's folder alone; without one there is no word of it."""
    whole = make_inputs()
    before = Inputs(Study("x", Report(title="T")), whole.scores)
    build_report(before, tmp_path / "old")
    now = replace(
        shift(-0.2, subset="long")(before), study=Study("x", Report(title="T", earlier="old"))
    )
    earlier = read_summary(tmp_path / "old", "x") if is_compared else None

    build_report(now, tmp_path / "new", earlier=earlier)

    text = (tmp_path / "new" / "index.html").read_text()
    headline = json.loads((tmp_path / "new" / "summary.json").read_text())["headline"]
    assert ('id="changes"' in text) == is_compared
    assert any("(old): 4 of 9 scores changed" in line for line in headline) == is_compared
    assert (tmp_path / "new" / "tables" / "changes-scores.csv").exists() == is_compared
    compare_reports.main([str(tmp_path / "old"), str(tmp_path / "new")])
    printed = capsys.readouterr().out
    assert "4 of 9 scores changed" in printed
    assert "\n| long / system2 (s; 4 of 4 seeds) | m (think) |" in printed


def test_command_refuses_reports_of_two_studies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        write_json(tmp_path / name / "summary.json", {"study": name, "version": VERSION})

    with pytest.raises(SystemExit):
        compare_reports.main([str(tmp_path / "one"), str(tmp_path / "two")])
    assert "a report of study 'one', but this study is 'two'" in capsys.readouterr().err
