"""Subsets: the traces that a selector picks, and why others could not be picked.

Rows are columns of Arrow and numpy throughout, so that a pool of a million rows takes seconds.
"""

import dataclasses
import json
import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nt_pkg.files.json_files import storable
from nt_pkg.files.schemas import Row
from nt_pkg.plugins.registry import plugin
from nt_pkg.selectors._base import Candidates, Picks, idle_conditions

logger = logging.getLogger(__name__)

_CHUNK_ROWS = 65_536  # JSON values that are Python objects at the same time
_LOST = ("incomplete", "failed")  # traces that were never complete
_MOST_REASONS, _REASON_LETTERS = 3, 100


def select_subset(
    selector: str,
    params: dict[str, Any],
    size: int,
    seed: int,
    traces: pa.Table,
    annotations: Mapping[str, pa.Table],
    near: Mapping[str, pa.Table] | None = None,
    tokens: int | None = None,
) -> tuple[list[Row], dict[str, Any]]:
    """Return the rows of a subset, best first, and the counts for its manifest.

    Args:
        selector: module of nt_pkg/selectors.
        params: its parameters in the form of a spec: checked when the study was read.
        size: number of rows.
        seed: seed of the selection.
        traces: id and status of every trace of the pool, in any order; with `tokens` also
            completion_tokens. The reasons (`error`) help if too few can be selected.
        annotations: id, status and value (JSON) of each annotator that the selector requires.
        near: the same of the questions that rows are chosen near to, for selectors that need them.
        tokens: tokens of the teacher that the rows may have together: the best ones as long as they
            fit, `size` at most; None: `size` rows.

    Raises:
        ValueError: the rule allows fewer rows than `size`, or not as many tokens; or labels and
            traces are not of the same rows.
    """
    found = plugin("selectors", selector)
    needed = found.needs(params)
    candidates, unusable = _candidates(traces, {name: annotations[name] for name in needed})
    lost: Counter[str] = Counter()
    if found.needs_near:
        neighbours, lost = _near({name: (near or {})[name] for name in needed})
        candidates = dataclasses.replace(candidates, near=neighbours)
    picks = Picks(np.empty(0, int), np.empty(0))
    if len(candidates):  # without a row, labels have no type
        picks = found.select(found.params(**params), candidates, size, seed)
    positions, scores = picks.positions[:size], picks.scores[:size]
    unusable.update(picks.unusable)
    num_candidates = len(candidates) - sum(picks.unusable.values())
    ids = candidates.ids.take(pa.array(positions, pa.int64()))
    spent = None
    if tokens is not None:
        num, spent = _within(tokens, ids, traces, f"selector {selector} at size {size}")
        positions, scores, ids = positions[:num], scores[:num], ids[:num]
    elif len(positions) < size:
        raise ValueError(
            f"selector {selector} found {len(positions)} rows of {num_candidates} candidates "
            f"({len(traces)} traces; unusable: {_say_unusable(unusable, traces)}), {size} were "
            "asked for: lower `size` in the catalogue's subsets, or enlarge the pool"
        )
    for line in idle_conditions(picks.conditions, num_candidates):
        logger.warning(
            "selector %s has a condition that decides next to nothing: %s", selector, line
        )
    assert np.bincount(positions, minlength=1).max() <= 1, f"selector {selector} broke its contract"
    rows = [
        {"rank": rank, "id": row_id, "score": score}
        for rank, (row_id, score) in enumerate(
            zip(ids.to_pylist(), scores.astype(float).tolist(), strict=True)
        )
    ]
    return rows, {
        "num_traces": len(traces),
        "num_candidates": num_candidates,
        "unusable": dict(sorted(unusable.items())),
        **({"tokens": spent} if spent is not None else {}),
        **({"counts": dict(picks.counts)} if picks.counts else {}),
        **({"conditions": dict(picks.conditions)} if picks.conditions else {}),
        **({"unusable_near": dict(lost)} if lost else {}),
    }


