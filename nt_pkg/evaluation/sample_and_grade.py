"""Evaluation: a student's answers to a benchmark, and their grades."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nt_pkg.benchmarks._base import Grade, Item
from nt_pkg.config.base import Mode
from nt_pkg.config.engines import Sampling
from nt_pkg.dialogue.formats import THINK_OPEN, prompt_in_mode
from nt_pkg.dialogue.split_reasoning import split_reasoning
from nt_pkg.engines._base import Engine, Request, run_requests
from nt_pkg.evaluation.score import accuracy_of, check_complete, score
from nt_pkg.files.json_files import digest
from nt_pkg.files.schemas import Row
from nt_pkg.identity.seeds import digest_int
from nt_pkg.plugins import registry as plugins

Grader = Callable[[Sequence[tuple[Item, str]]], list[Grade]]
# Grades answers with a grader; the text is the grader's name.
GradeWith = Callable[[str, Grader, Sequence[tuple[Item, str]]], list[Grade]]
_NUM_EXAMPLES = 4  # answers shown in the report
WITHHELD = "not shown: the benchmark is confidential, and the reason may hold its text"


def sample_answers(
    spec: dict[str, Any],
    seed: int,
    items: list[Any],
    engine: Engine,
    folder: Path,
    shard: tuple[int, int] = (0, 1),
    batch: int = 1,
) -> tuple[list[Row], dict[str, Any]]:
    """Return one row per question and repeat of a shard, and how they were sampled.

    A shard has every n-th batch of all requests, so an answer is the same with any number of shards
    and every shard has prompts of all lengths.

    Args:
        spec: kind, mode, repeats, think_words and sampling; whether it is confidential.
        seed: seed of the run; every question and repeat has its own below it.
        items: questions of the benchmark.
        engine: the student.
        folder: where progress is kept.
        shard: which shard, and the number of shards.
        batch: requests whose texts may depend on each other.
    """
    mode: Mode = spec["mode"]
    sampling = Sampling(**spec["sampling"])
    benchmark = plugins.plugin("benchmarks", spec["kind"])
    build = benchmark.prompt
    is_confidential = benchmark.is_confidential or spec.get("confidential", False)
    requests = []
    for item in items:
        prompt = prompt_in_mode(build(item), mode, spec["think_words"])
        for repeat in range(spec["repeats"]):
            own = digest_int("sample", seed, item.id, repeat) % 2**53
            requests.append(Request(f"{item.id}#{repeat}", prompt.user, prompt.forced_prefix, own))
    requests.sort(key=lambda request: (len(request.user), request.id))  # less padding in a batch
    own, num_shards = shard
    mine = [each for at, each in enumerate(requests) if at // batch % num_shards == own]
    completions = run_requests(
        engine, mine, sampling, folder, "answers", WITHHELD if is_confidential else None
    )
    rows = []
    for completion in completions:
        question, _, number = completion.id.rpartition("#")
        rows.append(
            {
                "question_id": question,
                "repeat": int(number),
                "text": completion.text,
                "completion_tokens": completion.completion_tokens,
                "finish_reason": completion.finish_reason,
                "status": "failed" if completion.error else "ok",
                "error": completion.error,
            }
        )
    rows.sort(key=lambda row: (row["question_id"], row["repeat"]))
    return rows, {
        "sampling": sampling.model_dump(),
        "prompt_digest": digest([[request.user, request.forced_prefix] for request in requests]),
        "repeats": spec["repeats"],
        "mode": mode,
    }


def grade_samples(
    kind: str,
    mode: Mode,
    repeats: int,
    items: list[Any],
    samples: list[Row],
    *,
    confidential: bool = False,
    grade_with: GradeWith = lambda _, grade, answers: grade(answers),
) -> tuple[list[Row], dict[str, Any]]:
    """Return one grade per sample, and the score.

    Only the part after the reasoning is graded; an answer whose reasoning never closed has none.
    The scores of `alternatives` are of the whole output, as others grade it. A confidential
    benchmark, by its kind or because `confidential` says so, has no examples, and its grades hold
    what was extracted but not the answer.
    """
    benchmark = plugins.plugin("benchmarks", kind)
    is_confidential = benchmark.is_confidential or confidential
    prefix = THINK_OPEN if mode == "think" else ""
    by_id = {item.id: item for item in items}
    split = [split_reasoning(row["text"], prefix) for row in samples]
    answers = [each.answer for each in split]
    check_complete(items, samples, repeats)
    asked = [by_id[row["question_id"]] for row in samples]
    grades = grade_with("answers graded", benchmark.grade, list(zip(asked, answers, strict=True)))
    rows = [
        {
            "question_id": sample["question_id"],
            "repeat": sample["repeat"],
            "answer": "" if is_confidential else answer,
            "extracted": grade.extracted,
            "is_correct": grade.is_correct and sample["status"] == "ok",
        }
        for sample, answer, grade in zip(samples, answers, grades, strict=True)
    ]
    found = score(items, samples, grades, split, repeats)
    whole = [(item, row["text"]) for item, row in zip(asked, samples, strict=True)]
    found["alternatives"] = {
        name: accuracy_of(items, samples, grade_with(f"graded by {name}", regrade, whole), repeats)
        for name, regrade in sorted(benchmark.alternatives.items())
    }
    found["is_confidential"] = is_confidential
    shown = range(0, len(samples), max(1, len(samples) // _NUM_EXAMPLES))
    found["examples"] = [
        {
            "question": asked[at].question,
            "gold": asked[at].gold,
            "reasoning": split[at].reasoning,
            "answer": answers[at],
            "is_correct": grades[at].is_correct,
        }
        for at in shown[: 0 if is_confidential else _NUM_EXAMPLES]
    ]
    return rows, found
