"""What an annotator is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from nt_pkg.config.base import Strict
from nt_pkg.engines._base import Completion, Request


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
    """Labels examples; the label of one example depends on no other.

    Attributes:
        params: model of the parameters.
        annotate: (parameters, examples) -> their labels.
        columns: parameters -> further columns of the pool that it reads; the pool has to know them.
    """

    params: type[Strict]
    annotate: Callable[[Any, Sequence[Example]], list[Label]]
    columns: Callable[[Any], Sequence[str]] | None = None


class StudentParams(Strict):
    """How a student reads traces."""

    think_words: Annotated[int, Field(ge=1)] | Literal["per_trace"] = Field(
        3500, description="K of the think instruction, as in the format it is trained in."
    )


class AnswersParams(Strict):
    """How a student answers questions."""

    answers: int = Field(4, ge=1, description="Answers to each question (ours).")
    think_words: int = Field(
        3500, ge=1, description="K of the think instruction, as in a format or a benchmark."
    )


@dataclass(frozen=True)
class StudentAnnotator:
    """Labels examples by what a student makes of them; the label of one depends on no other.

    Attributes:
        params: model of the parameters.
        start: (parameters, folder of the student) -> what labels some examples at a time.
    """

    params: type[StudentParams]
    start: Callable[[Any, Path], Callable[[Sequence[Example]], list[Label]]]


@dataclass(frozen=True)
class Question:
    """A question with its reference answer, as annotators see it that let a student answer it."""

    id: str
    question: str
    reference_answer: str | None


@dataclass(frozen=True)
class AnswersAnnotator:
    """Labels questions by a student's own answers; the label of one depends on no other.

    Its labels belong to a pool and to no teacher, and need no trace.

    Attributes:
        params: model of the parameters.
        ask: (parameters, question) -> what the student is asked, or why its answers say nothing.
        grade: (parameters, questions, the student's answers to each) -> a label of each.
    """

    params: type[AnswersParams]
    ask: Callable[[Any, Question], list[Request] | Label]
    grade: Callable[[Any, Sequence[Question], Sequence[list[Completion]]], list[Label]]


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
