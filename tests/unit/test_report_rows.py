"""What a report shows of rows: overlaps, picks, a sample of the pool, who solved which question."""

import json
import math
import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nt_pkg.config.report import Comparison
from nt_pkg.files.json_files import write_json
from nt_pkg.files.parquet import write_parquet
from nt_pkg.files.schemas import ANNOTATIONS, PROMPTS, SUBSET, TRACES
from nt_pkg.files.vectors import encode
from nt_pkg.report.browser import Block, Entry, Page, Words, render_browser
from nt_pkg.report.gains import measure_gains
from nt_pkg.report.overlaps import Draw, measure_overlaps, read_draws
from nt_pkg.report.parts._rows import HIDDEN
from nt_pkg.report.parts.solved_table import show_solved
from nt_pkg.report.parts.traces_page import show_traces
from nt_pkg.report.records import LabelMean, Question, Score, Trace
from nt_pkg.report.rows import Texts, choose_pairs, find_texts, show_rows
from nt_pkg.report.runs import Runs
from nt_pkg.report.solved import compare_questions
from nt_pkg.statistics.correlation import correlate
from tests.check_report import browse, find_browser
from tests.unit.report_rows import HOSTILE, make_pool_sample
from tests.unit.report_study import compare, make_material, make_study, make_subset, score, side

NUM_ROWS = 40
NAMES = {"pool": "p", "teacher": "t"}


def row_id(number: int) -> str:
    """Return an id."""
    return f"{number:032x}"


def write_pool(folder: Path, *, confidential: bool = False) -> Texts:
    """Write a pool of 40 rows in two shards, with traces and labels."""
    write_json(folder / "pool.json", {"pool": "p"})
    prompts = [
        {
            "id": row_id(at),
            "question": f"secret question {at}",
            "reference_answer": None,
            "second_answer": None,
            "replay": None,
            "columns": None,
            "source_row": at,
        }
        for at in range(NUM_ROWS)
    ]
    write_parquet(folder / "all.parquet", PROMPTS, prompts)
    traces, labels = [], []
    for shard in range(2):
        names = {**NAMES, "shard": str(shard), "num_shards": "2"}
        ids = range(20 * shard, 20 * shard + 20)
        told = [
            {
                "id": row_id(at),
                "status": "ok" if at else "failed",
                "reasoning": f"secret reasoning {at}",
                "answer": f"secret answer {at}",
                "prompt_tokens": 1,
                "completion_tokens": at,
                "finish_reason": "stop",
                "error": None if at else "timeout",
            }
            for at in ids
        ]
        traces.append(folder / f"traces{shard}.parquet")
        write_parquet(traces[-1], TRACES, told, names)
        for annotator, value in (("domain", '"secret domain"'), ("verbosity", "3")):
            rows = [
                {"id": row_id(at), "status": "ok", "value": value, "error": None}
                if at % 5
                else {"id": row_id(at), "status": "failed", "value": None, "error": "no number"}
                for at in ids
            ]
            labels.append(folder / f"{annotator}{shard}.parquet")
            write_parquet(labels[-1], ANNOTATIONS, rows, {**names, "annotator": annotator})
    pools = [(folder / "pool.json", folder / "all.parquet")]
    return find_texts(pools, traces, labels, ["p"] if confidential else [])


def write_draw(folder: Path, subset: str, seed: int, numbers: Sequence[int]) -> tuple[Path, Path]:
    """Write a draw of a subset whose selector likes the first of `numbers` best."""
    path = folder / f"{subset}-{seed}.parquet"
    rows = [
        {"rank": rank, "id": row_id(at), "score": -float(rank)} for rank, at in enumerate(numbers)
    ]
    write_parquet(path, SUBSET, rows)
    manifest = {**NAMES, "subset": subset, "seed": seed, "num_candidates": NUM_ROWS}
    write_json(path.with_suffix(".json"), manifest)
    return path, path.with_suffix(".json")


