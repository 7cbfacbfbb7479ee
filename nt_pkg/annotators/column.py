"""A column of the pool's table as a label: 0.7, "Physics", ["algebra", "sets"].

For what the data already has, such as a verifier's score, a difficulty or a domain. The pool is of
kind `table`, which keeps every column that it does not use otherwise.
"""

import json
import math
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from nt_pkg.annotators._base import Example, Label, TraceAnnotator
from nt_pkg.config.base import Strict

_TRUTHS = {"true": 1, "false": 0}  # as Python, pandas and JSON write them


class ColumnParams(Strict):
    """Which column, and what its values are."""

    column: str = Field(description="Name of the column.")
    type: Literal["any", "number", "text"] = Field(
        "any",
        description="any: values as they are; number: texts of CSV are read as numbers, true and "
        "false are 1 and 0; text: numbers become texts, for levels that name groups.",
    )


def annotate_column(params: ColumnParams, examples: Sequence[Example]) -> list[Label]:
    """Return the value of every row; one that is absent, empty or of the wrong type fails."""
    found = (json.loads(example.columns or "{}") for example in examples)
    return [_label(fields.get(params.column), params) for fields in found]


def _label(value: Any, params: ColumnParams) -> Label:
    if value is None or value == "":
        return Label(None, f"{params.column} is empty")
    if params.type == "number" and isinstance(value, str | bool):
        if (said := str(value).strip().casefold()) in _TRUTHS:
            return Label(_TRUTHS[said])
        try:
            value = float(value)
        except ValueError:
            return Label(None, f"{params.column} is no number: {value[:40]!r}")
    if isinstance(value, float) and not math.isfinite(value):
        return Label(None, f"{params.column} is not finite")
    if params.type == "number" and not isinstance(value, int | float):
        return Label(None, f"{params.column} is no number: {str(value)[:40]!r}")
    if params.type == "text" and not isinstance(value, str):
        return Label(json.dumps(value))
    return Label(value)


def name_columns(params: ColumnParams) -> list[str]:
    """Return the column that is read."""
    return [params.column]


ANNOTATOR = TraceAnnotator(params=ColumnParams, annotate=annotate_column, columns=name_columns)
