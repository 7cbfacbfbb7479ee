"""The contract of every selector, and the rule of each."""

import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from nt_pkg.annotators.length import count_steps
from nt_pkg.files.vectors import decode, encode
from nt_pkg.identity.seeds import generator, rng
from nt_pkg.microworld.teacher import write_trace
from nt_pkg.microworld.world import parse_question, pool_rows
from nt_pkg.plugins import registry as plugins
from nt_pkg.selectors._base import Candidates, idle_conditions
from nt_pkg.selectors.coverage import farthest_first
from nt_pkg.selectors.nearest import nearest_in_turns
from nt_pkg.selectors.semantic import SemanticParams, clusters_of
from nt_pkg.subsets.select import select_subset

DOMAINS = ("months", "days", "digits", "winds")
LABELS: dict[str, Callable[[int], Any]] = {
    "length": lambda n: {"num_tokens": 20 + n % 90, "num_steps": n % 7},
    "strategies": lambda n: ["a", "b", "c", "d", "e", "f"][: n % 7],
    "domain": lambda n: DOMAINS[min(n % 8, 3)],
    "agreement": lambda n: n % 3 == 0,
    "verbosity": lambda n: n % 11,
    "reference_words": lambda n: 1 + n % 5,
    "embedding": lambda n: encode(generator("test", n).normal(size=(1, 6)))[0],
}
# Of selectors that do not run without any.
PARAMS: dict[str, dict[str, Any]] = {
    "by_value": {"label": "length", "field": "num_steps"},
    "combine": {
        "quality": [{"label": "verbosity", "prefer": "lowest"}],
        "coverage": {"label": "domain"},
    },
    "stratified": {"label": "domain"},
}
CERTAIN: frozenset[str] = frozenset()  # whose rule leaves nothing to chance, ties aside
NUM = 240
every_selector = pytest.mark.parametrize("name", plugins.names("selectors"))


@dataclass(frozen=True)
class Candidate:
    """A row with its labels."""

    id: str
    labels: dict[str, Any]


def columns(given: list[Candidate], near: list[Candidate] | None = None) -> Candidates:
    """Return rows as selectors get them, with questions that they may be chosen near to."""
    ordered = sorted(given, key=lambda each: each.id)
    labels = {name: pa.array([c.labels[name] for c in ordered]) for name in ordered[0].labels}
    ids = pa.array([c.id for c in ordered])
    return Candidates(ids, labels, columns(near) if near else None)


def candidates(num: int = NUM) -> list[Candidate]:
    """Return candidates that carry all labels there are."""
    return [
        Candidate(f"{n:032x}", {label: of(n) for label, of in LABELS.items()}) for n in range(num)
    ]


NEAR = [Candidate(f"near{n}", {"embedding": LABELS["embedding"](1000 + n)}) for n in range(9)]


def pick(
    name: str, given: list[Candidate], size: int, seed: int = 0, **params: Any
) -> list[tuple[str, float]]:
    selector = plugins.plugin("selectors", name)
    rows = columns(given, NEAR)
    found = selector.select(selector.params(**(params or PARAMS.get(name, {}))), rows, size, seed)
    ids = rows.ids.take(pa.array(found.positions)).to_pylist()
    return list(zip(ids, found.scores.tolist(), strict=True))[:size]


def test_labels_cover_what_selectors_ask_for() -> None:
    """A new selector with a new annotator has to be added above."""
    for name in plugins.names("selectors"):
        assert set(needs(name)) <= set(LABELS)


def needs(name: str) -> list[str]:
    found: list[str] = plugins.plugin("selectors", name).needs(PARAMS.get(name, {}))
    return found


@every_selector
@pytest.mark.parametrize("size", [1, 7, 60])
def test_exact_size_of_different_candidates(name: str, size: int) -> None:
    given = candidates()

    ids = [row_id for row_id, _ in pick(name, given, size)]

    assert len(ids) == len(set(ids)) == size
    assert set(ids) <= {each.id for each in given}


@every_selector
def test_scores_are_finite(name: str) -> None:
    assert all(math.isfinite(score) for _, score in pick(name, candidates(), 60))


