"""Statistics of a teacher's traces of a pool: counts by status, reason and length.

    {"num_rows": 5, "status": {"failed": 1, "incomplete": 1, "ok": 3},
     "failed": {"the row holds no text to replay": 1}, "incomplete": {"no answer": 1},
     "num_tokens": {"mean": 20.0, "quantiles": {"0": 10, "0.05": 10, ..., "1": 30}},
     "histogram": {"edges": [0, 1, 2, 4, ...], "counts": [...]}}

Lengths are tokens of complete traces, as counted by the engine; a bin is [edge, next edge).
"""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nt_pkg.files.parquet import read_parquet
from nt_pkg.files.schemas import TRACES
from nt_pkg.statistics.histograms import token_histogram

QUANTILES = (0, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1)
MAX_REASONS = 20  # a server may give a different reason for every row
OTHER_REASONS = "other reasons"


def trace_statistics(shards: Sequence[Path]) -> dict[str, Any]:
    """Return the statistics of all shards of one pool and teacher.

    Raises:
        ValueError: a shard is cut off or of another version.
    """
    status: Counter[str] = Counter()
    reasons: dict[str, Counter[str]] = {"incomplete": Counter(), "failed": Counter()}
    tokens: list[int] = []
    for path in shards:
        for row in read_parquet(path, TRACES, columns=("status", "completion_tokens", "error")):
            status[row["status"]] += 1
            if row["status"] == "ok":
                tokens.append(row["completion_tokens"])
            else:
                reasons[row["status"]][row["error"]] += 1
    tokens.sort()
    return {
        "num_rows": status.total(),
        "status": dict(sorted(status.items())),
        **{name: _most_common(counts) for name, counts in reasons.items()},
        "num_tokens": {
            "mean": sum(tokens) / len(tokens) if tokens else None,
            "quantiles": {f"{q:g}": _quantile(tokens, q) for q in QUANTILES if tokens},
        },
        "histogram": token_histogram(tokens),
    }


def _most_common(counts: Counter[str]) -> dict[str, int]:
    """Return the counts of the most common reasons, ties by name, and of the others together."""
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    rest = sum(count for _, count in ordered[MAX_REASONS:])
    return dict(ordered[:MAX_REASONS]) | ({OTHER_REASONS: rest} if rest else {})


def _quantile(ordered: Sequence[int], share: float) -> int:
    """Return the smallest value that at least this share of the values does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
