"""Annotations: one label per trace that is complete."""

import json
from typing import Any

from nt_pkg import plugins
from nt_pkg.annotators._base import Example
from nt_pkg.config import plugin_params
from nt_pkg.records import Row


def annotate(kind: str, params: dict[str, Any], prompts: list[Row], traces: list[Row]) -> list[Row]:
    """Return one annotation row per trace, ordered by id.

    Traces that are not complete get a row with status `skipped` and the reason, labels that could
    not be given one with status `failed`.

    Raises:
        ValueError: prompts and traces are not of the same shard.
    """
    by_id = {row["id"]: row for row in prompts}
    if by_id.keys() != {row["id"] for row in traces}:
        raise ValueError("prompts and traces do not hold the same ids: are they of one shard?")
    checked = plugin_params("annotators", kind, params, f"annotator {kind}")
    usable = [row for row in traces if row["status"] == "ok"]
    labels = plugins.plugin("annotators", kind).annotate(
        checked, [example(by_id[row["id"]], row) for row in usable]
    )
    found = dict(zip((row["id"] for row in usable), labels, strict=True))
    rows = []
    for row in sorted(traces, key=lambda row: str(row["id"])):
        label = found.get(row["id"])
        if label is None:
            rows.append(
                {"id": row["id"], "status": "skipped", "value": None, "error": row["error"]}
            )
        elif label.error is not None:
            rows.append({"id": row["id"], "status": "failed", "value": None, "error": label.error})
        else:
            value = json.dumps(label.value, sort_keys=True)
            rows.append({"id": row["id"], "status": "ok", "value": value, "error": None})
    return rows


def example(prompt: Row, trace: Row) -> Example:
    """Return what an annotator sees of a row."""
    return Example(
        id=prompt["id"],
        question=prompt["question"],
        reference_answer=prompt["reference_answer"],
        second_answer=prompt["second_answer"],
        reasoning=trace["reasoning"],
        answer=trace["answer"],
        num_tokens=trace["completion_tokens"],
    )
