"""What an annotator is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nt_pkg.config.base import Strict


@dataclass(frozen=True)
class Example:
    """A prompt with its trace, as annotators see it.

    `columns` is a JSON object with the further columns of its row, None if the pool keeps none.
    """

    id: str
    question: str
    reference_answer: str | None
    second_answer: str | None
    reasoning: str
    answer: str
    num_tokens: int
    columns: str | None = None


@dataclass(frozen=True)
class Label:
    """A JSON value, or the reason why there is none."""

    value: Any
    error: str | None = None


@dataclass(frozen=True)
class TraceAnnotator:
    """Labels examples; the label of one example depends on no other."""

    params: type[Strict]
    annotate: Callable[[Any, Sequence[Example]], list[Label]]


@dataclass(frozen=True)
class QuestionAnnotator:
    """Labels questions, whatever their answers; the label of one question depends on no other.

    Its labels belong to a pool and to no teacher, and need no trace.

    Attributes:
        params: model of the parameters.
        start: (parameters, folder of the model) -> what labels some questions at a time.
        needs_model: whether it runs a model, whose files are the `source` of its entry.
    """

    params: type[Strict]
    start: Callable[[Any, Path | None], Callable[[Sequence[str]], list[Label]]]
    needs_model: bool = False
