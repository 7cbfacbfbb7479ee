"""s1K and s1K-1.1: the same 1,000 questions, with traces by Gemini or by DeepSeek-R1.

Data: simplescaling/s1K (Apache-2.0) and simplescaling/s1K-1.1 (MIT), a baseline of the paper
(table 1), which does not say which of the two it used. Example rows:

    {"question": "How many ...?", "solution": "7", "thinking_trajectories": ["First ..."],
     "attempt": "It is 7."}
    {"question": "How many ...?", "solution": "7",
     "gemini_thinking_trajectory": "...", "gemini_attempt": "...",
     "deepseek_thinking_trajectory": "Okay ...", "deepseek_attempt": "It is 7."}

A trajectory is a text or a list of texts, depending on the revision; lists are joined by newlines.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from nt_pkg.pools._base import PoolKind, RawRow
from nt_pkg.pools._files import (
    Fields,
    FileParams,
    RowTexts,
    file_rows,
    question_of,
    text_of,
    trace_of,
)

# Columns of reasoning and answer by their author; the first pair that a row has is used.
_PLACES = {
    "deepseek": (("deepseek_thinking_trajectory", "deepseek_attempt"),),
    "gemini": (
        ("gemini_thinking_trajectory", "gemini_attempt"),
        ("thinking_trajectories", "attempt"),
    ),
}


class Params(FileParams):
    """Parameters of an s1K pool."""

    trace: Literal["deepseek", "gemini"] = Field(
        default="deepseek",
        description="whose trace the replay teacher returns; s1K has only Gemini's, s1K-1.1 has "
        "both (the paper's teacher is DeepSeek-R1)",
    )


def rows(params: Params, source: Path | None) -> Iterator[RawRow]:
    """Yield the rows of all files, in the order of their names.

    Raises:
        ValueError: the folder has no file to read, a Parquet file is truncated, or s1K is asked
            for DeepSeek's traces.
    """

    def take(fields: Fields) -> RowTexts:
        question = question_of(fields.get("question"))
        places = _PLACES[params.trace]
        reasoning, answer = next((each for each in places if each[0] in fields), places[0])
        if reasoning not in fields and "thinking_trajectories" in fields:
            raise ValueError(
                f"{source} holds s1K, which has no traces of {params.trace}: set params.trace to "
                "gemini, or use s1K-1.1"
            )
        trace = trace_of(_joined(fields[reasoning]), _joined(fields[answer]))
        return RowTexts(question, text_of(fields["solution"]), replay=trace)

    columns = (
        "question",
        "solution",
        *(name for pairs in _PLACES.values() for p in pairs for name in p),
    )
    return file_rows("simplescaling/s1K-1.1", columns, take, source, params.max_rows)


def _joined(value: object) -> object:
    """Return a list of texts as one text, anything else unchanged."""
    if not isinstance(value, list):
        return value
    return "\n".join(text_of(each) or "" for each in value)


POOL = PoolKind(params=Params, rows=rows, needs_source=True)