@every_selector
def test_same_seed_same_choice_whatever_the_order_and_the_shards(name: str) -> None:
    traces, labels = inputs(NUM)
    near = near_table()
    params = PARAMS.get(name, {})
    expected = select_subset(name, params, 50, 0, traces, labels, near)

    for num_shards in (1, 7):
        given = [shuffled(each, num_shards) for each in (traces, *labels.values())]
        tables = dict(zip(labels, given[1:], strict=True))
        others = {key: shuffled(each, num_shards) for key, each in near.items()}
        assert select_subset(name, params, 50, 0, given[0], tables, others) == expected


@every_selector
def test_another_seed_is_another_choice(name: str) -> None:
    one, other = (dict(pick(name, candidates(), 40, seed)) for seed in (0, 1))

    assert (set(one) == set(other)) is (name in CERTAIN)


@every_selector
def test_smaller_sizes_are_prefixes(name: str) -> None:
    largest = pick(name, candidates(), 60)

    for size in (1, 2, 30, 59):
        assert pick(name, candidates(), size) == largest[:size]


@every_selector
def test_selector_sees_only_the_labels_it_asks_for(name: str) -> None:
    given = candidates()
    fewer = [Candidate(c.id, {key: c.labels[key] for key in needs(name)}) for c in given]

    assert pick(name, fewer, 30) == pick(name, given, 30)


def inputs(num: int, **bad: dict[int, str]) -> tuple[pa.Table, dict[str, pa.Table]]:
    """Return traces and annotations of `num` candidates.

    Args:
        num: rows.
        bad: position -> status, for `traces` and for annotators.
    """
    return tables(candidates(num), **bad)


def tables(given: list[Candidate], **bad: dict[int, str]) -> tuple[pa.Table, dict[str, pa.Table]]:
    """Return traces and annotations of candidates, as they are stored."""

    def table(name: str, **values: list[str]) -> pa.Table:
        statuses = [bad.get(name, {}).get(n, "ok") for n in range(len(given))]
        return pa.table({"id": [c.id for c in given], "status": statuses, **values})

    labels = {
        name: table(name, value=[json.dumps(c.labels[name]) for c in given])
        for name in given[0].labels
    }
    return table("traces"), labels


def near_table() -> dict[str, pa.Table]:
    """Return the labels of the questions that rows may be chosen near to."""
    values = [json.dumps(c.labels["embedding"]) for c in NEAR]
    columns = {"id": [c.id for c in NEAR], "status": ["ok"] * len(NEAR), "value": values}
    return {"embedding": pa.table(columns)}


def shuffled(table: pa.Table, num_shards: int) -> pa.Table:
    """Return the rows in another order, from several shards."""
    order = list(range(len(table)))
    rng("test", num_shards, *table.column_names).shuffle(order)
    shards = [table.take(order[shard::num_shards]) for shard in range(num_shards)]
    return pa.concat_tables(shards)


def test_too_few_rows_say_why_traces_are_incomplete() -> None:
    traces, labels = inputs(30, traces=dict.fromkeys(range(27), "incomplete") | {29: "failed"})
    reasons = [*["no reasoning"] * 27, None, None, "refused"]
    traces = traces.append_column("error", pa.array(reasons))

    with pytest.raises(ValueError, match="2 rows of 2 candidates") as caught:
        select_subset("random", {}, 3, 0, traces, labels)

    assert "1 trace failed, 27 trace incomplete; the traces: 27 no reasoning, 1 refused" in str(
        caught.value
    )


@every_selector
def test_too_few_rows_are_an_error(name: str) -> None:
    traces, labels = inputs(30)

    with pytest.raises(ValueError, match="31 were asked for: lower `size`") as caught:
        select_subset(name, PARAMS.get(name, {}), 31, 0, traces, labels, near_table())

    assert f"selector {name} found" in str(caught.value)
    assert "(30 traces; unusable: none)" in str(caught.value)


