"""Teacher traces: one answer of a teacher per prompt, split into reasoning and answer."""

from pathlib import Path
from typing import Any

from nt_pkg.config import Sampling, Teacher
from nt_pkg.engines.base import Completion, Engine, Request, run_requests
from nt_pkg.engines.catalogue import start_engine
from nt_pkg.engines.params import Model
from nt_pkg.evals import split_reasoning
from nt_pkg.records import Row


def teacher_engine(teacher: Teacher, model: Model | None = None) -> Engine:
    """Return the engine of a catalogue entry, ready to generate.

    Args:
        teacher: the entry.
        model: the files of its source, if it has one.

    Raises:
        ValueError: its parameters do not fit, or it cannot run.
    """
    return start_engine(teacher.engine, teacher.params, teacher.runtime, model)


def generate_traces(
    prompts: list[Row], engine: Engine, sampling: Sampling, folder: Path
) -> list[Row]:
    """Return one trace row per prompt, ordered by id; failed rows stay, with their reason.

    Args:
        prompts: rows of one shard.
        engine: the teacher's engine.
        sampling: how it draws text.
        folder: where progress is kept.
    """
    requests = [
        Request(id=row["id"], user=row["question"], replay=row["replay"])
        for row in sorted(prompts, key=lambda row: str(row["id"]))
    ]
    completions = run_requests(engine, requests, sampling, folder, "traces")
    return [trace_row(completion) for completion in completions]


def trace_row(completion: Completion) -> dict[str, Any]:
    """Return the trace of one completion.

    A trace is `incomplete` when it was cut, its reasoning is missing or never closed, or its answer
    is empty: such a trace is kept and counted, and never selected.
    """
    reasoning, answer, is_closed = split_reasoning(completion.text, "")
    error = completion.error
    status = "ok"
    if error is not None:
        status = "failed"
    elif completion.finish_reason != "stop":
        status, error = "incomplete", f"stopped by {completion.finish_reason}"
    elif not is_closed or not reasoning or not answer:
        status, error = (
            "incomplete",
            "the reasoning is missing or not closed, or no answer follows it",
        )
    return {
        "id": completion.id,
        "status": status,
        "reasoning": reasoning or "",
        "answer": answer,
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": completion.completion_tokens,
        "finish_reason": completion.finish_reason,
        "error": error,
    }
