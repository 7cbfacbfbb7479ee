"""Subsets: which traces a selector picks, and why the others could not be picked."""

import json
from collections import Counter
from typing import Any

from nt_pkg import plugins
from nt_pkg.config import plugin_params
from nt_pkg.records import Row
from nt_pkg.selectors._base import Candidate


def select_subset(
    selector: str,
    params: dict[str, Any],
    size: int,
    seed: int,
    traces: list[Row],
    annotations: dict[str, list[Row]],
) -> tuple[list[Row], dict[str, Any]]:
    """Return the rows of a subset, best first, and what its manifest says of the choice.

    Args:
        selector: module of nt_pkg/selectors.
        params: its parameters.
        size: number of rows.
        seed: seed of the draw.
        traces: id and status of every trace of the pool.
        annotations: rows of each annotator that the selector requires.

    Raises:
        ValueError: the rule allows fewer rows than `size`.
    """
    checked = plugin_params("selectors", selector, params, f"selector {selector}")
    plugin = plugins.plugin("selectors", selector)
    candidates, unusable = _candidates(
        traces, {name: annotations[name] for name in plugin.requires}
    )
    picked = plugin.select(checked, candidates, size, seed)[:size]
    if len(picked) < size:
        raise ValueError(
            f"selector {selector} found {len(picked)} rows of {len(candidates)} candidates "
            f"({len(traces)} traces; unusable: {dict(unusable) or 'none'}), {size} were asked for: "
            "lower `size` in the catalogue's subsets, or enlarge the pool"
        )
    known = {candidate.id for candidate in candidates}
    ids = [pick.id for pick in picked]
    assert len(set(ids)) == size and known.issuperset(ids), (
        f"selector {selector} broke its contract"
    )
    rows = [{"rank": rank, "id": p.id, "score": float(p.score)} for rank, p in enumerate(picked)]
    return rows, {
        "num_traces": len(traces),
        "num_candidates": len(candidates),
        "unusable": dict(sorted(unusable.items())),
    }


def _candidates(
    traces: list[Row], annotations: dict[str, list[Row]]
) -> tuple[list[Candidate], Counter[str]]:
    labels = {name: {row["id"]: row for row in rows} for name, rows in annotations.items()}
    unusable: Counter[str] = Counter()
    candidates = []
    for trace in sorted(traces, key=lambda row: str(row["id"])):
        if trace["status"] != "ok":
            unusable[f"trace {trace['status']}"] += 1
            continue
        rows = {name: by_id[trace["id"]] for name, by_id in labels.items()}
        bad = [name for name, row in rows.items() if row["status"] != "ok"]
        if bad:
            unusable[f"annotation {bad[0]} failed"] += 1
            continue
        values = {name: json.loads(row["value"]) for name, row in rows.items()}
        candidates.append(Candidate(trace["id"], values))
    return candidates, unusable