@every_selector
def test_subset_rows(name: str) -> None:
    traces, labels = inputs(NUM)

    rows, counts = select_subset(name, PARAMS.get(name, {}), 20, 3, traces, labels, near_table())
    counts = {key: value for key, value in counts.items() if key not in ("counts", "conditions")}

    assert [row["rank"] for row in rows] == list(range(20))
    assert [(r["id"], r["score"]) for r in rows] == pick(name, candidates(), 20, 3)
    assert counts == {"num_traces": NUM, "num_candidates": NUM, "unusable": {}}


def test_unusable_rows_are_left_out_and_counted() -> None:
    bad_traces = {0: "failed", 1: "incomplete"}
    traces, labels = inputs(10, traces=bad_traces, length={0: "skipped", 2: "failed"})

    rows, counts = select_subset("long", {}, 7, 0, traces, labels)

    assert {row["id"] for row in rows} == set(traces["id"].to_pylist()[3:])
    assert counts["unusable"] == {
        "annotation length failed": 1,
        "trace failed": 1,
        "trace incomplete": 1,
    }
    with pytest.raises(ValueError, match=r"found 7 rows of 7 candidates.* 1 trace failed,"):
        select_subset("long", {}, 8, 0, traces, labels)


def test_labels_that_are_not_asked_for_do_not_matter() -> None:
    traces, labels = inputs(10)
    del labels["length"]

    assert len(select_subset("random", {}, 10, 0, traces, labels)[0]) == 10


def test_labels_of_other_rows_are_refused() -> None:
    traces, labels = inputs(10)

    with pytest.raises(ValueError, match="annotation length do not hold the same ids"):
        select_subset("long", {}, 1, 0, traces, {"length": labels["length"][1:]})


def test_labels_of_several_kinds_are_refused() -> None:
    traces, labels = inputs(2)
    labels["domain"] = labels["domain"].set_column(2, "value", pa.array(['"law"', "3"]))

    with pytest.raises(ValueError, match="annotation domain mixes labels of several kinds"):
        select_subset("topics", {}, 1, 0, traces, labels)


def test_no_usable_row_is_an_error() -> None:
    traces, labels = inputs(1, traces={0: "failed"})

    with pytest.raises(ValueError, match="found 0 rows of 0 candidates"):
        select_subset("long", {}, 1, 0, traces, labels)