@pytest.fixture
def draws(tmp_path: Path) -> list[Draw]:
    """Return two seeds of two subsets."""
    return read_draws(
        [
            write_draw(tmp_path, "a", 0, [5, 3, 1, 0]),
            write_draw(tmp_path, "a", 1, [5, 3, 2, 4]),
            write_draw(tmp_path, "b", 0, [30, 1, 0, 20, 39]),
            write_draw(tmp_path, "b", 1, [5, 6, 7, 8, 9]),
        ]
    )


def test_overlaps_are_of_draws_of_one_seed_and_of_a_subset_with_its_other_draws(
    draws: list[Draw],
) -> None:
    """By hand: a and b share 2 and 1 rows at seeds 0 and 1, two draws of a share 2, of b none."""
    found = {(each.a, each.b): each for each in measure_overlaps(draws)}

    assert {pair: each.shared for pair, each in found.items()} == {
        ("a", "a"): 2,
        ("a", "b"): 1.5,
        ("b", "b"): 0,
    }
    assert found["a", "b"].jaccard == pytest.approx(1.5 / 7.5)
    assert found["a", "b"].expected == pytest.approx(4 * 5 / 40)
    assert (found["a", "b"].num_pairs, found["a", "a"].num_pairs) == (2, 1)


def test_subsets_of_other_pools_share_nothing_that_is_counted(draws: list[Draw]) -> None:
    """Equal ids in two pools are not compared."""
    moved = [replace(draws[0], pool="q"), *draws[2:]]
    assert {(each.a, each.b) for each in measure_overlaps(moved)} == {("b", "b")}


def test_picks_have_their_place_score_text_and_labels(tmp_path: Path, draws: list[Draw]) -> None:
    """Rows of one side only, at the lowest seed, with what the files say of them."""
    (pick,), sample = show_rows([("a", "b")], draws, write_pool(tmp_path), num_sampled=10)

    assert (pick.seed, pick.num_both, pick.num_only_a, pick.num_only_b) == (0, 2, 2, 3)
    only_a = {each.trace.id: each for each in pick.only_a}
    assert set(only_a) == {row_id(5), row_id(3)}
    assert (only_a[row_id(3)].rank, only_a[row_id(3)].score) == (1, -1.0)
    trace = only_a[row_id(3)].trace
    assert trace.question == "secret question 3" and trace.reasoning == "secret reasoning 3"
    assert trace.labels == {"domain": "secret domain", "verbosity": 3}
    assert "verbosity" not in only_a[row_id(5)].trace.labels
    assert only_a[row_id(5)].trace.unlabelled["verbosity"] == "no number"
    assert trace.subsets == ["a"] and only_a[row_id(5)].trace.subsets == ["a", "b"]
    assert len(sample) == len({each.id for each in sample}) == 10


def test_sample_depends_on_ids_alone_and_a_larger_one_only_adds(
    tmp_path: Path, draws: list[Draw]
) -> None:
    """Another order of the shards gives the same rows, and failed rows are among them."""
    texts = write_pool(tmp_path)
    turned = replace(texts, traces={key: paths[::-1] for key, paths in texts.traces.items()})
    small = [each.id for each in show_rows([], draws, turned, num_sampled=5)[1]]
    whole = show_rows([], draws, texts, num_sampled=1000)[1]

    assert small == [each.id for each in whole][:5]
    assert len(whole) == NUM_ROWS
    assert sorted(each.status for each in whole) == ["failed"] + ["ok"] * (NUM_ROWS - 1)


def test_a_confidential_pool_is_shown_by_ids_and_numbers_only(
    tmp_path: Path, draws: list[Draw]
) -> None:
    """Neither texts nor text labels reach the records, and so no page."""
    picks, sample = show_rows([("a", "b")], draws, write_pool(tmp_path, confidential=True))

    assert "secret" not in repr(picks) + repr(sample)
    assert any(each.labels == {"verbosity": 3} for each in sample)
    page = show_traces(make_material([], pool_sample=sample))
    assert page is not None
    written = render_browser(page, "k")
    assert "secret" not in written and HIDDEN in written and row_id(3) in written


