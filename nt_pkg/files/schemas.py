"""The row schemas of the artifacts."""

from typing import Any

import pyarrow as pa

Row = dict[str, Any]


def _schema(**fields: pa.DataType) -> pa.Schema:
    return pa.schema(
        [
            pa.field(name.rstrip("_"), kind, nullable=name.endswith("_"))
            for name, kind in fields.items()
        ]
    )


_TEXT, _INT, _FLOAT = pa.string(), pa.int64(), pa.float64()

# A trailing underscore marks a column that may be null.
PROMPTS = _schema(
    id=_TEXT,
    question=_TEXT,
    reference_answer_=_TEXT,
    second_answer_=_TEXT,
    replay_=_TEXT,
    columns_=_TEXT,  # a JSON object: what else the source says about the row
    source_row=_INT,
)
# `repeats` is the id of the row that stays, for duplicates.
DROPPED = _schema(source_row=_INT, reason=_TEXT, excerpt=_TEXT, repeats_=_TEXT)
TRACES = _schema(
    id=_TEXT,
    status=_TEXT,  # ok, incomplete or failed
    reasoning=_TEXT,
    answer=_TEXT,
    prompt_tokens=_INT,
    completion_tokens=_INT,
    finish_reason=_TEXT,
    error_=_TEXT,
)
# `value` is JSON, so that one schema serves labels, lists and numbers.
ANNOTATIONS = _schema(id=_TEXT, status=_TEXT, value_=_TEXT, error_=_TEXT)
SUBSET = _schema(rank=_INT, id=_TEXT, score=_FLOAT)
EXAMPLES = _schema(
    id=_TEXT,
    target=_TEXT,  # system2 or system1
    input_ids=pa.list_(pa.int32()),
    num_prompt_tokens=_INT,
)
SAMPLES = _schema(
    question_id=_TEXT,
    repeat=_INT,
    text=_TEXT,
    completion_tokens_=_INT,  # unknown for some answers from elsewhere
    finish_reason=_TEXT,
    status=_TEXT,
    error_=_TEXT,
)
GRADES = _schema(
    question_id=_TEXT, repeat=_INT, answer=_TEXT, extracted_=_TEXT, is_correct=pa.bool_()
)