def _say_unusable(unusable: Mapping[str, int], traces: pa.Table) -> str:
    """Return the numbers of unusable rows, with the most frequent reasons of incomplete traces."""
    said = ", ".join(f"{number} {what}" for what, number in sorted(unusable.items()))
    if "error" not in traces.column_names:
        return said or "none"
    lost = pc.is_in(traces["status"], pa.array(_LOST))
    reasons = Counter(traces["error"].filter(lost).to_pylist()).most_common(_MOST_REASONS)
    if not reasons:
        return said or "none"
    why = ", ".join(f"{number} {str(what)[:_REASON_LETTERS]}" for what, number in reasons)
    return f"{said}; the traces: {why}, which docs/baselines.md explains"


def _within(most: int, ids: pa.Array, traces: pa.Table, where: str) -> tuple[int, int]:
    """Return how many of the picked rows fit into `most` tokens, and the tokens of those.

    Raises:
        ValueError: all rows together have fewer tokens, or the first has more.
    """
    at = pc.index_in(ids, traces["id"].combine_chunks())
    counts = traces["completion_tokens"].combine_chunks().take(at)
    total = np.cumsum(counts.to_numpy())
    num = int(np.searchsorted(total, most, side="right"))
    have = int(total[num - 1]) if num else 0
    if num == len(total) and have < most:
        raise ValueError(
            f"{where} has {num} rows with {have} tokens of the teacher, and {most} were asked for: "
            "raise `size` (the most rows), lower `tokens`, or enlarge the pool"
        )
    if num == 0:
        raise ValueError(f"{where}: the first trace alone has more than {most} tokens")
    return num, have


def candidates_of(traces: pa.Table, annotations: Mapping[str, pa.Table]) -> Candidates:
    """Return the complete traces that have every label, ordered by id.

    Args:
        traces: id and status of every trace of the pool, in any order.
        annotations: id, status and value (JSON) of each annotator.

    Raises:
        ValueError: labels and traces are not of the same rows.
    """
    return _candidates(traces, annotations)[0]


def _candidates(
    traces: pa.Table, annotations: Mapping[str, pa.Table]
) -> tuple[Candidates, Counter[str]]:
    traces = traces.sort_by("id")
    tables = {name: table.sort_by("id") for name, table in annotations.items()}
    unusable = Counter(f"trace {s}" for s in traces["status"].to_pylist() if s != "ok")
    usable = pc.equal(traces["status"], "ok")
    for name, table in tables.items():
        if not table["id"].equals(traces["id"]):
            raise ValueError(f"traces and annotation {name} do not hold the same ids")
        is_labelled = pc.equal(table["status"], "ok")
        if num_bad := pc.sum(pc.and_not(usable, is_labelled)).as_py():
            unusable[f"annotation {name} failed"] = num_bad
        usable = pc.and_(usable, is_labelled)
    labels = {name: _values(name, table["value"].filter(usable)) for name, table in tables.items()}
    return Candidates(_whole(traces["id"].filter(usable)), labels), unusable


def _near(annotations: Mapping[str, pa.Table]) -> tuple[Candidates, Counter[str]]:
    """Return labelled questions that need no trace."""
    first = next(iter(annotations.values()))
    traces = pa.table({"id": first["id"], "status": ["ok"] * len(first)})
    found, lost = _candidates(traces, annotations)
    if not len(found):
        raise ValueError(
            f"no question of the `near` pool has labels ({dict(lost) or 'the pool is empty'}): "
            "check the subset's `near`"
        )
    return found, lost


def _values(name: str, texts: pa.ChunkedArray) -> pa.Array:
    """Return the values of JSON texts as one typed column."""
    parts = []
    for start in range(0, max(len(texts), 1), _CHUNK_ROWS):
        chunk = texts.slice(start, _CHUNK_ROWS).to_pylist()
        try:
            values = _array(json.loads(f"[{','.join(chunk)}]"))
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise ValueError(f"annotation {name} mixes labels of several kinds: {error}") from error
        if pa.types.is_string(values.type):  # together they may have more than 2 GiB
            values = values.cast(pa.large_string())
        parts.append(pa.table({name: values}))
    return _whole(pa.concat_tables(parts, promote_options="permissive")[name])


def _array(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except UnicodeEncodeError:  # labels of an earlier version may hold half an emoji
        return pa.array(storable(values))


def _whole(column: pa.ChunkedArray) -> pa.Array:
    combined = column.combine_chunks()
    return combined.combine_chunks() if isinstance(combined, pa.ChunkedArray) else combined
