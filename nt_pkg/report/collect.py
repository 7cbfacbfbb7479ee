"""The records of a report, read from the artifacts of a study."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nt_pkg.files.json_files import digest
from nt_pkg.files.manifest import read_manifest
from nt_pkg.files.parquet import read_table
from nt_pkg.files.schemas import SUBSET
from nt_pkg.report.labels import Labels
from nt_pkg.report.records import (
    Histograms,
    Inputs,
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
    key = next((each for each in labels.trace_sets() if each[0] == found.get("pool")), None)
    histograms = labels.histograms(key, None) if key else Histograms()
    return read_record(
        Pool, {**found, **numbers, "dropped": dropped, "histograms": histograms}, path
    )


def _subset(ids: Path, manifest: Path, labels: Labels, command: str) -> Subset:
    found = _with_source(manifest, command)
    chosen = read_table(ids, SUBSET, ["id"])["id"].combine_chunks()
    own = found.get("spec", {})
    how = {"selector": own.get("selector"), "params": own.get("params")}
    numbers = {"size": len(chosen), "num_available": found.get("num_candidates")}
    made = found.get("one_per_question", {}).items()
    choice = {"one_per_question": {name: n for name, n in made if isinstance(n, int)}}
    key = found.get("pool", ""), found.get("teacher", "")
    places = labels.places(key[0], chosen)
    described = {"histograms": labels.histograms(key, places), "means": labels.means(*key, places)}
    more = {**how, **numbers, **choice, **digest_ids(chosen.to_pylist()), **described}
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
