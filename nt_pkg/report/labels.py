"""The labels of a study, for the report: a column per annotator.

A row is a place among the rows of its pool, and its label the number of a value that occurs. So a
million rows take megabytes, and only values that are counted by name stay Python objects.
"""

import json
import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nt_pkg.dialogue.strategy_names import normalise_strategy
from nt_pkg.files.json_files import storable
from nt_pkg.files.parquet import read_names, stream_columns
from nt_pkg.files.schemas import ANNOTATIONS
from nt_pkg.files.vectors import are_vectors
from nt_pkg.report.records import AnnotationCounts, Histogram, Histograms, LabelMean

_NUM_BINS = 12
_BATCH_ROWS = 65_536
_NO_LABEL = -1
_COUNTED = ("domain", "strategies")  # annotators of whose values there are histograms
_ANY = "any"  # teacher of labels of questions
TraceSet = tuple[str, str]  # pool, teacher
_Places = NDArray[np.int64]  # of rows among those of their pool


_Numbers = tuple[NDArray[np.float64], NDArray[np.bool_]]  # and which values have one


@dataclass(frozen=True)
class _Column:
    """The labels of an annotator: that of the row at a place is the value number `codes[place]`.

    Places behind the end of `codes` have no label. A value may have several numbers.

    Attributes:
        codes: by place.
        numbers: of each value by name. A label that is true or false counts as 1 or 0, a list as
            its length, and of one with fields each is a label: `length.num_tokens`.
        values: of annotators whose values are counted.
    """

    codes: NDArray[np.int64]
    numbers: Mapping[str, _Numbers]
    values: Sequence[Any]

    def at(self, places: _Places | None) -> NDArray[np.int64]:
        """Return the codes of rows in their order, or of all rows that have a label."""
        if places is None:
            return np.asarray(self.codes[self.codes != _NO_LABEL])
        is_here = (places >= 0) & (places < len(self.codes))
        codes = self.codes[np.where(is_here, places, 0)]
        return np.asarray(np.where(is_here, codes, _NO_LABEL))


class _Reading:
    """The labels of an annotator as they are read."""

    def __init__(self, annotator: str) -> None:
        self._annotator, self._num_values = annotator, 0
        self.ids: list[pa.Array] = []
        self._codes: list[NDArray[np.int64]] = []
        self._numbers: dict[str, tuple[array[int], array[float]]] = {}
        self._values: list[Any] = []

    def add(self, ids: pa.Array, texts: pa.Array) -> None:
        """Take the labels of some rows."""
        distinct = texts.dictionary_encode()
        found = json.loads(f"[{','.join(distinct.dictionary.to_pylist())}]")
        found = [_as_counted(self._annotator, storable(value)) for value in found]
        for code, value in enumerate(found, self._num_values):
            for name, number in _numbers(self._annotator, value):
                own = self._numbers.setdefault(name, (array("q"), array("d")))
                own[0].append(code)
                own[1].append(number)
        self.ids.append(ids)
        self._codes.append(distinct.indices.to_numpy() + self._num_values)
        self._values += found if self._annotator in _COUNTED else []
        self._num_values += len(found)

    def column(self, places: _Places, num_rows: int) -> _Column:
        """Return all of them.

        Args:
            places: of the rows, in the order in which they were taken.
            num_rows: rows that have a place.
        """
        codes = np.full(num_rows, _NO_LABEL)
        codes[places] = np.concatenate(self._codes)
        numbers: dict[str, _Numbers] = {}
        for name, (of, each) in self._numbers.items():
            numbers[name] = np.zeros(self._num_values), np.zeros(self._num_values, bool)
            numbers[name][0][np.asarray(of)], numbers[name][1][np.asarray(of)] = each, True
        return _Column(codes, numbers, self._values)