def test_vectors_are_not_shown(tmp_path: Path, draws: list[Draw]) -> None:
    texts = write_pool(tmp_path)
    rows = [
        {"id": row_id(at), "status": "ok", "value": json.dumps(text), "error": None}
        for at, text in enumerate(encode(np.eye(NUM_ROWS)))
    ]
    names = {"pool": "p", "annotator": "embedding"}
    write_parquet(tmp_path / "vectors.parquet", ANNOTATIONS, rows, names)
    labels = {**texts.labels, ("p", None, "embedding"): [tmp_path / "vectors.parquet"]}

    _, sample = show_rows([], draws, replace(texts, labels=labels))

    assert {name for each in sample for name in each.labels} == {"domain", "verbosity"}


def test_a_row_without_its_trace_says_what_to_do(tmp_path: Path, draws: list[Draw]) -> None:
    """A subset that was chosen from other traces."""
    texts = write_pool(tmp_path)
    fewer = replace(texts, traces={key: paths[:1] for key, paths in texts.traces.items()})
    with pytest.raises(ValueError, match=r"no trace of t.*run the study again"):
        show_rows([("a", "b")], draws, fewer)


def test_pairs_are_of_comparisons_of_two_trained_subsets() -> None:
    """Untrained students, modes of one training and lists of subsets have no picks."""

    def of(a: Any, b: Any) -> Comparison:
        return Comparison(name="n", kind="difference", a={"subset": a}, b={"subset": b})

    found = choose_pairs(
        [of("a", "b"), of("a", "b"), of("a", "none"), of("a", "a"), of(["a", "c"], "b")]
    )
    assert found == [("a", "b")]


# Who solved which question.

QUESTIONS = {"q1": (1.0, 1.0), "q2": (1.0, 0.5), "q3": (0.0, 1.0), "q4": (0.5, 0.0)}


def solve(*, is_confidential: bool = False) -> Any:
    """Return who solved four questions, over two seeds of which the second solved nothing new."""
    scores = [
        score(name, "system2", seed, "think", "m", is_confidential=is_confidential)
        for name in ("a", "b")
        for seed in (0, 1)
    ]

    def answers(one: Score) -> dict[str, float]:
        return {name: shares[one.subset == "b"] for name, shares in QUESTIONS.items()}

    def said(one: Score, asked: Collection[str]) -> dict[str, str]:
        return {name: f"secret {one.subset} {name}" for name in asked}

    def questions(benchmark: str) -> dict[str, Question]:
        assert not is_confidential, "texts of a confidential benchmark were read"
        return {name: Question(f"secret text of {name}", "gold") for name in QUESTIONS}

    asked = [compare(side("a"), side("b"))]
    (found,) = compare_questions(asked, scores, answers, said, questions)
    return found


def test_questions_are_counted_by_who_solved_them() -> None:
    """More than half of the answers have to be right: at one half, a question is not solved."""
    found = solve()

    assert found.counts == {"both": 1, "only A": 1, "only B": 1, "neither": 1}
    (question,) = found.questions["only A"]
    assert (question.id, question.share_a, question.share_b) == ("q2", 1.0, 0.5)
    assert question.question == "secret text of q2"
    assert (question.answer_a, question.answer_b) == ("secret a q2", "secret b q2")


def test_a_confidential_benchmark_is_shown_by_ids_only() -> None:
    """No text is read, and the page has ids and counts."""
    found = solve(is_confidential=True)
    (page,) = (show_solved(make_material([], solved=[found])) or [])[1:]

    assert isinstance(page, Page)
    written = render_browser(page, "k")
    assert "secret" not in written and "gold" not in written
    assert HIDDEN in written and "q2" in written


# Does a score predict gain?


def test_correlation_by_hand() -> None:
    """r, ranks, Fisher's interval and p of five points, against numbers worked out by hand."""
    found = correlate([1, 2, 3, 4, 5], [2, 1, 4, 3, 5])

    assert (found.num, found.r, found.rank) == (5, pytest.approx(0.8), pytest.approx(0.8))
    z = math.atanh(0.8)
    half = 1.959964 / math.sqrt(2)
    assert found.interval == pytest.approx((math.tanh(z - half), math.tanh(z + half)), abs=1e-6)
    assert found.p_value == pytest.approx(0.104088, abs=1e-5)


