"""Benchmarks: tests with graded answers."""

from typing import Any

from pydantic import Field

from nt_pkg.config.base import BEFORE_PLANS, Strict
from nt_pkg.config.sources import Source


class Benchmark(Strict):
    """A test with graded answers."""

    kind: str = Field(description="Module of nt_pkg/benchmarks.")
    params: dict[str, Any] = Field(default_factory=dict, description="Parameters of that module.")
    label: str = Field("", description="What sentences call it, such as `hard questions`.")
    source: Source | None = Field(None, description="Files it reads; none for generated tests.")
    expected_questions: int | None = Field(
        None, ge=1, description=f"Questions, for {BEFORE_PLANS} one of its jobs has run."
    )
    confidential: bool = Field(
        False,
        description="Whether its text must not be shown: logs, grades, scores and the report have "
        "its questions by id only. Some kinds always are.",
    )
    repeats: int = Field(1, ge=1, description="Answers per question (paper: 24, 16, 1, 1).")
    chance: float | None = Field(
        None, ge=0, lt=1, description="Accuracy of a uniform guess, for the report."
    )
    think_words: int = Field(3500, ge=1, description="K of the think instruction (paper: 3500).")
