"""A student's answers to a benchmark, and their grades, without a model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from nt_pkg.benchmarks._questions import load_items
from nt_pkg.config.engines import Sampling
from nt_pkg.engines._base import Completion, Request
from nt_pkg.evaluation.sample_and_grade import grade_samples, sample_answers
from nt_pkg.evaluation.shards import read_answers, read_drawn
from nt_pkg.files.json_files import write_json
from nt_pkg.files.parquet import write_parquet
from nt_pkg.files.schemas import GRADES, SAMPLES

SPEC: dict[str, Any] = {
    "kind": "micro_free",
    "mode": "think",
    "repeats": 2,
    "think_words": 40,
    "sampling": {"max_tokens": 9},
}
ITEMS = load_items("micro_free", {"num_questions": 5}, None)


class Oracle:
    """Answers right, except for one question that fails and one that never stops thinking."""

    batch_size = 4

    def __init__(self) -> None:
        self.identity = {"kind": "oracle"}
        self.asked: list[Request] = []
        self.sampling: Sampling | None = None

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        self.asked.extend(requests)
        self.sampling = sampling
        return [self._one(request) for request in requests]

    def _one(self, request: Request) -> Completion:
        item = next(item for item in ITEMS if request.id.startswith(item.id))
        if item == ITEMS[0]:
            return Completion(request.id, "", 1, 0, "error", "no room")
        if item == ITEMS[1]:
            return Completion(request.id, f"<think> So {item.gold}", 1, 9, "length")
        return Completion(request.id, f"<think> hm </think> {item.gold}", 1, 5, "stop")


def sampled(tmp_path: Path, **changes: Any) -> tuple[Oracle, list[dict[str, Any]], dict[str, Any]]:
    engine = Oracle()
    tmp_path.mkdir(exist_ok=True)
    rows, drawn = sample_answers({**SPEC, **changes}, 7, ITEMS, engine, tmp_path)
    return engine, rows, drawn


def test_items_are_ordered_by_id() -> None:
    assert [item.id for item in ITEMS] == sorted(item.id for item in ITEMS)


@pytest.mark.parametrize(
    ("mode", "ending", "prefix"),
    [
        ("think", " Think carefully before answering. Use about 40 words", "<think>"),
        ("no_think", " Answer directly without thinking", ""),
        ("adaptive", " Think carefully before answering.", ""),
    ],
)
def test_requests_carry_the_mode(tmp_path: Path, mode: str, ending: str, prefix: str) -> None:
    engine, _, drawn = sampled(tmp_path, mode=mode)

    asked = {request.id: request.user for request in engine.asked}
    assert asked == {f"{i.id}#{repeat}": i.question + ending for i in ITEMS for repeat in (0, 1)}
    assert {request.forced_prefix for request in engine.asked} == {prefix}
    assert engine.sampling == Sampling(max_tokens=9)
    assert (drawn["mode"], drawn["repeats"]) == (mode, 2)
    assert drawn["sampling"] == {"temperature": 0.0, "top_p": 1.0, "max_tokens": 9}


def test_every_answer_has_a_seed_of_its_own(tmp_path: Path) -> None:
    engine, _, _ = sampled(tmp_path / "a")
    again, _, _ = sampled(tmp_path / "b")

    assert len({request.seed for request in engine.asked}) == len(engine.asked) == 10
    assert engine.asked == again.asked


def test_rows_keep_every_answer(tmp_path: Path) -> None:
    _, rows, _ = sampled(tmp_path)

    assert [(r["question_id"], r["repeat"]) for r in rows] == [
        (item.id, repeat) for item in ITEMS for repeat in (0, 1)
    ]
    assert [r["status"] for r in rows[:3]] == ["failed", "failed", "ok"]
    assert rows[0]["error"] == "no room"
    write_parquet(tmp_path / "x", SAMPLES, rows)


class Neighbours(Oracle):
    """The text of a request depends on its batch, as rounding makes that of a real model."""

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        text = " ".join(request.id for request in requests)
        return [Completion(r.id, f"<think> {text} </think>", 1, 5, "stop") for r in requests]


@pytest.mark.parametrize("num_shards", [2, 3, 4])
def test_shards_have_the_answers_of_one_job(tmp_path: Path, num_shards: int) -> None:
    """Ten answers in batches of four: every batch stays whole, also the last one of two."""
    [whole], drawn = _shards(tmp_path / "whole", 1)
    shards, others = _shards(tmp_path / "shards", num_shards)

    assert sorted(map(len, shards)) == {2: [4, 6], 3: [2, 4, 4], 4: [0, 2, 4, 4]}[num_shards]
    assert others == drawn * num_shards
    paths = [tmp_path / f"{at}.parquet" for at in range(num_shards)]
    for path, rows in zip(paths, shards, strict=True):
        write_parquet(path, SAMPLES, rows)
    assert read_answers(paths[::-1]) == whole


def _shards(folder: Path, num_shards: int) -> tuple[list[list[dict[str, Any]]], list[Any]]:
    found = []
    for at in range(num_shards):
        place = folder / str(at)
        place.mkdir(parents=True)
        engine = Neighbours()
        shard = (at, num_shards)
        found.append(sample_answers(SPEC, 7, ITEMS, engine, place, shard, engine.batch_size))
    return [rows for rows, _ in found], [drawn for _, drawn in found]


def test_shards_of_different_runs_are_no_answers_of_one(tmp_path: Path) -> None:
    """Of what is alike only the versions may differ, as an environment may between two jobs."""
    drawn = {"mode": "think", "repeats": 2, "versions": {"torch": "2.13"}}
    paths = [tmp_path / f"{at}.json" for at in range(3)]
    for path, versions in zip(paths, ({"torch": "2.13"}, {"torch": "2.12"}, {}), strict=True):
        write_json(path, {**drawn, "versions": versions})
    assert read_drawn(paths[:1] * 2) == drawn
    assert read_drawn(paths) == {**drawn, "versions": {"torch": "2.12, 2.13, none"}}

    write_json(paths[1], {**drawn, "mode": "adaptive", "sampling": {}})
    with pytest.raises(ValueError, match=r"1\.json and .*0\.json .* \(mode, sampling\): move both"):
        read_drawn(paths)


def test_prompts_are_digested(tmp_path: Path) -> None:
    digests = {
        sampled(tmp_path / str(n), **changes)[2]["prompt_digest"]
        for n, changes in enumerate([{}, {"mode": "adaptive"}, {"think_words": 50}])
    }

    assert len(digests) == 3
    assert sampled(tmp_path / "again")[2]["prompt_digest"] in digests


def test_only_what_follows_the_reasoning_is_graded(tmp_path: Path) -> None:
    """Neither the failed nor the endless answer counts, though one holds the right word."""
    _, rows, _ = sampled(tmp_path)

    grades, found = grade_samples("micro_free", "think", 2, ITEMS, rows)

    assert [grade["is_correct"] for grade in grades] == [False] * 4 + [True] * 6
    assert grades[2]["answer"] == ""
    assert found["accuracy"] == pytest.approx(3 / 5)
    assert (found["failed"], found["num_questions"], found["repeats"]) == (2, 5, 2)
    assert found["truncation_rate"] == pytest.approx(0.2)
    assert found["mean_tokens"] == pytest.approx((2 * 9 + 6 * 5) / 8)
    write_parquet(tmp_path / "x", GRADES, grades)


def test_examples_for_people(tmp_path: Path) -> None:
    _, rows, _ = sampled(tmp_path)

    _, found = grade_samples("micro_free", "think", 2, ITEMS, rows)

    assert len(found["examples"]) == 4
    assert {each["question"] for each in found["examples"]} <= {i.question for i in ITEMS}
    assert found["examples"][-1]["reasoning"] == "hm"
    assert found["examples"][-1]["is_correct"] is True


def test_missing_answer_is_not_scored_over(tmp_path: Path) -> None:
    _, rows, _ = sampled(tmp_path)

    with pytest.raises(ValueError, match="1 samples are missing"):
        grade_samples("micro_free", "think", 2, ITEMS, rows[:-1])
