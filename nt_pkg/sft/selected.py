"""The rows of a subset with what their examples are made of, read as a stream."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from nt_pkg.files.parquet import rows_of
from nt_pkg.files.schemas import ANNOTATIONS, PROMPTS, TRACES


@dataclass(frozen=True)
class Selected:
    """One row of a subset.

    Attributes:
        disagree: whether the models disagree, None if unknown; only difficulty mixes use it.
    """

    id: str
    question: str
    reasoning: str
    answer: str
    disagree: bool | None = None


def selected_rows(
    ids: pa.Array, prompts: Path, traces: Sequence[Path], labels: Sequence[Path]
) -> Iterator[Selected]:
    """Yield the rows of a subset, ordered by id; memory holds one batch of each file.

    Args:
        ids: the ids of the subset, ascending, none twice.
        prompts: the pool, or a file with at least these rows.
        traces: the shards of its traces.
        labels: the shards of the labels of `agreement`, or none.

    Raises:
        ValueError: a row has no prompt or no trace, or a file cannot be read; the message says
            which and what to do.
    """
    asked = rows_of([prompts], PROMPTS, ids, ["id", "question"])
    told = rows_of(traces, TRACES, ids, ["id", "reasoning", "answer"])
    judged = rows_of(labels, ANNOTATIONS, ids, ["id", "status", "value"])
    for row_id, prompt, trace, label in zip(ids, asked, told, judged, strict=True):
        if prompt is None or trace is None:
            where = f"prompt in {prompts}" if prompt is None else f"trace in {traces[0].parent}"
            raise ValueError(
                f"row {row_id} of the subset has no {where}: the subset was chosen from other "
                "files. Start the study again with --forcerun select_subset"
            )
        yield Selected(
            row_id.as_py(),
            prompt["question"],
            trace["reasoning"],
            trace["answer"],
            not json.loads(label["value"]) if label and label["status"] == "ok" else None,
        )