def test_labels_may_change_their_form_from_chunk_to_chunk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A chunk of empty lists, or of whole numbers, has another type than the rest."""
    traces, labels = inputs(NUM)
    expected = select_subset("strategies", {}, 50, 0, traces, labels)

    monkeypatch.setattr("nt_pkg.subsets.select._CHUNK_ROWS", 1)

    assert select_subset("strategies", {}, 50, 0, traces, labels) == expected


def test_label_with_half_an_emoji_does_not_stop_a_selection() -> None:
    """An earlier version stored it."""
    traces, labels = inputs(NUM)
    values = labels["domain"]["value"].to_pylist()
    labels["domain"] = labels["domain"].set_column(2, "value", pa.array(['"\\ud83d"', *values[1:]]))

    rows, _ = select_subset("topics", {}, 5, 0, traces, labels)

    assert len(rows) == 5


# The rule of each.


def assert_share(count: int, num: int, share: float) -> None:
    """Fail if a binomial count is more than four standard deviations off."""
    assert abs(count - num * share) < 4 * math.sqrt(num * share * (1 - share)) + 1e-9, (
        count / num,
        share,
    )


def test_random_is_uniform() -> None:
    """Every row equally often over the seeds, and pairs without a bond."""
    given = candidates(20)
    counts = Counter(row_id for seed in range(2000) for row_id, _ in pick("random", given, 5, seed))

    assert len(counts) == 20
    for count in counts.values():
        assert_share(count, 2000, 5 / 20)


@pytest.mark.parametrize(("tokens", "power"), [(2500, 2.5), (2500, 1.0), (4000, 2.5), (1, 2.5)])
def test_long_keeps_with_the_probability_of_the_paper(tokens: int, power: float) -> None:
    """(l / C) ** tau: rows over C are kept for sure, so they show how many of `tokens` are."""
    num = 4000
    kinds = {f"short{n}": tokens for n in range(num)} | {f"long{n}": 5000 + n for n in range(num)}
    given = [Candidate(i, {"length": {"num_tokens": t}}) for i, t in kinds.items()]
    share = (tokens / 5000) ** power

    # Kept rows come first and in random order; a quarter of them is a sample of them.
    chosen = pick("long", given, num // 4, power=power)

    shorts = sum(row_id.startswith("short") for row_id, _ in chosen)
    assert_share(shorts, len(chosen), share / (1 + share))
    assert {score for i, score in chosen if i.startswith("long")} == {1.0}
    assert all(score == pytest.approx(share) for i, score in chosen if i.startswith("short"))


def test_long_fills_up_with_those_nearest_to_being_kept() -> None:
    given = [Candidate(f"{n}", {"length": {"num_tokens": 5000 if n < 5 else n}}) for n in range(60)]

    ids = [row_id for row_id, _ in pick("long", given, 60)]

    assert set(ids[:5]) == {"0", "1", "2", "3", "4"}
    assert len(set(ids)) == 60
    ranks = {int(row_id): rank for rank, row_id in enumerate(ids)}
    assert sum(ranks[n] for n in range(50, 60)) < sum(ranks[n] for n in range(5, 15))


def test_long_never_prefers_a_trace_without_tokens() -> None:
    given = [Candidate(f"{n}", {"length": {"num_tokens": n % 2}}) for n in range(10)]

    ids = [int(row_id) for row_id, _ in pick("long", given, 10)]

    assert [n % 2 for n in ids] == [1] * 5 + [0] * 5


def test_topics_have_equal_shares_until_one_runs_out() -> None:
    """Domains of 30, 30, 30 and 150 rows."""
    counts = Counter(LABELS["domain"](n) for n in range(NUM))
    assert counts == {"months": 30, "days": 30, "digits": 30, "winds": 150}

    for size in (1, 40, 119, 120):
        ids = {row_id for row_id, _ in pick("topics", candidates(), size)}
        chosen = Counter(c.labels["domain"] for c in candidates() if c.id in ids)
        assert max(chosen.values()) - min(chosen[d] for d in DOMAINS) <= 1
    ids = {row_id for row_id, _ in pick("topics", candidates(), 200)}
    chosen = Counter(c.labels["domain"] for c in candidates() if c.id in ids)
    assert chosen == {"months": 30, "days": 30, "digits": 30, "winds": 110}


def test_topics_are_uniform_inside_a_domain() -> None:
    given = [Candidate(f"{n}", {"domain": "ab"[n % 2]}) for n in range(20)]
    counts = Counter(i for seed in range(1500) for i, _ in pick("topics", given, 6, seed))

    for count in counts.values():
        assert_share(count, 1500, 3 / 10)


def test_strategies_favour_rich_and_dense_traces() -> None:
    """Too few, too many, sparse, both: each with the rate to the power of its faults."""
    num = 3000
    kinds = {  # strategies, steps, probability
        "good": (6, 6, 1.0),
        "edge": (8, 8, 1.0),
        "few": (4, 4, 0.2),
        "many": (9, 9, 0.2),
        "sparse": (6, 7, 0.2),
        "both": (4, 5, 0.04),
    }
    given = [
        Candidate(
            f"{kind}-{n}",
            {"strategies": [f"s{i}" for i in range(count)], "length": {"num_steps": steps}},
        )
        for kind, (count, steps, _) in kinds.items()
        for n in range(num)
    ]
    chosen = pick("strategies", given, num, rate=0.2, sparse_share=0.5)
    counts = Counter(row_id.partition("-")[0] for row_id, _ in chosen)
    total = sum(probability for _, _, probability in kinds.values())

    for kind, (_, _, probability) in kinds.items():
        assert_share(counts[kind], len(chosen), probability / total)
        scores = {score for i, score in chosen if i.startswith(kind)}
        assert all(score == pytest.approx(probability) for score in scores)


def of_micro_world(num: int) -> list[Candidate]:
    """Return traces of the micro-world's teacher."""
    found = []
    for number, row in enumerate(pool_rows(num, 0)):
        problem = parse_question(str(row["question"]))
        reasoning, _, strategies = write_trace(problem, rng("trace", number))
        steps = {"num_steps": count_steps(reasoning)}
        found.append(Candidate(f"{number}", {"strategies": [*strategies], "length": steps}))
    return found


