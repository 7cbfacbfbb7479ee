"""Annotations: one label per trace that is complete."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nt_pkg.annotations.in_batches import label_in_batches
from nt_pkg.annotators._ask import Ask
from nt_pkg.annotators._base import (
    AnswersAnnotator,
    Example,
    Label,
    QuestionAnnotator,
    StudentAnnotator,
    TraceAnnotator,
)
from nt_pkg.annotators._labeller import labeller
from nt_pkg.files.json_files import storable
from nt_pkg.files.schemas import Row
from nt_pkg.jobs.in_pieces import FIRST, in_pieces
from nt_pkg.jobs.journal import Journal
from nt_pkg.jobs.model_folder import loading

logger = logging.getLogger(__name__)

AskModel = Callable[[Ask, Sequence[Example]], list[Label]]


@dataclass(frozen=True)
class StudentJob:
    """How a job runs a student.

    Attributes:
        folder: its files.
        batch: traces that it reads at a time.
        work: where finished labels are kept until the job has ended; a start with the same folder
            continues. None: not saved.
    """

    folder: Path
    batch: int = 1
    work: Path | None = None


def annotate(
    kind: str,
    params: dict[str, Any],
    prompts: list[Row],
    traces: list[Row],
    ask_model: AskModel | None = None,
    student: StudentJob | None = None,
    work: Path | None = None,
) -> list[Row]:
    """Return one annotation row per trace, ordered by id.

    Incomplete traces get a row with status `skipped` and the reason; traces that could
    not be labelled get one with status `failed`.

    Args:
        kind: module of nt_pkg/annotators.
        params: its parameters.
        prompts: rows of one shard.
        traces: the traces of the same shard.
        ask_model: asks the model of an entry that has an engine.
        student: the student of an entry that names one.
        work: where labels by rules alone are kept until the job has ended; a start with the same
            folder continues. None: not saved.

    Raises:
        ValueError: prompts and traces are not of the same shard.
    """
    by_id = {row["id"]: row for row in prompts}
    if by_id.keys() != {row["id"] for row in traces}:
        raise ValueError("prompts and traces do not hold the same ids: are they of one shard?")
    ordered = sorted(traces, key=lambda row: str(row["id"]))
    usable = [example(by_id[row["id"]], row) for row in ordered if row["status"] == "ok"]
    found = _labels(kind, params, usable, ask_model, student, work)
    rows = []
    for row in ordered:
        label = found.get(row["id"])
        if label is None:
            rows.append(
                {"id": row["id"], "status": "skipped", "value": None, "error": row["error"]}
            )
        elif label.error is not None:
            rows.append(
                {"id": row["id"], "status": "failed", "value": None, "error": storable(label.error)}
            )
        else:
            value = json.dumps(storable(label.value), sort_keys=True)
            rows.append({"id": row["id"], "status": "ok", "value": value, "error": None})
    return rows


def _labels(
    kind: str,
    params: dict[str, Any],
    examples: list[Example],
    ask_model: AskModel | None,
    student: StudentJob | None,
    work: Path | None,
) -> dict[str, Label]:
    """Return labels by id: from the rules, and from the model for examples that they leave open."""
    by, _ = labeller(kind, ask_model is not None)
    checked = by.params(**params)
    if isinstance(by, TraceAnnotator):
        labels = _by_rules(lambda some: by.annotate(checked, some), examples, work)
        return dict(zip((each.id for each in examples), labels, strict=True))
    if isinstance(by, StudentAnnotator):
        assert student is not None
        folder, start = student.folder, by.start

        def loaded() -> Callable[[Sequence[Example]], list[Label]]:
            with loading(folder):
                return start(checked, folder)

        return label_in_batches(
            "traces",
            {each.id: each for each in examples},
            lambda each: len(each.question) + len(each.reasoning) + len(each.answer),
            loaded,
            student.batch,
            student.work,
        )
    if isinstance(by, QuestionAnnotator | AnswersAnnotator):
        raise ValueError(f"kind {kind} labels questions, not traces: it has its own rule")
    assert ask_model is not None
    triaged = by.triage(checked, examples)
    is_open = [each for each in triaged if isinstance(each, Example)]
    if len(is_open) < len(examples):
        logger.info("rules label %d of %d", len(examples) - len(is_open), len(examples))
    asked = dict(zip((e.id for e in is_open), ask_model(by.ask, is_open), strict=True))
    return {
        example.id: each if isinstance(each, Label) else asked[example.id]
        for example, each in zip(examples, triaged, strict=True)
    }


def _by_rules(
    label: Callable[[Sequence[Example]], Sequence[Label]],
    examples: Sequence[Example],
    work: Path | None,
) -> Sequence[Label]:
    """Return labels by rules; those of many rows are kept, as a hostile row may take seconds."""
    if work is None or len(examples) <= FIRST:
        return label(examples)
    with Journal(work / "labels.jsonl") as journal:
        found = in_pieces("labels", examples, lambda some: [*map(vars, label(some))], journal)
    return [Label(**each) for each in found]


def example(prompt: Row, trace: Row) -> Example:
    """Return a row as annotators see it."""
    return Example(
        id=prompt["id"],
        question=prompt["question"],
        reference_answer=prompt["reference_answer"],
        second_answer=prompt["second_answer"],
        reasoning=trace["reasoning"],
        answer=trace["answer"],
        num_tokens=trace["completion_tokens"],
        columns=prompt["columns"],
    )