def test_correlation_of_too_few_points_or_of_a_constant_says_nothing() -> None:
    """Three points have no interval, and what does not vary predicts nothing."""
    assert correlate([1, 2, 3], [1, 2, 3]).r is None
    assert correlate([1, 1, 1, 1], [1, 2, 3, 4]).interval is None


def test_fisher_interval_covers_the_truth() -> None:
    """95 % intervals of 8 normal points with r = 0.6 hold it about 95 % of the time."""
    draw = np.random.default_rng(3)
    held = 0
    for _ in range(400):
        x = draw.normal(size=8)
        y = 0.6 * x + 0.8 * draw.normal(size=8)
        low, high = correlate(x.tolist(), y.tolist()).interval or (0, 0)
        held += low <= 0.6 <= high
    assert 0.92 < held / 400 < 0.98


def test_gain_is_over_random_of_equal_size_and_sizes_of_one_selector_are_one_point() -> None:
    """Four selectors at one size and one of them at two: five subsets, four points."""
    levels = {"random-100": 0.3, "random-300": 0.5, "s1-100": 0.31, "s1-300": 0.52}
    levels |= {"s2-300": 0.54, "s3-300": 0.56, "s4-300": 0.58, "s5-999": 0.9}
    scores = [
        replace(score(name, "system2", seed, "think", "m"), accuracy=level + 0.001 * seed)
        for name, level in levels.items()
        for seed in range(3)
    ]
    subsets = [
        make_subset(
            name,
            seed,
            size=int(name.split("-")[1]),
            means={"quality": LabelMean(100 * level, 1.0, 100), "same": LabelMean(1.0, 0.0, 100)},
        )
        for name, level in levels.items()
        for seed in range(3)
    ]
    gains, predictions = measure_gains(scores, subsets, Runs(scores))

    found = {gain.subset: gain.gain for gain in gains}
    assert found == pytest.approx(
        {"s1-100": 0.01, "s1-300": 0.02, "s2-300": 0.04, "s3-300": 0.06, "s4-300": 0.08}
    )
    quality, same = predictions
    assert (quality.label, quality.num_subsets, quality.correlation.num) == ("quality", 5, 4)
    # s1 is one point, at the mean of its sizes: (41.5, 0.015).
    x, y = [41.5, 54, 56, 58], [0.015, 0.04, 0.06, 0.08]
    assert quality.correlation.r == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert same.correlation.r is None and same.p_value is None


def test_gain_of_a_choice_among_answers_is_over_a_random_choice() -> None:
    """A random selection of right answers is no random subset, and no baseline."""
    rules: dict[str, Any] = {
        "a-right": {"rule": "right"}, "b-any": {"rule": "random"}, "c-all": None
    }  # fmt: skip
    levels = dict(zip([*rules, "d-long", "e-long"], (0.6, 0.5, 0.4, 0.7, 0.8), strict=True))
    rules |= {"d-long": None, "e-long": {"rule": "right"}, "f-long": None}
    levels["f-long"] = 0.9
    scores = [
        replace(score(name, "system2", seed, "think", "m"), accuracy=level)
        for name, level in levels.items()
        for seed in range(3)
    ]
    subsets = [
        make_subset(
            name,
            selector="long" if "long" in name else "random",
            spec={
                **({"one_per_question": rule} if rule else {}),
                **({"near": "other"} if name == "f-long" else {}),
            },
        )
        for name, rule in rules.items()
    ]

    gains, _ = measure_gains(scores, subsets, Runs(scores))

    found = {gain.subset: (gain.against, round(gain.gain, 3)) for gain in gains}
    assert found == {
        "a-right": ("b-any", 0.1), "d-long": ("c-all", 0.3), "e-long": ("b-any", 0.3),
        "f-long": ("c-all", 0.5),
    }  # fmt: skip


# Pages of rows.


def make_page(entries: Sequence[Entry]) -> Page:
    """Return a page of entries with two filters."""
    words = [Words("verify", ["check", "double-check"]), Words("sum", ["a+b"], ignore_case=False)]
    return Page("n", HOSTILE, HOSTILE, entries, (("domain", HOSTILE), ("strategies", "S")), words)


