"""Labels of questions; what a model makes of them is saved as it is made."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from nt_pkg.annotations.in_batches import label_in_batches
from nt_pkg.annotators._base import AnswersAnnotator, Label, Question, QuestionAnnotator
from nt_pkg.annotators._labeller import labeller
from nt_pkg.engines._base import Completion, Request
from nt_pkg.files.json_files import storable
from nt_pkg.files.schemas import Row
from nt_pkg.jobs.model_folder import loading

logger = logging.getLogger(__name__)

_PART_ROWS = 8192  # of labels that no model makes

AskStudent = Callable[[Sequence[Request]], list[Completion]]


def label_questions(
    kind: str,
    params: dict[str, Any],
    prompts: Sequence[Row],
    model: Path | None = None,
    batch: int = 1,
    work: Path | None = None,
    ask_student: AskStudent | None = None,
) -> list[Row]:
    """Return one annotation row per prompt, ordered by id, with a label or a reason.

    Prompts of one question share its label, if a pool has several answers to it.

    Args:
        kind: module of nt_pkg/annotators.
        params: its parameters.
        prompts: rows of one shard.
        model: folder of the model's files, if the kind runs one.
        batch: questions that the model reads at a time.
        work: where finished labels are kept until the job has ended; a start with the same folder
            continues. None: not saved.
        ask_student: lets the student answer, if the kind goes by its answers.

    Raises:
        ValueError: the kind labels traces.
    """
    by, _ = labeller(kind, has_engine=False)
    if not isinstance(by, QuestionAnnotator | AnswersAnnotator):
        raise ValueError(f"kind {kind} labels traces, not questions: annotate traces with it")
    checked = by.params(**params)
    first: dict[Question, Question] = {}  # without its id -> the first of its kind
    shared = {}
    for row in sorted(prompts, key=lambda row: str(row["id"])):
        own = Question(row["id"], row["question"], row.get("reference_answer"))
        shared[own.id] = first.setdefault(replace(own, id=""), own).id
    asked = {each.id: each for each in first.values()}
    if isinstance(by, AnswersAnnotator):
        assert ask_student is not None
        found = _by_answers(by, checked, asked, ask_student)
    else:
        start = by.start

        def loaded() -> Callable[[Sequence[str]], list[Label]]:
            with loading(model) if model else nullcontext():
                return start(checked, model)

        found = label_in_batches(
            "questions",
            {key: each.question for key, each in asked.items()},
            len,
            loaded,
            batch if by.needs_model else _PART_ROWS,
            work,
        )
    return [_row(row_id, found[key]) for row_id, key in shared.items()]


def _by_answers(
    by: AnswersAnnotator, params: Any, questions: Mapping[str, Question], ask_student: AskStudent
) -> dict[str, Label]:
    """Return a label per question, by the student's answers to those that can be graded."""
    asked = {key: by.ask(params, question) for key, question in questions.items()}
    labels = {key: each for key, each in asked.items() if isinstance(each, Label)}
    requests = {key: each for key, each in asked.items() if not isinstance(each, Label)}
    logger.info("%d of %d questions can be graded", len(requests), len(questions))
    found = {
        each.id: each for each in ask_student([one for each in requests.values() for one in each])
    }
    answers = [[found[one.id] for one in each] for each in requests.values()]
    graded = by.grade(params, [questions[key] for key in requests], answers)
    return labels | dict(zip(requests, graded, strict=True))


def _row(row_id: str, label: Label) -> Row:
    if label.error is not None:
        return {"id": row_id, "status": "failed", "value": None, "error": storable(label.error)}
    value = json.dumps(storable(label.value))
    return {"id": row_id, "status": "ok", "value": value, "error": None}
