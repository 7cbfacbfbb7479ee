"""Answers that a model wrote elsewhere."""

from typing import Any, Literal

from pydantic import Field

from nt_pkg.config.base import IMPORTED, MOST_NAME, NAME, UNTRAINED, Mode, Strict

Column = Literal[
    "question_id",
    "question",
    "text",
    "reasoning",
    "repeat",
    "completion_tokens",
    "finish_reason",
]


class Answers(Strict):
    """A file with the answers of a model that ran elsewhere, to one benchmark (docs/answers.md)."""

    name: str = Field(
        pattern=f"^{NAME}$",
        max_length=MOST_NAME,
        description="Name of the run: `student` in comparisons and in the report.",
    )
    benchmark: str = Field(description="Catalogue name.")
    mode: Mode = Field(
        description="How it was asked: think, if every answer begins with reasoning in <think> "
        "tags or in a column of its own; otherwise no_think or adaptive."
    )
    path: str = Field(description="A *.jsonl, *.jsonl.gz, *.json or *.parquet file.")
    seed: int = Field(0, ge=0, description="Tells several samplings of one model apart.")
    repeats: int | None = Field(
        None, ge=1, description="Answers per question in the file; by default the benchmark's."
    )
    columns: dict[Column, str] = Field(
        default_factory=dict, description="Names of columns in the file, where they differ."
    )
    untagged: Literal["refuse", "answer", "reasoning"] = Field(
        "refuse",
        description="What a text without any tag is under think: the answer alone, or reasoning "
        "that was cut. By default the file is refused; one cut at the token limit is reasoning.",
    )
    missing: Literal["refuse", "wrong"] = Field(
        "refuse",
        description="Whether an answer that the file lacks is an error, or a failed and wrong one.",
    )
    unknown: Literal["refuse", "skip"] = Field(
        "refuse",
        description="Whether a question that the benchmark does not have is an error, or left out.",
    )

    @property
    def names(self) -> dict[str, Any]:
        """Return the names of its score."""
        return {
            "student": self.name,
            "subset": IMPORTED,
            "format": UNTRAINED,
            "seed": self.seed,
            "benchmark": self.benchmark,
            "mode": self.mode,
        }

    @property
    def where(self) -> str:
        """Return its place in the configuration, for messages."""
        return f"answers of {self.name} to {self.benchmark}"
