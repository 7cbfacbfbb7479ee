"""Asking a model: about traces, one request each, or for a student's answers; resumable."""

from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from nt_pkg.annotations.label_questions import AskStudent
from nt_pkg.annotations.label_traces import AskModel
from nt_pkg.annotators._ask import Ask, UnreadableError
from nt_pkg.annotators._base import Example, Label
from nt_pkg.config.engines import Annotator, EngineRuntime, Sampling
from nt_pkg.engines._base import Completion, Engine, Model, Request, run_requests
from nt_pkg.engines._start import engine_for
from nt_pkg.files.json_files import canonical


def model_asker(entry: Annotator, model: Model | None, folder: Path) -> AskModel:
    """Return a function that asks the model of a catalogue entry.

    Args:
        entry: an entry with an engine.
        model: the files of its source, if it has one.
        folder: where answers are kept until the job has ended.
    """
    assert entry.engine is not None
    start = partial(engine_for, entry.engine, entry.engine_params, entry.runtime, model)
    return partial(ask_model, start, entry.sampling, folder)


def student_asker(
    engine: str,
    engine_params: dict[str, Any],
    sampling: Sampling,
    runtime: EngineRuntime,
    model: Model,
    folder: Path,
) -> AskStudent:
    """Return a function that lets a student answer requests; the order of answers is its own.

    Args:
        engine: that makes the student's answers.
        engine_params: its parameters.
        sampling: how the student answers.
        runtime: what the job runs on.
        model: the student.
        folder: where answers are kept until the job has ended.
    """

    def ask(requests: Sequence[Request]) -> list[Completion]:
        if not requests:
            return []
        # Less padding in a batch.
        ordered = sorted(requests, key=lambda each: (len(each.user), each.id))
        with closing(engine_for(engine, engine_params, runtime, model)) as started:
            return run_requests(started, ordered, sampling, folder, "answers")

    return ask


def ask_model(
    start: Callable[[], Engine],
    sampling: Sampling,
    folder: Path,
    ask: Ask,
    examples: Sequence[Example],
) -> list[Label]:
    """Return a label per example, in order, or the reason why the model gave none.

    Args:
        start: starts the engine; not called if there is nothing to ask.
        sampling: how the model answers.
        folder: where answers are kept until the job has ended.
        ask: what is asked, and how answers are read.
        examples: prompts with their traces.
    """
    if not examples:
        return []
    schema = canonical(ask.schema)
    requests = [Request(each.id, ask.prompt(each), json_schema=schema) for each in examples]
    with closing(start()) as engine:
        completions = run_requests(engine, requests, sampling, folder, "annotations")
    return [read_label(ask, completion) for completion in completions]


def read_label(ask: Ask, completion: Completion) -> Label:
    """Return the label in a completion; a cut one is not read, as half a list would also parse."""
    if completion.error is not None:
        return Label(None, completion.error)
    if completion.finish_reason != "stop":
        num_tokens = completion.completion_tokens
        return Label(None, f"the answer was cut off after {num_tokens} tokens")
    try:
        return Label(ask.parse(completion.text))
    except UnreadableError as error:
        return Label(None, str(error))
