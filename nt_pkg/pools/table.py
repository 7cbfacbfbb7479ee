r"""Any table of questions, with or without traces: JSON lines, JSON, CSV, Parquet or Arrow.

`params` name its columns. Example rows, the second with `messages: messages`, the third with
`messages: conversations`:

    {"question": "Find x.", "reasoning": "Okay ...", "answer": "It is 4.", "reference": "4"}
    {"messages": [{"role": "user", "content": "Find x."},
                  {"role": "assistant", "content": "<think>Okay ...</think>It is 4."}]}
    {"conversations": [{"from": "human", "value": "Find x."}, {"from": "gpt", "value": "..."}]}

Every further column stays with its row; the annotator `column` makes labels of it. Numbers become
texts where a text is asked for. With `same_question: all` rows that share a question are several
answers to it.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from nt_pkg.files.tables import table_rows
from nt_pkg.identity.question_id import question_id
from nt_pkg.jobs.work_dir import cache_dir
from nt_pkg.pools._base import PoolKind, RawRow
from nt_pkg.pools._files import (
    Fields,
    FileParams,
    RowTexts,
    exchange_of,
    question_of,
    raw_rows,
    text_of,
    trace_of,
)


class Params(FileParams):
    """Columns of a table."""

    question: str | None = Field(
        default=None, description="column of the question; this or `messages` is required"
    )
    messages: str | None = Field(
        default=None,
        description="column of a conversation of one question and its trace, instead of `question` "
        "and those of the trace: turns with role and content, or with from and value",
    )
    trace: str | None = Field(
        default=None, description="column of a trace in one text, with tags around its reasoning"
    )
    reasoning: str | None = Field(
        default=None, description="column of a trace's reasoning, together with `answer`"
    )
    answer: str | None = Field(
        default=None, description="column of a trace's answer, together with `reasoning`"
    )
    reference: str | None = Field(default=None, description="column of the known answer")
    second_answer: str | None = Field(
        default=None, description="column of a weaker model's answer, for the annotator agreement"
    )
    columns: tuple[str, ...] | None = Field(
        default=None, description="further columns to keep for labels; null keeps all"
    )
    same_question: Literal["first", "all"] = Field(
        default="first",
        description="of rows with the same question, whether the first stays and the others are "
        "duplicates, or all with different traces stay, as several answers to it",
    )

    @model_validator(mode="after")
    def _one_shape(self) -> Self:
        if (self.question is None) == (self.messages is None):
            raise ValueError("give either `question` or `messages`, the column of the prompts")
        if (self.reasoning is None) != (self.answer is None):
            raise ValueError(
                "`reasoning` and `answer` go together; for a trace in one column use `trace`"
            )
        given = [n for n in ("messages", "trace", "reasoning") if getattr(self, n) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} all name the trace: keep one of them")
        return self


def rows(params: Params, source: Path | None) -> Iterator[RawRow]:
    """Yield the rows of all files, in the order of their names.

    Raises:
        ValueError: the folder has no file to read, one is damaged, or a column is missing; the
            message lists those that are there.
    """
    named = params.model_dump(exclude={"columns", "max_rows", "same_question"})
    used = [name for name in named.values() if name is not None]
    needed = [*used, *(params.columns or ())]
    others = None if params.columns is None else ()
    found = table_rows(source, needed, others, cache_dir("datasets"), params.max_rows)

    def take(fields: Fields) -> RowTexts:
        if params.messages is None:
            question, trace = question_of(fields.get(params.question or "")), _trace(params, fields)
        else:
            question, trace = exchange_of(_parsed(fields.get(params.messages)))
        return RowTexts(
            question,
            _text(fields, params.reference),
            _text(fields, params.second_answer),
            trace,
            _further(fields, used, params.columns),
        )

    read = raw_rows(found, take)
    return read if params.same_question == "first" else _as_answers(read)


def _as_answers(rows: Iterable[RawRow]) -> Iterator[RawRow]:
    """Yield the rows, numbered among those of their question; equal traces have one number."""
    num_answers: Counter[str] = Counter()
    known: dict[bytes, int] = {}
    for row in rows:
        try:
            key = question_id(row.question)
            text = hashlib.sha256(f"{key}{row.replay}".encode()).digest()[:16]
        except UnicodeEncodeError:  # ingestion drops it
            yield row
            continue
        if not row.defect and text not in known:
            known[text] = num_answers[key]
            num_answers[key] += 1
        yield row if row.defect else row._replace(copy=known[text])


def _trace(params: Params, fields: Fields) -> str | None:
    if params.trace is not None:
        return text_of(fields.get(params.trace))
    return trace_of(_text(fields, params.reasoning), _text(fields, params.answer))


def _text(fields: Fields, column: str | None) -> str | None:
    """Return a text, or a number as a text."""
    value = fields.get(column) if column is not None else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return text_of(value)


def _parsed(value: object) -> object:
    """Return a conversation that CSV holds as JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise TypeError from None


def _further(fields: Fields, used: list[str], kept: tuple[str, ...] | None) -> str | None:
    """Return the columns of a row that nothing else uses as JSON; dates and the like as texts."""
    names = [name for name in (fields if kept is None else kept) if name in fields]
    further = {name: fields[name] for name in names if kept is not None or name not in used}
    return json.dumps(further, sort_keys=True, default=str) if further else None


POOL = PoolKind(params=Params, rows=rows, needs_source=True)
