"""Pools: sets of prompts, and which rows to drop from them."""

from typing import Any, Literal

from pydantic import Field

from nt_pkg.config.base import BEFORE_PLANS, Strict
from nt_pkg.config.sources import Source


class Decontaminate(Strict):
    """Benchmarks whose text must not occur in a pool."""

    against: tuple[str, ...] = Field(min_length=1, description="Names of benchmarks.")
    ngram: int = Field(
        13,
        ge=2,
        description="Length in words of the n-grams that no prompt may share with a question "
        "(NaturalReasoning: 13).",
    )
    rule: Literal["plain", "published"] = Field(
        "plain",
        description="plain: letters and digits only, 3.5 for a word of `ngram`, short questions "
        "also inside of prompts; published: words as white space separates them, as by open-r1.",
    )


class Pool(Strict):
    """A set of prompts."""

    kind: str = Field(description="Module of nt_pkg/pools that reads the rows.")
    params: dict[str, Any] = Field(default_factory=dict, description="Parameters of that module.")
    source: Source | None = Field(None, description="Files it reads; none for generated pools.")
    num_shards: int = Field(1, ge=1, le=4096, description="Number of shards of its rows.")
    samples: int = Field(
        1,
        ge=1,
        le=128,
        description="Answers that a teacher writes to each question, each with a seed of its own; "
        "every one is a row.",
    )
    expected_rows: int | None = Field(
        None,
        ge=1,
        description=f"Rows, each counted once whatever `samples`, for {BEFORE_PLANS} its files are "
        "ingested.",
    )
    confidential: bool = Field(
        False,
        description="Whether its text must not be shown: the report has its rows by id only, and "
        "they are not exported.",
    )
    decontaminate: Decontaminate | None = Field(
        None, description="Drop prompts that contain text of benchmarks; by default they stay."
    )