def of_a_reasoning_model(num: int) -> list[Candidate]:
    """Return traces of 40 to 400 sentences with 3 to 9 strategies, as those of DeepSeek-R1 have."""
    draw = rng("long traces")
    return [
        Candidate(
            f"{number}",
            {
                "strategies": [f"s{kind}" for kind in range(draw.randint(3, 9))],
                "length": {"num_steps": draw.randint(40, 400)},
            },
        )
        for number in range(num)
    ]


@pytest.mark.parametrize("pool", [of_micro_world(2000), of_a_reasoning_model(2000)])
@pytest.mark.parametrize("share", [0.5, 0.3])
def test_density_decides_whatever_a_step_is(pool: list[Candidate], share: float) -> None:
    """All these traces have fewer strategies than steps, which the paper calls a low density."""
    rows = columns(pool)
    steps = rows.label("length", "num_steps")
    density = rows.num_distinct("strategies") / steps
    assert np.all(density < 1)

    selector = plugins.plugin("selectors", "strategies")
    params = {"r_min": 0, "r_max": None, "rate": 0.1, "sparse_share": share}
    picks = selector.select(selector.params(**params), rows, 200, 0)

    count = picks.conditions["few strategies per step"]
    assert 0.5 * share < count / len(pool) <= share
    sparse = picks.scores < 1
    assert sparse.mean() < share / 2
    assert density[picks.positions[sparse]].max() < density[picks.positions[~sparse]].min()


def test_density_can_be_left_out() -> None:
    picks = pick("strategies", of_a_reasoning_model(500), 400, r_min=0, r_max=None, sparse_share=0)

    assert {score for _, score in picks} == {1.0}


