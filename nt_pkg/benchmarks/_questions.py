"""The questions of a benchmark, for those who ask them and for those who keep them out of pools."""

from pathlib import Path
from typing import Any

from nt_pkg.benchmarks._base import Item
from nt_pkg.plugins.registry import plugin


def load_items(kind: str, params: dict[str, Any], source: Path | None) -> list[Item]:
    """Return the questions of a benchmark ordered by id.

    Args:
        kind: module of this room.
        params: its parameters as they stand in a spec.
        source: folder of its files, if it has any.
    """
    found = plugin("benchmarks", kind)
    items = found.load(found.params(**params), source)
    return sorted(items, key=lambda item: str(item.id))
