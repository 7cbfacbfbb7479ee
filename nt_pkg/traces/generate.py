"""Teacher traces: one answer of a teacher per prompt, split into reasoning and answer."""

from pathlib import Path
from typing import Any

from nt_pkg.config.engines import Sampling, Teacher
from nt_pkg.dialogue.split_reasoning import Thought, split_reasoning
from nt_pkg.engines._base import Completion, Engine, Model, Request, run_requests
from nt_pkg.engines._start import engine_for
from nt_pkg.files.schemas import Row
from nt_pkg.identity.seeds import digest_int


def teacher_engine(teacher: Teacher, model: Model | None = None) -> Engine:
    """Return the engine of a catalogue entry; it only starts when a text is needed.

    Args:
        teacher: the entry.
        model: files of its source, if it has one.

    Raises:
        ValueError: its parameters are wrong, or it cannot run.
    """
    return engine_for(teacher.engine, teacher.params, teacher.runtime, model)


def generate_traces(
    prompts: list[Row],
    engine: Engine,
    sampling: Sampling,
    folder: Path,
    max_tokens: int,
    seed: int = 0,
) -> list[Row]:
    """Return one trace row per prompt, ordered by id; failed rows stay, each with its reason.

    Args:
        prompts: rows of one shard.
        engine: engine of the teacher.
        sampling: sampling parameters.
        folder: folder for progress.
        max_tokens: longer completions are incomplete traces.
        seed: seed of the teacher; the seed of each row is derived from it.
    """
    requests = [trace_request(row, seed) for row in sorted(prompts, key=lambda row: str(row["id"]))]
    completions = run_requests(engine, requests, sampling, folder, "traces")
    return [trace_row(completion, max_tokens) for completion in completions]


def trace_request(prompt: Row, seed: int) -> Request:
    """Return the request for the trace of a prompt.

    Args:
        prompt: id, question and replay of a row.
        seed: seed of the teacher.
    """
    return Request(
        id=prompt["id"],
        user=prompt["question"],
        seed=request_seed(seed, prompt["id"]),
        replay=prompt["replay"],
    )


def request_seed(seed: int, row_id: str) -> int:
    """Return the seed of a row's request: 31 bits, which every server accepts.

    With one seed for all rows, a server would draw the same random numbers for every question.
    """
    return digest_int("trace", seed, row_id) % 2**31


def trace_row(completion: Completion, max_tokens: int) -> dict[str, Any]:
    """Return the trace of one completion: its parts, its status and the reason for the status.

    Incomplete traces are kept and counted, but never selected (paper, section 4: only complete
    responses within 16,384 tokens are trained on).
    """
    thought = split_reasoning(completion.text)
    status, error = "ok", completion.error
    if error is not None:
        status = "failed"
    elif error := incompleteness(completion, thought, max_tokens):
        status = "incomplete"
    return {
        "id": completion.id,
        "status": status,
        "reasoning": thought.reasoning or "",
        "answer": thought.answer,
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": completion.completion_tokens,
        "finish_reason": completion.finish_reason,
        "error": error,
    }


def incompleteness(completion: Completion, thought: Thought, max_tokens: int) -> str | None:
    """Return the first reason why a completion is not a complete trace, None if it is one.

    A trace that quotes a tag also counts as incomplete: after `<think>` in a training target, the
    tag would end the reasoning for every reader, chat templates included.
    """
    reasons = {
        f"stopped by {completion.finish_reason}": completion.finish_reason != "stop",
        f"over {max_tokens} tokens": completion.completion_tokens > max_tokens,
        "no reasoning": thought.reasoning is None,
        "reasoning not closed": not thought.is_closed,
        "reasoning empty": not thought.reasoning,
        "answer not closed": thought.is_cut,
        "no answer": not thought.answer,
        "a tag of reasoning is quoted": thought.has_quoted_tag,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)
