"""Several answers to one question: rows of their own, of which one per question can be chosen."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from nt_pkg.annotators.agreement import stated_result
from nt_pkg.config.engines import Sampling
from nt_pkg.config.study import OnePerQuestion
from nt_pkg.cost.generation import expected_rows
from nt_pkg.engines._base import Completion, Request
from nt_pkg.export.card import Card, render
from nt_pkg.files.json_files import read_json
from nt_pkg.files.parquet import read_parquet, write_parquet
from nt_pkg.files.schemas import ANNOTATIONS, PROMPTS, SUBSET, TRACES
from nt_pkg.identity.question_id import normalised_id, question_digits, sample_id
from nt_pkg.plan.study_plan import Plan
from nt_pkg.plan.validate import load_study
from nt_pkg.prompts.samples import repeat_prompts
from nt_pkg.subsets.one_per_question import choose_answers
from nt_pkg.subsets.select import select_subset
from nt_pkg.traces.generate import generate_traces
from scripts import ingest_pool
from scripts import select_subset as select_subset_job
from tests.unit.test_config import Config


def prompts_of(ids: list[str]) -> list[dict[str, Any]]:
    return [{"id": each, "question": f"q {each[:4]}", "replay": None} for each in sorted(ids)]


def test_samples_have_ids_of_their_own_in_order_and_of_their_question() -> None:
    """Also beside answers that the pool already has, and where the last digits overflow."""
    full = "a" * 24 + "ffffffff"
    ids = [*(normalised_id(f"question {n}", copy) for n in range(20) for copy in range(3)), full]
    found = [str(row["id"]) for row in repeat_prompts(prompts_of(ids), 128)]

    assert len(set(found)) == len(ids) * 128
    assert found == sorted(found)
    assert set(ids) < set(found)
    assert {question_digits(each) for each in found} == {question_digits(each) for each in ids}
    few = [str(row["id"]) for row in repeat_prompts(prompts_of(ids), 2)]
    assert set(few) < set(found) and len(few) == 2 * len(ids)
    assert prompts_of(ids) == list(repeat_prompts(prompts_of(ids), 1))


def ingest(folder: Path, **more: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    folder.mkdir()
    spec = json.dumps({"kind": "micro", "params": {"num_rows": 30}, **more})
    files = [folder / name for name in ("all.parquet", "dropped.parquet", "pool.json")]
    given = ["--spec", spec, "--source", "--names", '{"pool":"p"}', "--out", str(files[0])]
    ingest_pool.main([*given, "--dropped", str(files[1]), "--manifest", str(files[2])])
    return list(read_parquet(files[0], PROMPTS)), read_json(files[2])


def test_a_pool_counts_rows_and_what_is_asked(tmp_path: Path) -> None:
    once, plain = ingest(tmp_path / "once")
    thrice, counted = ingest(tmp_path / "thrice", samples={"number": 3})

    assert len(once) == plain["kept"] == 30 and "samples" not in plain and "prompts" not in plain
    assert len(thrice) == counted["prompts"] == 90
    assert (counted["read"], counted["kept"], counted["samples"]) == (30, 30, 3)
    by_id = {row["id"]: row for row in thrice}
    assert [by_id[row["id"]] for row in once] == once
    assert by_id[sample_id(once[0]["id"], 2)] == {**once[0], "id": sample_id(once[0]["id"], 2)}


class Counting:
    """An engine that answers with its seed, and counts what it was asked."""

    batch_size = None

    def __init__(self) -> None:
        self.identity = {"kind": "counting"}
        self.versions: dict[str, str] = {}
        self.asked: list[str] = []

    def generate(self, requests: Any, sampling: Sampling) -> list[Completion]:
        def answer(request: Request) -> Completion:
            self.asked.append(request.id)
            return Completion(request.id, f"<think> {request.seed} </think> a", 1, 4, "stop")

        return [answer(each) for each in requests]

    def close(self) -> None:
        """Nothing was started."""


def test_samples_are_drawn_with_seeds_of_their_own_and_kept(tmp_path: Path) -> None:
    """More samples later ask for the new ones only."""
    ids = [normalised_id(f"question {n}") for n in range(3)]
    engine = Counting()
    runs = [
        generate_traces(
            list(repeat_prompts(prompts_of(ids), n)), engine, Sampling(temperature=1), tmp_path, 99
        )
        for n in (2, 4)
    ]

    assert len({row["reasoning"] for row in runs[1]}) == 12
    assert len(engine.asked) == len(set(engine.asked)) == 12
    kept = {row["id"]: row for row in runs[1]}
    assert [kept[row["id"]] for row in runs[0]] == runs[0]


def test_one_sample_changes_no_spec(demo: Config) -> None:
    before = Plan(load_study(demo))
    demo["pools"]["micro"]["samples"] = 1
    demo["subsets"]["random-300"]["one_per_question"] = None
    after = Plan(load_study(demo))

    assert after.pool_spec("micro") == before.pool_spec("micro")
    assert "samples" not in json.loads(after.pool_spec("micro"))
    assert after.subset_spec("random-300") == before.subset_spec("random-300")
    assert "one_per_question" not in json.loads(after.subset_spec("random-300"))


def sampled(demo: Config, **choice: Any) -> Config:
    """Return the study with four answers to each question, by a teacher that samples."""
    demo["pools"]["micro"]["samples"] = 4
    demo["teachers"]["micro-teacher"] = {
        "engine": "openai",
        "params": {"model": "m"},
        "sampling": {"temperature": 0.6},
        "runtime": {"server": {"base_url": "http://127.0.0.1:1/v1"}},
    }
    right = {"kind": "agreement", "params": {"against": "reference_answer"}}
    demo["annotators"]["is_right"] = right
    if choice:
        demo["subsets"]["random-300"]["one_per_question"] = choice
    return demo


def test_a_choice_needs_its_label_and_counts_in_the_spec(demo: Config) -> None:
    plain = Plan(load_study(sampled(demo)))
    study = load_study(sampled(demo, rule="right", label="is_right"))
    plan = Plan(study)

    assert plan.requires("random-300") == ["is_right"]
    assert plan.requires_near("random-300") == []
    assert "is_right" in plan.annotators("micro", "micro-teacher")
    assert json.loads(plan.pool_spec("micro"))["samples"]["number"] == 4
    assert plan.pool_spec("micro") == plain.pool_spec("micro")
    assert plan.subset_spec("random-300") != plain.subset_spec("random-300")
    assert expected_rows(study, "micro") == 4 * study.pools["micro"].params["num_rows"]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda d: d["teachers"]["micro-teacher"]["sampling"].update(temperature=0),
            "pools.micro.samples: 4 answers of teacher micro-teacher at temperature 0 are all",
        ),
        (
            lambda d: d["teachers"].update({"micro-teacher": {"engine": "micro"}}),
            "whose engine micro does not sample",
        ),
        (
            lambda d: d["subsets"]["random-300"].update(one_per_question={"rule": "right"}),
            "rule right needs `label`",
        ),
        (
            lambda d: d["subsets"]["random-300"].update(
                one_per_question={"rule": "right", "label": "nobody"}
            ),
            "subsets.random-300.one_per_question.label: unknown name 'nobody'",
        ),
        (
            lambda d: d["subsets"]["random-300"].update(
                one_per_question={"rule": "random", "label": "is_right"}
            ),
            "rule random goes by no label",
        ),
    ],
)
def test_what_cannot_be_sampled_or_chosen_is_said_before_any_job(
    demo: Config, edit: Any, message: str
) -> None:
    load_study(sampled(demo))
    edit(demo)
    with pytest.raises(ValueError, match=message):
        load_study(demo)


# Two right of three, one right, none right, and one complete answer; of question e none.
RIGHT: dict[str, list[Any]] = {
    "a": [True, True, False],
    "b": [False, True, False],
    "c": [False, False, False],
    "d": [True],
}
LENGTHS = {"a": [30, 20, 10], "b": [5, 40, 6], "c": [3, 2, 1], "d": [7]}


def make_rows(labels: dict[str, list[Any]]) -> tuple[pa.Table, dict[str, pa.Table]]:
    rows = [
        (sample_id(letter * 32, at), "ok", LENGTHS[letter][at], json.dumps(each))
        for letter, values in labels.items()
        for at, each in enumerate(values)
    ]
    rows += [(sample_id("d" * 32, 1), "failed", 1, "true"), ("e" * 32, "incomplete", 1, "true")]
    ids, status, tokens, values = map(list, zip(*reversed(rows), strict=True))
    labelled = ["ok" if each == "ok" else "skipped" for each in status]
    return (
        pa.table({"id": ids, "status": status, "completion_tokens": tokens}),
        {"mark": pa.table({"id": ids, "status": labelled, "value": values})},
    )


def choose(
    labels: dict[str, list[Any]] = RIGHT, seed: int = 0, **choice: Any
) -> tuple[list[tuple[str, int]], dict[str, Any]]:
    """Return the chosen answers, each its question and its number; and the counts."""
    traces, tables = make_rows(labels)
    found, counts = choose_answers(OnePerQuestion(**choice), seed, traces, tables)
    numbers = {sample_id(each * 32, at): (each, at) for each in "abcde" for at in range(3)}
    ids = zip(found["id"].to_pylist(), found["status"].to_pylist(), strict=True)
    assert found["id"].equals(traces["id"])
    return sorted(numbers[row_id] for row_id, status in ids if status == "ok"), counts


def test_the_shortest_right_answer_is_chosen() -> None:
    chosen, counts = choose(rule="shortest_right", label="mark")

    assert chosen == [("a", 1), ("b", 1), ("d", 0)]
    assert counts == {
        "answers": 10,
        "questions": 4,
        "chosen": 3,
        "drawn": 0,
        "without_right": 1,
        "questions_by_right": {"0": 1, "1": 2, "2": 1},
    }


def test_a_right_answer_is_drawn() -> None:
    draws = [choose(rule="right", label="mark", seed=seed) for seed in range(20)]

    assert {chosen[0] for chosen, _ in draws} == {("a", 0), ("a", 1)}
    assert all(chosen[1:] == [("b", 1), ("d", 0)] for chosen, _ in draws)
    assert all(counts["drawn"] == 1 for _, counts in draws)


def test_without_a_right_answer_any_can_be_drawn() -> None:
    rule = {"rule": "shortest_right", "label": "mark", "without_right": "draw"}
    draws = [choose(**rule, seed=seed) for seed in range(20)]

    assert {chosen[2] for chosen, _ in draws} == {("c", 0), ("c", 1), ("c", 2)}
    assert all((c["chosen"], c["without_right"], c["drawn"]) == (4, 1, 1) for _, c in draws)


def test_any_answer_is_drawn() -> None:
    draws = [choose(rule="random", seed=seed)[0] for seed in range(40)]

    assert {chosen[0] for chosen in draws} == {("a", 0), ("a", 1), ("a", 2)}
    assert all([letter for letter, _ in chosen] == list("abcd") for chosen in draws)
    assert draws[0] == choose(rule="random", seed=0)[0]


def test_the_lowest_and_the_most_frequent_label_are_chosen() -> None:
    numbers = {"a": [0.5, 0.25, 0.75], "b": [None, 3.0, 4.0], "d": [1.0]}
    assert choose(numbers, rule="lowest", label="mark")[0] == [("a", 1), ("b", 1), ("d", 0)]
    texts = {"a": ["6", "7", "7"], "b": ["x", None, None], "d": ["y"]}
    found = {choose(texts, rule="majority", label="mark", seed=s)[0][0] for s in range(20)}
    assert found == {("a", 1), ("a", 2)}
    assert choose(texts, rule="majority", label="mark")[0][1:] == [("b", 0), ("d", 0)]


def test_stated_results_of_equal_answers_are_equal() -> None:
    """So that a majority can be counted."""
    said = ["\\boxed{4.0}", "So the answer is $4$.", "It is 2 + 2, so the answer is 8/2"]
    words = ["Thursday", "The answer is thursday."]

    assert {stated_result(each) for each in said} == {"4"}
    assert len({stated_result(each) for each in words}) == 1
    assert stated_result("5") != stated_result("4") and stated_result("word " * 90) is None


def test_a_label_that_is_no_verdict_is_an_error() -> None:
    with pytest.raises(ValueError, match="label mark is neither true nor false"):
        choose({"a": [0.5, 1.0]}, rule="right", label="mark")


def test_selection_is_among_the_chosen_and_counts_the_others() -> None:
    traces, labels = make_rows(RIGHT)
    found, _ = choose_answers(OnePerQuestion(rule="right", label="mark"), 1, traces, labels)
    rows, counts = select_subset("random", {}, 3, 1, found, labels)

    assert sorted(str(row["id"])[0] for row in rows) == ["a", "b", "d"]
    assert counts["num_candidates"] == 3 and counts["num_traces"] == 12
    assert counts["unusable"] == {
        "trace failed": 1,
        "trace incomplete": 1,
        "trace not chosen for its question": 4,
        "trace to a question without a right answer": 3,
    }


def test_the_job_writes_its_counts(demo: Config, tmp_path: Path) -> None:
    """With the spec of a study, of which only the size is another."""
    plan = Plan(load_study(sampled(demo, rule="shortest_right", label="is_right")))
    spec = {**json.loads(plan.subset_spec("random-300")), "size": 3}
    traces, labels = make_rows(RIGHT)
    empty = {"reasoning": "", "answer": "", "prompt_tokens": 1, "finish_reason": "stop"}
    files = {name: tmp_path / name for name in ("traces", "labels", "subset", "manifest")}
    write_parquet(
        files["traces"], TRACES, [{**empty, **row, "error": None} for row in traces.to_pylist()]
    )
    write_parquet(
        files["labels"],
        ANNOTATIONS,
        [{**row, "error": None} for row in labels["mark"].to_pylist()],
        {"annotator": "is_right"},
    )
    given = ["--spec", json.dumps(spec), "--names", "{}", "--seed", "0"]
    given += ["--traces", str(files["traces"]), "--labels", str(files["labels"])]
    select_subset_job.main(
        [*given, "--out", str(files["subset"]), "--manifest", str(files["manifest"])]
    )

    found = {row["id"] for row in read_parquet(files["subset"], SUBSET)}
    assert found == {sample_id("a" * 32, 1), sample_id("b" * 32, 1), "d" * 32}
    counts = read_json(files["manifest"])["one_per_question"]
    assert (counts["questions"], counts["chosen"], counts["without_right"]) == (4, 3, 1)


def test_the_card_of_an_export_counts_questions_and_answers() -> None:
    _, counts = choose(rule="right", label="mark")
    page = render(
        Card(
            title="t",
            split="train",
            num_rows=3,
            rule="r",
            params=[],
            names={},
            columns=[],
            pool={"read": 6, "kept": 5, "duplicate": 1, "samples": 3, "prompts": 15},
            traces={"status": {"ok": 10}},
            selection={"num_traces": 15, "num_candidates": 3, "one_per_question": counts},
            decontamination=None,
            origins=[],
            digests={},
            commands=[],
            trace=[],
        )
    )

    lost = page.split("## What was left out")[1].split("##")[0]
    rows = [line.strip("| ").split(" | ") for line in lost.strip().splitlines()[2:]]
    assert rows == [
        ["rows read from the source", "6"],
        ["prompts kept", "5"],
        ["dropped: duplicate", "1"],
        ["times that each is asked", "3"],
        ["requests to the teacher", "15"],
        ["traces: ok", "10"],
        ["answers to choose from", "10"],
        ["their questions", "4"],
        ["answers chosen, one per question", "3"],
        ["of these drawn between equals", "1"],
        ["questions without a right answer", "1"],
        ["questions, right answers to each: 0", "1"],
        ["questions, right answers to each: 1", "2"],
        ["questions, right answers to each: 2", "1"],
        ["candidates of the selector", "3"],
        ["picked", "3"],
    ]


def test_no_complete_trace_is_no_choice() -> None:
    traces = pa.table({"id": ["a" * 32], "status": ["failed"], "completion_tokens": [1]})

    found, counts = choose_answers(OnePerQuestion(rule="random"), 0, traces, {})
    assert found.equals(traces) and counts["questions"] == 0
