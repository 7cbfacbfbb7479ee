"""Which rows the draws of subsets have, and how many of them two draws share."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, combinations_with_replacement
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nt_pkg.files.json_files import read_fields
from nt_pkg.files.parquet import read_columns
from nt_pkg.files.schemas import SUBSET
from nt_pkg.report.records import Overlap


@dataclass(frozen=True)
class Draw:
    """Which rows one draw of a subset has: `rows` holds id, rank and score, by ascending id."""

    pool: str
    teacher: str
    subset: str
    seed: int
    num_available: int
    rows: pa.Table

    @property
    def ids(self) -> pa.Array:
        """The ids of its rows."""
        return self.rows["id"].combine_chunks()

    def without(self, other: "Draw") -> pa.Table:
        """Return the rows that another draw does not have."""
        return self.rows.filter(pc.invert(pc.is_in(self.ids, other.ids)))


def read_draws(subsets: Sequence[tuple[Path, Path]]) -> list[Draw]:
    """Return the draws of all subsets, from their files of ids and manifests."""
    found = []
    for path, manifest in subsets:
        names = read_fields(manifest)
        rows = read_columns([path], SUBSET, ["id", "rank", "score"])
        number = max(int(names["num_candidates"]), len(rows))
        who = (names["pool"], names["teacher"], names["subset"], int(names["seed"]))
        found.append(Draw(*who, number, rows))
    return found


def measure_overlaps(draws: Sequence[Draw]) -> list[Overlap]:
    """Return what every two subsets of a pool share, and each with itself under other seeds."""
    by_subset: dict[tuple[str, str], list[Draw]] = defaultdict(list)
    for draw in draws:
        by_subset[draw.pool, draw.subset].append(draw)
    found = []
    for a, b in combinations_with_replacement(sorted(by_subset), 2):
        if a[0] != b[0]:
            continue
        if a == b:
            pairs = list(combinations(by_subset[a], 2))
        else:
            pairs = [(x, y) for x in by_subset[a] for y in by_subset[b] if x.seed == y.seed]
        if pairs:
            found.append(_overlap(a[0], a[1], b[1], pairs))
    return found


def _overlap(pool: str, a: str, b: str, pairs: Sequence[tuple[Draw, Draw]]) -> Overlap:
    shared = [pc.sum(pc.is_in(x.ids, y.ids)).as_py() or 0 for x, y in pairs]
    expected = [len(x.rows) * len(y.rows) / max(x.num_available, y.num_available) for x, y in pairs]
    return Overlap(
        pool=pool,
        a=a,
        b=b,
        num_pairs=len(pairs),
        size_a=len(pairs[0][0].rows),
        size_b=len(pairs[0][1].rows),
        shared=float(np.mean(shared)),
        expected=float(np.mean(expected)),
    )
