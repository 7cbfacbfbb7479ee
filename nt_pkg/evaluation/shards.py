"""The shards of the answers to a benchmark, put together again."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nt_pkg.files.manifest import read_manifest
from nt_pkg.files.parquet import read_parquet
from nt_pkg.files.schemas import SAMPLES, Row


def read_answers(shards: Sequence[Path]) -> list[Row]:
    """Return the answers of all shards, as one job would have written them."""
    rows = [row for path in shards for row in read_parquet(path, SAMPLES)]
    return sorted(rows, key=lambda row: (row["question_id"], row["repeat"]))


def read_drawn(manifests: Sequence[Path]) -> dict[str, Any]:
    """Return how the answers of all shards were drawn; versions of libraries may differ.

    Raises:
        ValueError: anything else differs, so they are no answers of one run.
    """
    found = [read_manifest(path, "mode", "repeats") for path in manifests]
    first = found[0]
    for path, other in zip(manifests, found, strict=True):
        keys = (first.keys() | other.keys()) - {"versions"}
        if apart := sorted(key for key in keys if first.get(key) != other.get(key)):
            raise ValueError(
                f"{path} and {manifests[0]} were drawn in different ways ({', '.join(apart)}): "
                "move both elsewhere, with their answers, and run again"
            )
    if all(each.get("versions") == first.get("versions") for each in found):
        return dict(first)
    names = sorted({name for each in found for name in each.get("versions", {})})
    versions = {
        name: ", ".join(sorted({each.get("versions", {}).get(name, "none") for each in found}))
        for name in names
    }
    return {**first, "versions": versions}
