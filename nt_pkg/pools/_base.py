"""What a pool is: parameters, and a stream of raw rows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from nt_pkg.config.base import Strict


class RawRow(NamedTuple):
    """One row of the source.

    Attributes:
        source_row: index over all rows of the pool, with files in the order of their names.
        question: the prompt; of a defective row as much of its text as can be shown.
        reference_answer: the known answer, None if there is none.
        second_answer: the weaker model's answer, None if there is none.
        replay: the text that the replay teacher returns, None if there is none.
        columns: a JSON object with the row's further columns, None if the pool keeps none.
        defect: why the row cannot be used; "" if it can.
        copy: number of this row's answer if the pool keeps several answers to one question.
    """

    source_row: int
    question: str
    reference_answer: str | None = None
    second_answer: str | None = None
    replay: str | None = None
    columns: str | None = None
    defect: str = ""
    copy: int = 0


@dataclass(frozen=True)
class PoolKind:
    """The plugin object of a pool module.

    Attributes:
        params: frozen pydantic model of the pool's parameters.
        rows: (params, folder of the asset files or None) -> stream of rows.
        needs_source: whether it reads files.
    """

    params: type[Strict]
    rows: Callable[[Any, Path | None], Iterator[RawRow]]
    needs_source: bool
