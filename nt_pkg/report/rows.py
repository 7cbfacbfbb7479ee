"""Rows that a reader can look at: what only one of two subsets picked, and a sample of a pool.

Only ids are read of whole pools; texts are read as a stream, and kept for the rows that are shown.
Which rows these are depends on their ids and a seed alone.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nt_pkg.config.base import IMPORTED, UNTRAINED
from nt_pkg.config.filters import expand_comparison
from nt_pkg.config.report import Comparison
from nt_pkg.files.json_files import read_fields, storable
from nt_pkg.files.parquet import read_columns, read_names, rows_of
from nt_pkg.files.schemas import ANNOTATIONS, PROMPTS, TRACES
from nt_pkg.files.vectors import are_vectors
from nt_pkg.identity.seeds import order_keys
from nt_pkg.report.overlaps import Draw
from nt_pkg.report.records import Pick, PickedTrace, Trace
from nt_pkg.report.samples import shorten

SEED = 0
NUM_PICKED = 8  # rows of each side of a comparison
NUM_SAMPLED = 300  # rows of all pools and teachers together
_MOST_LETTERS = 300  # of a label
_TraceSet = tuple[str, str]  # pool, teacher


@dataclass(frozen=True)
class Texts:
    """Where the texts of pools are: files of prompts, shards of traces and labels."""

    prompts: Mapping[str, Path]
    confidential: frozenset[str]  # pools
    traces: Mapping[_TraceSet, Sequence[Path]]
    labels: Mapping[tuple[str, str | None, str], Sequence[Path]]  # pool, teacher, annotator


def find_texts(
    pools: Sequence[tuple[Path, Path]],
    traces: Sequence[Path],
    labels: Sequence[Path],
    confidential: Sequence[str] = (),
) -> Texts:
    """Return where the texts are.

    Args:
        pools: `pool.json` and prompts of every pool.
        traces: all shards of traces.
        labels: all shards of labels.
        confidential: names of pools whose text must not be shown.
    """
    prompts = {read_fields(manifest)["pool"]: path for manifest, path in pools}
    told: dict[_TraceSet, list[Path]] = defaultdict(list)
    for path in traces:
        names = read_names(path)
        told[names["pool"], names["teacher"]].append(path)
    said: dict[tuple[str, str | None, str], list[Path]] = defaultdict(list)
    for path in labels:
        names = read_names(path)
        said[names["pool"], names.get("teacher"), names["annotator"]].append(path)
    return Texts(prompts, frozenset(confidential), told, said)


def choose_pairs(comparisons: Sequence[Comparison]) -> list[tuple[str, str]]:
    """Return every two subsets that a comparison sets against each other."""
    found: dict[tuple[str, str], None] = {}
    for comparison in comparisons:
        a, b = (side.get("subset") for side in expand_comparison(comparison))
        named = {name for name in (a, b) if isinstance(name, str)} - {UNTRAINED, IMPORTED}
        if len(named) == 2:
            found.setdefault((str(a), str(b)))
    return list(found)


def show_rows(
    pairs: Sequence[tuple[str, str]],
    draws: Sequence[Draw],
    texts: Texts,
    num_sampled: int = NUM_SAMPLED,
    num_picked: int = NUM_PICKED,
) -> tuple[list[Pick], list[Trace]]:
    """Return what only one of two subsets picked, and a sample of every pool and teacher.

    Args:
        pairs: the subsets to compare.
        draws: the draws of all subsets.
        texts: where the texts are.
        num_sampled: rows of all pools and teachers together.
        num_picked: rows of each side of a pair.
    """
    sides = [_split(pair, draws, num_picked) for pair in pairs]
    wanted: dict[_TraceSet, set[str]] = defaultdict(set)
    for each in sides:
        for draw, rows, _ in each:
            wanted[draw.pool, draw.teacher].update(rows["id"].to_pylist())
    number = -(-num_sampled // max(1, len(texts.traces)))
    sampled = {key: _sample(paths, number) for key, paths in sorted(texts.traces.items())}
    for key, ids in sampled.items():
        wanted[key].update(ids)
    found = {key: _read(key, sorted(ids), texts, draws) for key, ids in wanted.items()}
    picks = [_pick(each, found) for each in sides if each]
    return picks, [found[key][row_id] for key, ids in sampled.items() for row_id in ids]


_Side = tuple[Draw, pa.Table, int]  # a draw, rows that only it has, how many it has


def _split(pair: tuple[str, str], draws: Sequence[Draw], number: int) -> list[_Side]:
    """Return both sides at the lowest seed that both have; nothing if there is none."""
    a, b = ({draw.seed: draw for draw in draws if draw.subset == name} for name in pair)
    if not (both := a.keys() & b.keys()):
        return []
    one, other = a[min(both)], b[min(both)]
    return [
        (x, rows.take(_lowest(rows["id"].to_pylist(), number)), len(rows))
        for x, rows in ((one, one.without(other)), (other, other.without(one)))
    ]


def _lowest(ids: Sequence[str], number: int) -> Any:
    """Return the places of the ids that come first in a pseudo-random order."""
    keys = order_keys(SEED, ids)
    return np.lexsort((np.arange(len(keys)), keys))[:number]


def _sample(paths: Sequence[Path], number: int) -> list[str]:
    ids = read_columns(paths, TRACES, ["id"])["id"].to_pylist()
    return [ids[at] for at in _lowest(ids, number)]


def _pick(sides: Sequence[_Side], found: Mapping[_TraceSet, Mapping[str, Trace]]) -> Pick:
    rows = [
        [
            PickedTrace(
                trace=found[draw.pool, draw.teacher][row["id"]],
                rank=row["rank"],
                score=row["score"],
            )
            for row in table.to_pylist()
        ]
        for draw, table, _ in sides
    ]
    (a, _, num_a), (b, _, num_b) = sides
    return Pick(
        a=a.subset,
        b=b.subset,
        seed=a.seed,
        num_both=len(a.rows) - num_a,
        num_only_a=num_a,
        num_only_b=num_b,
        only_a=rows[0],
        only_b=rows[1],
    )


def _read(
    key: _TraceSet, ids: Sequence[str], texts: Texts, draws: Sequence[Draw]
) -> dict[str, Trace]:
    """Return traces with their prompts and labels, by id."""
    pool, teacher = key
    wanted = pa.array(ids, pa.string())
    labels = list(_labels(key, wanted, texts))
    asked = rows_of([texts.prompts[pool]], PROMPTS, wanted, ["id", "question", "reference_answer"])
    columns = ["id", "status", "reasoning", "answer", "completion_tokens"]
    told = rows_of(texts.traces[key], TRACES, wanted, columns)
    members: dict[str, set[str]] = defaultdict(set)
    for draw in draws:
        if (draw.pool, draw.teacher) == key:
            inside = draw.ids.filter(pc.is_in(draw.ids, wanted.cast(pa.large_string())))
            for row_id in inside.to_pylist():
                members[row_id].add(draw.subset)
    found = {}
    for row_id, prompt, trace in zip(ids, asked, told, strict=True):
        if prompt is None or trace is None:
            raise ValueError(
                f"row {row_id} of pool {pool} has no {'prompt' if prompt is None else 'trace'} of "
                f"{teacher}: the subsets were chosen from other files; run the study again"
            )
        record = Trace(
            id=row_id,
            pool=pool,
            teacher=teacher,
            status=trace["status"],
            num_tokens=trace["completion_tokens"],
            labels={name: own[row_id] for name, own, _ in labels if row_id in own},
            unlabelled={name: lost[row_id] for name, _, lost in labels if row_id in lost},
            subsets=sorted(members[row_id]),
        )
        if pool in texts.confidential:
            numbers = {k: v for k, v in record.labels.items() if isinstance(v, bool | int | float)}
            found[row_id] = replace(record, labels=numbers, unlabelled={})
            continue
        found[row_id] = replace(
            record,
            question=shorten(prompt["question"]),
            reference_answer=shorten(prompt["reference_answer"] or "") or None,
            reasoning=shorten(trace["reasoning"]),
            answer=shorten(trace["answer"]),
        )
    return found


def _labels(
    key: _TraceSet, ids: pa.Array, texts: Texts
) -> Iterator[tuple[str, dict[str, object], dict[str, str]]]:
    """Yield every annotator with its labels of some rows, and why others have none.

    Vectors are left out.
    """
    pool, teacher = key
    for (of_pool, of_teacher, annotator), paths in sorted(
        texts.labels.items(), key=lambda item: str(item[0])
    ):
        if of_pool != pool or of_teacher not in (teacher, None):
            continue
        columns = ["id", "status", "value", "error"]
        rows = [row for row in rows_of(paths, ANNOTATIONS, ids, columns) if row is not None]
        texts = pa.array([row["value"] for row in rows if row["status"] == "ok"], pa.string())
        if of_teacher is None and are_vectors(texts):
            continue
        found: dict[str, object] = {}
        lost: dict[str, str] = {}
        for row in rows:
            if row["status"] == "ok":
                found[row["id"]] = _short(storable(json.loads(row["value"])))
            else:
                lost[row["id"]] = (row["error"] or row["status"])[:_MOST_LETTERS]
        if found or lost:
            yield annotator, found, lost


def _short(value: Any) -> object:
    if isinstance(value, str):
        return value[:_MOST_LETTERS]
    if isinstance(value, list):
        return [_short(each) for each in value[:50]]
    return {key: _short(own) for key, own in value.items()} if isinstance(value, dict) else value
