"""Pools: sets of prompts, and which rows to drop from them."""

from typing import Any

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
    fuzzy: float | None = Field(
        None,
        ge=95,
        le=100,
        description="Also drop prompts that are nearly identical to a question: lowest ratio of "
        "equal letters in percent (open-thoughts: 95); by default they stay.",
    )


class NearDuplicates(Strict):
    """When a question of a pool counts as a near-duplicate of another."""

    threshold: float = Field(
        0.55,
        ge=0.5,
        le=0.95,
        description="Lowest share of common n-grams among all n-grams of two questions (Jaccard "
        "similarity; NaturalReasoning: 0.55).",
    )
    ngram: int = Field(
        3, ge=2, description="Words per n-gram (our choice, see near-duplicates.md)."
    )


class Pool(Strict):
    """A set of prompts."""

    kind: str = Field(description="Module of nt_pkg/pools that reads the rows.")
    params: dict[str, Any] = Field(default_factory=dict, description="Parameters of that module.")
    source: Source | None = Field(None, description="Files it reads; none for generated pools.")
    num_shards: int = Field(1, ge=1, le=4096, description="Number of shards of its rows.")
    expected_rows: int | None = Field(
        None, ge=1, description=f"Rows, for {BEFORE_PLANS} its files are ingested."
    )
    decontaminate: Decontaminate | None = Field(
        None, description="Drop prompts that contain text of benchmarks; by default they stay."
    )
    near_duplicates: NearDuplicates | None = Field(
        None, description="Drop prompts that nearly repeat an earlier one; by default they stay."
    )
