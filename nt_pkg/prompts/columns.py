"""Which further columns the rows of a pool have."""

import json
from collections.abc import Iterable, Iterator

from nt_pkg.pools._base import RawRow


class SeenColumns:
    """The names of all further columns of the rows that pass by."""

    def __init__(self) -> None:
        """Start with none."""
        self._seen: dict[str, None] = {}

    def watch(self, rows: Iterable[RawRow]) -> Iterator[RawRow]:
        """Yield the rows as they are."""
        for row in rows:
            if row.columns:
                self._seen.update(dict.fromkeys(json.loads(row.columns)))
            yield row

    @property
    def names(self) -> list[str]:
        """Their names, sorted."""
        return sorted(self._seen)