@pytest.mark.parametrize(
    ("name", "params", "labels", "condition"),
    [
        ("models_agree", {}, {"agreement": True}, "the models agree"),
        ("models_disagree", {}, {"agreement": False}, "the models disagree"),
        ("difficulty_diversity", {}, {"agreement": False, "domain": "a"}, "the models disagree"),
        ("verbosity", {"level": "medium"}, {"verbosity": 5}, "a verbosity of 5"),
        (
            "easy_to_verify",
            {},
            {"reference_words": 3},
            "a reference answer of at most 3 words",
        ),
        (
            "strategies",
            {"r_max": 99},
            {"strategies": ["a", "b"], "length": {"num_steps": 3}},
            "at most 4 strategies",
        ),
    ],
)
def test_a_condition_that_decides_nothing_is_said(
    name: str,
    params: dict[str, Any],
    labels: dict[str, Any],
    condition: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Of 300 rows none but 2 are of another kind; of 240 with all labels, many are."""
    others = {
        "agreement": not labels.get("agreement"),
        "verbosity": 0,
        "reference_words": 9,
        "strategies": [f"s{number}" for number in range(7)],
    }
    odd = {**labels, **{key: value for key, value in others.items() if key in labels}}
    given = [Candidate(f"{n}", odd if n < 2 else labels) for n in range(300)]

    _, counts = select_subset(name, params, 2, 0, *tables(given))

    assert counts["conditions"][condition] == 298
    line = f"selector {name} has a condition that decides next to nothing: {condition}: true of 298"
    assert f"{line} of 300 rows" in caplog.text
    caplog.clear()
    select_subset(name, params, 2, 0, *inputs(NUM))
    assert condition not in caplog.text


@pytest.mark.parametrize(
    ("count", "is_idle"), [(0, True), (99, True), (100, False), (9900, False), (9901, True)]
)
def test_idle_is_under_one_per_cent_or_over_ninety_nine(count: int, is_idle: bool) -> None:
    assert bool(idle_conditions({"x": count}, 10_000)) == is_idle


def test_strategies_count_each_strategy_once() -> None:
    spellings = ["Verifying", "self-verification", "Double checks", "verify", "verify"]
    labels = {"strategies": spellings, "length": {"num_steps": 1}}

    [(_, score)] = pick("strategies", [Candidate("x", labels)], 1, rate=0.2)

    assert score == pytest.approx(0.2)


@pytest.mark.parametrize(("name", "agree"), [("models_agree", True), ("models_disagree", False)])
def test_agreement_decides(name: str, agree: bool) -> None:
    """All of the right kind can be had, and none of the other."""
    right = {c.id for c in candidates() if c.labels["agreement"] is agree}

    assert {row_id for row_id, _ in pick(name, candidates(), NUM)} == right


def test_agreement_samples_are_uniform() -> None:
    given = [Candidate(f"{n}", {"agreement": n % 2 == 0}) for n in range(20)]
    counts = Counter(i for seed in range(1500) for i, _ in pick("models_agree", given, 3, seed))

    assert len(counts) == 10
    for count in counts.values():
        assert_share(count, 1500, 3 / 10)


@pytest.mark.parametrize(
    ("level", "expected"),
    [("low", [0] * 22 + [1] * 8), ("medium", [5] * 22), ("high", [10] * 21 + [9] * 9)],
)
def test_verbosity_starts_at_its_end_of_the_scale(level: str, expected: list[int]) -> None:
    assert [score for _, score in pick("verbosity", candidates(), 30, level=level)] == expected


def test_easy_to_verify_takes_short_reference_answers() -> None:
    given = candidates()
    short = {c.id for c in given if c.labels["reference_words"] <= 2}

    assert {row_id for row_id, _ in pick("easy_to_verify", given, NUM, max_words=2)} == short


@pytest.mark.parametrize("salt", [0, 1, 2])
def test_a_sham_knows_nothing_of_a_row(salt: int) -> None:
    """Half of the rows have its label, and half of those with any other label, at every seed."""
    given = candidates(3000)
    halves = {
        frozenset(i for i, _ in pick("sham", given, 3000, seed, salt=salt)) for seed in (0, 1)
    }

    (half,) = halves
    assert_share(len(half), 3000, 0.5)
    for kind in ("agreement", "verbosity", "domain"):
        for value in {each.labels[kind] for each in given}:
            alike = [each.id in half for each in given if each.labels[kind] == value]
            assert_share(sum(alike), len(alike), 0.5)


def test_shams_are_independent_of_each_other() -> None:
    one, other = (
        {row_id for row_id, _ in pick("sham", candidates(3000), 3000, salt=salt)} for salt in (0, 1)
    )

    assert_share(len(one & other), len(one), 0.5)


def test_difficulty_diversity_takes_hard_rows_of_every_domain_alike() -> None:
    """Two thirds of the domains' 30, 30, 30 and 150 rows are hard."""
    rows = {c.id: c.labels for c in candidates()}

    for size, expected in ((80, [20] * 4), (100, [20, 20, 20, 40])):
        chosen = [rows[i] for i, _ in pick("difficulty_diversity", candidates(), size)]
        assert not any(labels["agreement"] for labels in chosen)
        assert sorted(Counter(labels["domain"] for labels in chosen).values()) == expected


def points(num: int, dimensions: int, *seed: object) -> Any:
    """Return random vectors as a selector sees them; some stand there twice, on small scales."""
    given = generator("points", num, dimensions, *seed).normal(size=(num, dimensions)).round(1)
    given[num // 2 : num // 2 + num // 8] = given[: num // 8]
    return decode("embedding", pa.array(encode(given)))


def distances(vectors: Any) -> Any:
    """Return the distance of every two vectors of length 1."""
    scaled = vectors / np.linalg.norm(vectors.astype(float), axis=1, keepdims=True)
    return np.sqrt(np.maximum(2 - 2 * (scaled @ scaled.T).round(12), 0))


@pytest.mark.parametrize(("num", "dimensions"), [(60, 2), (500, 5), (500, 24), (3000, 96)])
def test_coverage_takes_the_farthest_row_each_time(
    num: int, dimensions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against all distances of all rows; many are equal where there are few dimensions."""
    vectors = points(num, dimensions)
    apart = distances(vectors)
    size = min(num, 300)
    in_large_blocks, _ = farthest_first(vectors, 7, size)
    for name, value in {"_BLOCK_ROWS": 64, "_BLOCK_PICKS": 16, "_FIRST_ROWS": 3}.items():
        monkeypatch.setattr(f"nt_pkg.selectors.coverage.{name}", value)

    picks, cosines = farthest_first(vectors, 7, size)

    assert picks.tolist() == in_large_blocks.tolist()
    assert picks[0] == 7
    assert len(set(picks.tolist())) == len(picks)
    for count in range(1, len(picks)):
        nearest = apart[:, picks[:count]].min(axis=1)
        nearest[picks[:count]] = -1
        assert nearest[picks[count]] == pytest.approx(nearest.max(), abs=1e-3)
        assert cosines[count] == pytest.approx(1 - nearest[picks[count]] ** 2 / 2, abs=1e-6)


def test_coverage_is_at_most_twice_as_far_as_the_best_choice() -> None:
    for case in range(30):
        vectors = points(11, 3, case)
        apart = distances(vectors)
        for size in (1, 2, 3, 4):
            picks, _ = farthest_first(vectors, case % 11, size)
            best = min(
                apart[:, list(chosen)].min(axis=1).max() for chosen in combinations(range(11), size)
            )
            assert apart[:, picks].min(axis=1).max() <= 2 * best + 1e-9


def test_coverage_reaches_every_cluster_and_takes_the_smaller_id_of_equals() -> None:
    """Five directions of 20 equal rows: one of each, the first of its rows after the first pick."""
    corners = encode(np.eye(5))
    given = [Candidate(f"{n:03}", {"embedding": corners[n // 20]}) for n in range(100)]

    found = pick("coverage", given, 7)

    clusters = [int(row_id) // 20 for row_id, _ in found]
    assert sorted(clusters[:5]) == [0, 1, 2, 3, 4]
    assert all(int(row_id) % 20 == 0 for row_id, _ in found[1:5])
    assert [score for _, score in found] == pytest.approx([2, *[math.sqrt(2)] * 4, 0, 0])


def test_coverage_refuses_labels_that_are_no_vectors() -> None:
    given = [Candidate("a", {"embedding": 3}), Candidate("b", {"embedding": 4})]

    with pytest.raises(ValueError, match="annotation embedding holds no vectors"):
        pick("coverage", given, 1)


def test_nearest_takes_turns_and_no_row_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand, on rows of which some are equal, with few and with many neighbours kept."""
    vectors, near = points(200, 5), points(7, 5, "near")
    near[5] = near[4]  # both want the same rows
    cosine = 1 - distances(np.concatenate((near, vectors)))[:7, 7:] ** 2 / 2
    expected: list[int] = []
    for pick in range(150):
        wanted = np.lexsort((np.arange(200), -cosine[pick % 7].round(6)))
        expected.append(next(row for row in wanted.tolist() if row not in expected))

    for settings in ({}, {"_BLOCK_ROWS": 16, "_SPARE": 1}, {"_MOST_KEPT": 7}):
        with monkeypatch.context() as patch:
            for name, value in settings.items():
                patch.setattr(f"nt_pkg.selectors.nearest.{name}", value)
            positions, cosines = nearest_in_turns(vectors, near, 150)
        assert positions.tolist() == expected
        assert cosines == pytest.approx([cosine[n % 7, row] for n, row in enumerate(expected)])
    assert nearest_in_turns(vectors, near, 200)[0].tolist()[:150] == expected


def test_nearest_leaves_out_questions_without_a_vector() -> None:
    traces, labels = inputs(NUM)
    near = near_table()["embedding"]
    statuses = ["failed", *["ok"] * (len(NEAR) - 1)]
    near = near.set_column(1, "status", pa.array(statuses))

    rows, counts = select_subset("nearest", {}, 20, 0, traces, labels, {"embedding": near})

    assert counts["counts"] == {"num_near": len(NEAR) - 1}
    assert counts["unusable_near"] == {"annotation embedding failed": 1}
    fewer = {"embedding": near.slice(1)}
    assert rows == select_subset("nearest", {}, 20, 0, traces, labels, fewer)[0]
    with pytest.raises(ValueError, match="no question of the `near` pool has labels"):
        select_subset("nearest", {}, 20, 0, traces, labels, {"embedding": near.slice(0, 1)})


def clustered(num: int, noise: int) -> tuple[Any, Any]:
    """Return vectors of three clusters of very different size, and noise; and whose they are."""
    draw = generator("clustered", num, noise)
    who = np.repeat([0, 1, 2, -1], [num * 6 // 10, num * 3 // 10, num // 10, noise])
    centres = np.concatenate((np.eye(12)[:3], np.zeros((1, 12))))
    spread = np.where(who == -1, 1.0, 0.05)[:, None]
    return np.array(encode(centres[who] + spread * draw.normal(size=(len(who), 12)))), who


def test_semantic_finds_clusters_and_noise() -> None:
    """Of a sample of a third, to which the other rows are added."""
    texts, who = clustered(1200, 150)
    sample = np.sort(generator("sample").permutation(len(who))[:450])

    found = clusters_of(
        decode("embedding", pa.array(texts)),
        sample,
        SemanticParams(components=8, min_share=0.06, noise="apart"),
    )

    names = {int(np.bincount(found[who == n] + 1).argmax()) - 1 for n in range(3)}
    assert names == {0, 1, 2} == set(found[who >= 0].tolist()) - {-1}
    for cluster in range(3):
        assert np.bincount(found[who == cluster] + 1).max() / (who == cluster).sum() > 0.97
    assert (found[who == -1] == -1).mean() > 0.5  # some of it lies at the edge of a cluster


def test_semantic_finds_clusters_of_a_small_pool() -> None:
    """The least of a cluster is a fiftieth of a small sample: the third has 12 rows of 120."""
    texts, who = clustered(120, 0)

    found = clusters_of(
        decode("embedding", pa.array(texts)), np.arange(120), SemanticParams(components=8)
    )

    assert (who == 2).sum() == 12
    assert len(set(found[who == 2].tolist())) == 1
    assert not set(found[who == 2].tolist()) & set(found[who != 2].tolist())


def test_semantic_lets_rows_of_no_cluster_join_the_nearest() -> None:
    """Rows of a cluster stay where they are, and the others go where their nearest of these is."""
    texts, who = clustered(1200, 150)
    vectors = decode("embedding", pa.array(texts))
    sample = np.sort(generator("sample").permutation(len(who))[:450])
    how = {
        "components": 12,
        "min_share": 0.06,
    }  # all of them, so that distances are those of cosines

    apart = clusters_of(vectors, sample, SemanticParams(**how, noise="apart"))
    joined = clusters_of(vectors, sample, SemanticParams(**how))

    assert set(joined.tolist()) == {0, 1, 2}
    assert (apart == -1).any()
    # Whatever joined, the sampled rows of a cluster are its own.
    inside = sample[apart[sample] != -1]
    assert (joined[inside] == apart[inside]).all()
    unit = vectors / np.linalg.norm(vectors.astype(float), axis=1, keepdims=True)
    outside = np.flatnonzero(apart == -1)
    nearest = inside[np.argmax(unit[outside] @ unit[inside].T, axis=1)]
    assert (joined[outside] == joined[nearest]).mean() > 0.97  # but for rounding


def test_semantic_takes_as_many_of_each_cluster_and_noise_last() -> None:
    texts, who = clustered(400, 50)
    given = [Candidate(f"{n:03}", {"embedding": text}) for n, text in enumerate(texts.tolist())]
    params = {"components": 8, "min_share": 0.06, "noise": "apart"}

    found = pick("semantic", given, 450, **params)

    kinds = [int(who[int(row_id)]) for row_id, _ in found]
    counts = Counter(kinds[:45])
    assert [counts[n] >= 13 for n in range(3)] == [True] * 3, counts  # some noise lies at an edge
    assert Counter(kinds[-30:])[-1] >= 25
    scores = [score for _, score in found]
    assert scores[0] > 0
    assert scores[-1] == 0
    assert sorted(score == 0 for score in scores) == [score == 0 for score in scores]
