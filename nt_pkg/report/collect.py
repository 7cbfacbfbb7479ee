"""The records of a report, read from the artifacts of a study."""

import json
import math
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nt_pkg.dialogue.strategy_names import normalise_strategy
from nt_pkg.files.json_files import digest, storable
from nt_pkg.files.manifest import read_manifest
from nt_pkg.files.parquet import read_names, read_parquet
from nt_pkg.files.schemas import ANNOTATIONS, SUBSET
from nt_pkg.report.records import (
    AnnotationCounts,
    Histogram,
    Histograms,
    Inputs,
    LabelMean,
    Pool,
    Run,
    RunName,
    Sample,
    Score,
    Study,
    Subset,
    TraceSet,
    read_record,
)
from nt_pkg.report.summary import digest_ids

_NUM_BINS = 12
_TraceSet = tuple[str, str]  # pool, teacher
_ANY = "any"  # teacher of labels of questions


class Labels:
    """Labels of every pool and teacher by annotator and row id, with counts of lost rows."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Read all label shards."""
        self.values: dict[_TraceSet, dict[str, dict[str, Any]]] = defaultdict(
            lambda: defaultdict(dict)
        )
        self._failed: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
        self._num_ok: Counter[tuple[str, str, str]] = Counter()
        for path in paths:
            names = read_names(path)
            key = names["pool"], names.get("teacher", _ANY)
            failed = self._failed[*key, names["annotator"]]
            for row in read_parquet(path, ANNOTATIONS):
                if row["status"] == "ok":
                    self._num_ok[*key, names["annotator"]] += 1
                    if "teacher" not in names and row["value"].startswith("["):
                        continue  # vectors are not counted
                    value = _as_counted(names["annotator"], storable(json.loads(row["value"])))
                    self.values[key][names["annotator"]][row["id"]] = value
                elif row["status"] == "failed":
                    failed[row["error"]] += 1

    def summaries(self) -> list[AnnotationCounts]:
        """Return counts of each annotator: rows, failures by reason, values."""
        found = []
        for (pool, teacher, annotator), failed in sorted(self._failed.items()):
            values = self.values.get((pool, teacher), {}).get(annotator, {})
            counts = Counter(
                str(each)
                for value in values.values()
                if not isinstance(value, dict)
                for each in (value if isinstance(value, list) else [value])
            )
            found.append(
                AnnotationCounts(
                    pool=pool,
                    teacher=teacher,
                    annotator=annotator,
                    num_rows=self._num_ok[pool, teacher, annotator] + failed.total(),
                    failed=dict(failed),
                    values=dict(sorted(counts.items())),
                )
            )
        return found

    def histograms(self, key: _TraceSet, ids: Iterable[str] | None) -> Histograms:
        """Return token, domain and strategy histograms of some rows, or of all rows."""
        ids = None if ids is None else list(ids)
        return Histograms(
            num_tokens=self._count_tokens(key, ids),
            domain=self._count_values(key, "domain", ids),
            strategies=self._count_values(key, "strategies", ids),
        )

    def means(self, pool: str, teacher: str, ids: Sequence[str]) -> dict[str, LabelMean]:
        """Return the mean of every numeric label of some rows that have one.

        A label that is true or false counts as 1 or 0, a list as its length, and of one with
        fields each is a label: `length.num_tokens`.
        """
        found: dict[str, list[float]] = defaultdict(list)
        for key in ((pool, teacher), (pool, _ANY)):
            for annotator, labels in self.values.get(key, {}).items():
                for row_id in ids:
                    for name, number in _numbers(annotator, labels.get(row_id)):
                        found[name].append(number)
        return {name: _mean(numbers) for name, numbers in sorted(found.items())}

    def _count_tokens(self, key: _TraceSet, ids: Sequence[str] | None) -> Histogram | None:
        labels = self.values[key].get("length")
        if not labels:
            return None
        tokens = {row_id: value["num_tokens"] for row_id, value in labels.items()}
        width = max(1, -(-max(tokens.values()) // _NUM_BINS))
        bins = Counter(tokens[row_id] // width for row_id in (tokens if ids is None else ids))
        return Histogram(
            edges=[width * at for at in range(_NUM_BINS + 2)],
            counts=[bins[at] for at in range(_NUM_BINS + 1)],
        )

    def _count_values(
        self, key: _TraceSet, annotator: str, ids: Sequence[str] | None
    ) -> dict[str, int]:
        labels = self.values[key].get(annotator)
        if not labels:
            return {}
        counts: Counter[str] = Counter()
        for row_id in labels if ids is None else ids:
            value = labels.get(row_id, "unlabelled")
            counts.update(value if isinstance(value, list) else [value])
        return dict(sorted(counts.items()))


def collect(
    study: Study,
    pools: Sequence[Path],
    traces: Sequence[Path],
    labels: Sequence[Path],
    subsets: Sequence[tuple[Path, Path]],
    examples: Sequence[Path],
    runs: Sequence[Path],
    scores: Sequence[Path],
    command: str = "snakemake",
) -> Inputs:
    """Return the records of a report, without the timings.

    Args:
        study: the study's settings for the report.
        pools: `pool.json` files.
        traces: statistics of the traces, one file per pool and teacher.
        labels: label shards.
        subsets: ids and manifest of every subset.
        examples: manifests of training data.
        runs: `run.json` files.
        scores: score files.
        command: rebuilds a file when its path is appended.

    Raises:
        ValueError: a field of an artifact is missing or of another type.
    """
    known = Labels(labels)
    trained_on = {_run_key(path, each): each for path in examples for each in [read_manifest(path)]}
    found = [(path, _with_source(path, command)) for path in scores]
    return Inputs(
        study=study,
        pools=[_pool(path, known) for path in pools],
        traces=[_trace_set(path) for path in traces],
        annotations=known.summaries(),
        subsets=[_subset(ids, manifest, known, command) for ids, manifest in subsets],
        runs=[_run(path, trained_on, command) for path in runs],
        scores=[read_record(Score, score, path) for path, score in found],
        samples=[sample for path, score in found for sample in _samples(path, score)],
    )


def names_in_use(inputs: Inputs) -> set[str]:
    """Return the names of pools, subsets, students and so on in a study's artifacts."""
    return {
        *(pool.pool for pool in inputs.pools),
        *(name for each in inputs.traces for name in (each.pool, each.teacher)),
        *(n for each in inputs.annotations for n in (each.pool, each.teacher, each.annotator)),
        *(n for subset in inputs.subsets for n in (subset.pool, subset.teacher, subset.subset)),
        *(name for run in inputs.runs for name in (run.student, run.subset, run.format)),
        *(name for s in inputs.scores for name in (s.student, s.subset, s.format, s.benchmark)),
    }


def _numbers(name: str, value: Any) -> Iterable[tuple[str, float]]:
    """Return the numbers of a label by name."""
    if isinstance(value, dict):
        return [each for key in value for each in _numbers(f"{name}.{key}", value[key])]
    if isinstance(value, list):
        return [(f"number of {name}", float(len(value)))]
    return [(name, float(value))] if isinstance(value, bool | int | float) else []


def _mean(numbers: Sequence[float]) -> LabelMean:
    values = np.asarray(numbers)
    spread = float(values.std(ddof=1)) if len(values) > 1 else None
    error = None if spread is None else spread / math.sqrt(len(values))
    return LabelMean(float(values.mean()), error, len(values))


def _as_counted(annotator: str, value: Any) -> Any:
    """Return a label as the report counts it: spellings of one strategy count as one."""
    if annotator != "strategies" or not isinstance(value, list):
        return value
    return sorted({normalise_strategy(str(each)) for each in value})


def _trace_set(path: Path) -> TraceSet:
    found = read_manifest(path)
    mean = found.get("num_tokens", {}).get("mean")
    return read_record(TraceSet, {**found, "mean_tokens": mean}, path)


def _pool(path: Path, labels: Labels) -> Pool:
    found = read_manifest(path)
    other = ("pool", "read", "kept", "samples", "prompts", "decontamination", "columns", "spec")
    dropped = {reason: number for reason, number in found.items() if reason not in other}
    kept = found.get("prompts", found.get("kept"))
    numbers = {"num_rows_in": found.get("read"), "num_kept": kept}
    key = next((each for each in labels.values if each[0] == found.get("pool")), None)
    histograms = labels.histograms(key, None) if key else Histograms()
    return read_record(
        Pool, {**found, **numbers, "dropped": dropped, "histograms": histograms}, path
    )


def _subset(ids: Path, manifest: Path, labels: Labels, command: str) -> Subset:
    found = _with_source(manifest, command)
    chosen = [row["id"] for row in read_parquet(ids, SUBSET)]
    own = found.get("spec", {})
    how = {"selector": own.get("selector"), "params": own.get("params")}
    numbers = {"size": len(chosen), "num_available": found.get("num_candidates")}
    made = found.get("one_per_question", {}).items()
    choice = {"one_per_question": {name: n for name, n in made if isinstance(n, int)}}
    key = found.get("pool", ""), found.get("teacher", "")
    described = {"histograms": labels.histograms(key, chosen), "means": labels.means(*key, chosen)}
    more = {**how, **numbers, **choice, **digest_ids(chosen), **described}
    return read_record(Subset, {**found, **more}, manifest)


def _run(path: Path, trained_on: Mapping[RunName, Mapping[str, Any]], command: str) -> Run:
    found = _with_source(path, command)
    data = trained_on[_run_key(path, found)]
    return read_record(
        Run, {**found, "dropped": data.get("dropped"), "examples": data.get("spec")}, path
    )


def _samples(path: Path, score: Mapping[str, Any]) -> list[Sample]:
    if score.get("is_confidential"):
        return []
    return [read_record(Sample, {**score, **each}, path) for each in score.get("examples", [])]


def _with_source(path: Path, command: str) -> dict[str, Any]:
    found = read_manifest(path)
    found["source"] = {
        "path": path.as_posix(),
        "spec_digest": digest(found.get("spec")),
        "command": f"{command} {shlex.quote(path.as_posix())}",
    }
    return found


def _run_key(path: Path, found: Mapping[str, Any]) -> RunName:
    return read_record(RunName, found, path)