class Labels:
    """Labels of every pool and teacher by annotator, with counts of lost rows."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Read all label shards; of vectors only counts."""
        self._columns: dict[TraceSet, dict[str, _Column]] = {}
        self._rows: dict[str, pa.Array] = {}  # ids of a pool
        self._failed: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
        self._num_ok: Counter[tuple[str, str, str]] = Counter()
        shards: dict[tuple[str, str, str], list[Path]] = defaultdict(list)
        for path in paths:
            names = read_names(path)
            shards[names["pool"], names.get("teacher", _ANY), names["annotator"]].append(path)
        for (pool, teacher, annotator), own in shards.items():
            column = self._read(pool, teacher, annotator, own)
            if column is not None:
                self._columns.setdefault((pool, teacher), {})[annotator] = column

    def _read(
        self, pool: str, teacher: str, annotator: str, paths: Sequence[Path]
    ) -> _Column | None:
        key = pool, teacher, annotator
        found, failed = _Reading(annotator), self._failed[key]
        for path in paths:
            for batch in stream_columns(path, ANNOTATIONS, ANNOTATIONS.names, _BATCH_ROWS):
                status = batch.column("status")
                failed.update(batch.column("error").filter(pc.equal(status, "failed")).to_pylist())
                labelled = batch.filter(pc.equal(status, "ok"))
                self._num_ok[key] += len(labelled)
                texts = labelled.column("value")
                if len(texts) and not (teacher == _ANY and are_vectors(texts)):
                    found.add(labelled.column("id"), texts)
        if not found.ids:
            return None
        places = self._add(pool, pa.concat_arrays(found.ids))
        return found.column(places, len(self._rows[pool]))

    def _add(self, pool: str, ids: pa.Array) -> _Places:
        """Return the places of rows; those that are new come behind the others."""
        known = self._rows.get(pool, ids[:0])
        new = ids.filter(pc.invert(pc.is_in(ids, known)))
        self._rows[pool] = pa.concat_arrays([known, new.unique()])
        return self.places(pool, ids)

    def places(self, pool: str, ids: pa.Array) -> _Places:
        """Return the places of rows of a pool, -1 of those without any label."""
        known = self._rows.get(pool, ids[:0])
        return np.asarray(pc.index_in(ids, known).fill_null(_NO_LABEL)).astype(np.int64)

    def trace_sets(self) -> list[TraceSet]:
        """Return every pool and teacher with labels, in the order of the files."""
        return list(self._columns)

    def summaries(self) -> list[AnnotationCounts]:
        """Return counts of the rows of each annotator, and of its failures by reason."""
        return [
            AnnotationCounts(
                pool=key[0],
                teacher=key[1],
                annotator=key[2],
                num_rows=self._num_ok[key] + failed.total(),
                failed=dict(failed),
            )
            for key, failed in sorted(self._failed.items())
        ]

    def histograms(self, key: TraceSet, places: _Places | None) -> Histograms:
        """Return token, domain and strategy histograms of some rows, or of all rows."""
        return Histograms(
            num_tokens=self._count_tokens(key, places),
            domain=self._count_values(key, "domain", places),
            strategies=self._count_values(key, "strategies", places),
        )

    def means(self, pool: str, teacher: str, places: _Places) -> dict[str, LabelMean]:
        """Return the mean of every numeric label of some rows that have one."""
        found: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
        for key in ((pool, teacher), (pool, _ANY)):
            for column in self._columns.get(key, {}).values():
                codes = column.at(places)
                codes = codes[codes != _NO_LABEL]
                for name, (numbers, has_one) in column.numbers.items():
                    found[name].append(numbers[codes[has_one[codes]]])
        whole = {name: np.concatenate(found[name]) for name in sorted(found)}
        return {name: _mean(numbers) for name, numbers in whole.items() if len(numbers)}

    def _count_tokens(self, key: TraceSet, places: _Places | None) -> Histogram | None:
        column = self._columns.get(key, {}).get("length")
        if column is None or "length.num_tokens" not in column.numbers:
            return None
        tokens = column.numbers["length.num_tokens"][0].astype(np.int64)
        width = max(1, -(-int(tokens.max()) // _NUM_BINS))
        codes = column.at(places)
        bins = np.bincount(tokens[codes[codes != _NO_LABEL]] // width, minlength=_NUM_BINS + 1)
        return Histogram(
            edges=[width * at for at in range(_NUM_BINS + 2)],
            counts=bins[: _NUM_BINS + 1].tolist(),
        )

    def _count_values(
        self, key: TraceSet, annotator: str, places: _Places | None
    ) -> dict[str, int]:
        column = self._columns.get(key, {}).get(annotator)
        if column is None:
            return {}
        codes = column.at(places)
        numbers = np.bincount(codes[codes != _NO_LABEL], minlength=len(column.values))
        counts: Counter[str] = Counter()
        for code in np.flatnonzero(numbers).tolist():
            value = column.values[code]
            for each in value if isinstance(value, list) else [value]:
                counts[each] += int(numbers[code])
        if num_unlabelled := int(np.count_nonzero(codes == _NO_LABEL)):
            counts["unlabelled"] += num_unlabelled
        return dict(sorted(counts.items()))


def _numbers(name: str, value: Any) -> Iterable[tuple[str, float]]:
    """Return the numbers of a label by name."""
    if isinstance(value, dict):
        return [each for key in value for each in _numbers(f"{name}.{key}", value[key])]
    if isinstance(value, list):
        return [(f"number of {name}", float(len(value)))]
    return [(name, float(value))] if isinstance(value, bool | int | float) else []


def _mean(values: NDArray[np.float64]) -> LabelMean:
    spread = float(values.std(ddof=1)) if len(values) > 1 else None
    error = None if spread is None else spread / math.sqrt(len(values))
    return LabelMean(float(values.mean()), error, len(values))


def _as_counted(annotator: str, value: Any) -> Any:
    """Return a label as the report counts it: spellings of one strategy count as one."""
    if annotator != "strategies" or not isinstance(value, list):
        return value
    return sorted({normalise_strategy(str(each)) for each in value})
