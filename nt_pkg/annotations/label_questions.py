"""Labels of questions, in parts; labels of a model are saved as they are made."""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from nt_pkg.annotators._base import Label, QuestionAnnotator
from nt_pkg.annotators._labeller import labeller
from nt_pkg.files.json_files import storable
from nt_pkg.files.schemas import Row
from nt_pkg.jobs.journal import Journal
from nt_pkg.jobs.progress import Progress

_PART_ROWS = 8192  # of labels that no model makes


def label_questions(
    kind: str,
    params: dict[str, Any],
    prompts: Sequence[Row],
    model: Path | None = None,
    batch: int = 1,
    work: Path | None = None,
) -> list[Row]:
    """Return one annotation row per prompt, ordered by id, with a label or a reason.

    Prompts of one question share its label, if a pool has several answers to it.
    Questions of similar length are labelled together, the longest first, so that a lack of memory
    shows at once.

    Args:
        kind: module of nt_pkg/annotators.
        params: its parameters.
        prompts: rows of one shard.
        model: folder of the model's files, if the kind runs one.
        batch: questions that the model reads at a time.
        work: where finished labels are kept until the job has ended; a start with the same folder
            continues. None: not saved.

    Raises:
        ValueError: the kind labels traces.
    """
    by, _ = labeller(kind, has_engine=False)
    if not isinstance(by, QuestionAnnotator):
        raise ValueError(f"kind {kind} labels traces, not questions: annotate traces with it")
    asked = {row["question"]: row["id"] for row in reversed(prompts)}
    with ExitStack() as opened:
        journal = opened.enter_context(Journal(work / "labels.jsonl")) if work else None
        found = {key: Label(**value) for key, value in journal.entries.items()} if journal else {}
        missing = [
            row for row in prompts if asked[row["question"]] == row["id"] and row["id"] not in found
        ]
        missing.sort(key=lambda row: (-len(row["question"]), row["id"]))
        if missing:
            label = by.start(by.params(**params), model)
            progress = Progress("questions", len(asked), len(found))
            size = batch if by.needs_model else _PART_ROWS
            for start in range(0, len(missing), size):
                part = missing[start : start + size]
                labels = label([row["question"] for row in part])
                new = dict(zip((row["id"] for row in part), labels, strict=True))
                if journal:
                    journal.extend({key: vars(each) for key, each in new.items()})
                found.update(new)
                progress.add(len(part))
    in_order = sorted(prompts, key=lambda row: str(row["id"]))
    return [_row(row["id"], found[asked[row["question"]]]) for row in in_order]


def _row(row_id: str, label: Label) -> Row:
    if label.error is not None:
        return {"id": row_id, "status": "failed", "value": None, "error": storable(label.error)}
    value = json.dumps(storable(label.value))
    return {"id": row_id, "status": "ok", "value": value, "error": None}
