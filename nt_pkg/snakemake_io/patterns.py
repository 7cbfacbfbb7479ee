"""Paths of a rule's pattern."""

from collections.abc import Iterable, Mapping
from typing import Any

from snakemake.io import apply_wildcards


def each(pattern: str, wildcards: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the paths of a pattern, one per set of wildcards."""
    return [str(apply_wildcards(pattern, values)) for values in wildcards]