def test_no_text_leaves_the_json_of_a_page() -> None:
    """Nothing hostile is in the HTML, and the data is read back as it was."""
    entry = Entry(HOSTILE, HOSTILE, {"domain": [HOSTILE]}, [Block(HOSTILE, HOSTILE)])
    written = render_browser(make_page([entry]), HOSTILE)

    assert "<img" not in written and written.count("</script>") == 2
    data = re.search(r'id="data">(.*?)</script>', written)
    assert data is not None
    (read,) = json.loads(data[1])["entries"]
    assert read["blocks"][0]["text"] == HOSTILE and read["tags"]["domain"] == [HOSTILE]


@pytest.mark.skipif(find_browser() is None, reason="needs Chromium")
def test_a_browser_shows_hostile_text_as_text(tmp_path: Path) -> None:
    """Nothing runs, nothing is fetched, strategies are marked as whole words, and search finds."""
    marked = "Check it. Checked? We double-check a+b, A+B."
    tags = {"domain": [HOSTILE], "strategies": ["verify", "sum"]}
    entries = [
        Entry(HOSTILE, HOSTILE, tags, [Block(HOSTILE, marked, marked=True), Block("x", HOSTILE)]),
        Entry("other", "", {"domain": ["d"]}, [Block("left", "l", 0), Block("right", "r", 1)]),
    ]
    written = render_browser(make_page(entries), "k")
    (tmp_path / "page.html").write_text(written)
    found = browse((tmp_path / "page.html").as_uri())
    assert found is not None
    dom, errors = found
    shown = dom[dom.index('id="entries"') : dom.index('id="more"')]

    assert errors == []
    assert "<title>owned" not in dom and "<img" not in dom
    assert unescape(re.sub(r"<[^>]*>", "", shown)).count(HOSTILE) >= 3
    assert re.findall(r"<mark[^>]*>([^<]*)<small>(\w+)", shown) == [
        ("Check", "verify"),
        ("double-check", "verify"),
        ("a+b", "sum"),
    ]
    assert "2 of 2" in dom


def test_the_sample_has_a_filter_for_labels_of_few_values() -> None:
    """Labels that are numbers or one of few texts are filters; lengths and free text are not."""
    page = show_traces(make_material([], pool_sample=make_pool_sample()))
    assert page is not None
    assert [key for key, _ in page.filters][-2:] == ["domain", "verbosity"]
    assert {each.label for each in page.words} == {"decompose", "restate", "verify"}
    assert "check" in next(each.words for each in page.words if each.label == "verify")


def test_a_filter_is_of_labels_and_a_reason_is_none() -> None:
    """Numbers that many traces share are a filter too; a missing label is one choice of it."""
    rows = make_pool_sample()
    each = replace(rows[0], labels={}, unlabelled={})
    sample = [
        *(replace(each, labels={"solve_rate": n % 4 / 4, "loss": n / 7}) for n in range(30)),
        *(replace(each, unlabelled={"solve_rate": f"reason {n}"}) for n in range(3)),
    ]

    page = show_traces(make_material([], pool_sample=sample))

    assert page is not None
    assert dict(page.filters)["solve_rate"] == "Solve rate" and "loss" not in dict(page.filters)
    seen = {value for entry in page.entries for value in entry.tags["solve_rate"]}
    assert seen == {"0", "0.25", "0.5", "0.75", "no label"}
    assert page.entries[-1].blocks[-1].text == "solve rate: none (reason 2)"


def test_words_of_the_study_mark_its_strategies() -> None:
    """Where the study searched for words, these are marked, and no synonym is."""
    material = make_material([], pool_sample=make_pool_sample())
    stated = replace(make_study(), words={"verify": ["Check"]})
    page = show_traces(replace(material, study=stated))
    assert page is not None
    (verify,) = [each for each in page.words if each.label == "verify"]
    assert (verify.words, verify.ignore_case) == (["Check"], False)


def test_a_trace_without_labels_is_shown() -> None:
    """A pool that nobody labelled."""
    bare = Trace(id="1", pool="p", teacher="t", status="ok", num_tokens=3, question="q")
    page = show_traces(make_material([], pool_sample=[bare]))
    assert page is not None and page.words == []
