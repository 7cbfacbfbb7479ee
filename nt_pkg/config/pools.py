"""Pools: sets of prompts, and what is dropped from them."""

from typing import Any

from pydantic import Field

from nt_pkg.config.base import BEFORE_PLANS, Strict
from nt_pkg.config.sources import Source


class Decontaminate(Strict):
    """Which benchmarks a pool must not hold text of."""

    against: tuple[str, ...] = Field(min_length=1, description="Names of benchmarks.")
    ngram: int = Field(
        13, ge=2, description="Words in a row that no prompt may share (NaturalReasoning: 13)."
    )
    fuzzy: float | None = Field(
        None,
        ge=95,
        le=100,
        description="Drop prompts as well that are nearly a question as a whole: the lowest ratio "
        "of equal letters (open-thoughts: 95); none: this is not looked for.",
    )


class NearDuplicates(Strict):
    """Which questions of a pool count as repetitions of another one."""

    threshold: float = Field(
        0.55,
        ge=0.5,
        le=0.95,
        description="Lowest share of n-grams that two questions have in common, of all that either "
        "has (Jaccard similarity; NaturalReasoning: 0.55).",
    )
    ngram: int = Field(
        3, ge=2, description="Words per n-gram (our choice, see near-duplicates.md)."
    )


class Pool(Strict):
    """A set of prompts."""

    kind: str = Field(description="Module of nt_pkg/pools that reads the rows.")
    params: dict[str, Any] = Field(default_factory=dict, description="Parameters of that module.")
    source: Source | None = Field(None, description="Files it reads; none for generated pools.")
    num_shards: int = Field(1, ge=1, le=4096, description="Shards that prompts and traces come in.")
    expected_rows: int | None = Field(
        None, ge=1, description=f"Rows, for {BEFORE_PLANS} its files are ingested."
    )
    decontaminate: Decontaminate | None = Field(
        None, description="Drop prompts that hold text of benchmarks; by default none is."
    )
    near_duplicates: NearDuplicates | None = Field(
        None, description="Drop prompts that nearly repeat an earlier one; by default none is."
    )
