"""What a report is made of, gathered from the artifacts of a study."""

import json
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nt_pkg.dialogue.strategy_names import normalise_strategy
from nt_pkg.files.json_files import digest, read_json
from nt_pkg.files.parquet import read_names, read_parquet
from nt_pkg.files.schemas import ANNOTATIONS, SUBSET
from nt_pkg.report.earlier import digest_ids

_NUM_BINS = 12
# Annotator -> histogram of the report.
_HISTOGRAMS = {"domain": "domain", "strategies": "strategies"}
_TraceSet = tuple[str, str]  # pool, teacher
_ANY = "any"  # teacher of labels of questions


class Labels:
    """Labels of every pool and teacher by annotator and row id, with what was lost."""

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
                    if "teacher" not in names:  # vectors are not counted
                        continue
                    value = _as_counted(names["annotator"], json.loads(row["value"]))
                    self.values[key][names["annotator"]][row["id"]] = value
                elif row["status"] == "failed":
                    failed[row["error"]] += 1

    def summaries(self) -> list[dict[str, Any]]:
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
                {
                    "pool": pool,
                    "teacher": teacher,
                    "annotator": annotator,
                    "num_rows": self._num_ok[pool, teacher, annotator] + failed.total(),
                    "failed": dict(failed),
                    "values": dict(sorted(counts.items())),
                }
            )
        return found

    def histograms(self, key: _TraceSet, ids: Iterable[str] | None) -> dict[str, Any]:
        """Return token, domain and strategy histograms of some rows, or of all of them."""
        labels = self.values[key]
        found: dict[str, Any] = {}
        if "length" in labels:
            tokens = {row_id: value["num_tokens"] for row_id, value in labels["length"].items()}
            width = max(1, -(-max(tokens.values()) // _NUM_BINS))
            bins = Counter(tokens[row_id] // width for row_id in (tokens if ids is None else ids))
            found["num_tokens"] = {
                "edges": [width * at for at in range(_NUM_BINS + 2)],
                "counts": [bins[at] for at in range(_NUM_BINS + 1)],
            }
        for annotator, name in _HISTOGRAMS.items():
            if annotator in labels:
                known = labels[annotator]
                counts: Counter[str] = Counter()
                for row_id in known if ids is None else ids:
                    value = known.get(row_id, "unlabelled")
                    counts.update(value if isinstance(value, list) else [value])
                found[name] = dict(sorted(counts.items()))
        return found


def collect(
    spec: Mapping[str, Any],
    pools: Sequence[Path],
    traces: Sequence[Path],
    labels: Sequence[Path],
    subsets: Sequence[tuple[Path, Path]],
    examples: Sequence[Path],
    runs: Sequence[Path],
    scores: Sequence[Path],
    command: str = "snakemake",
) -> dict[str, list[dict[str, Any]]]:
    """Return the arguments of `build_report` that come from files.

    Args:
        spec: spec of the report; its `subsets` say which pool and teacher each subset is of.
        pools: `pool.json` files.
        traces: statistics of the traces, one file per pool and teacher.
        labels: label shards.
        subsets: ids and manifest of every subset.
        examples: manifests of training data.
        runs: `run.json` files.
        scores: score files.
        command: what makes a file anew if the file stands behind it.
    """
    known = Labels(labels)
    trained_on = {_run_key(each): each for each in map(read_json, examples)}
    samples: list[dict[str, Any]] = []
    score_list = []
    for path in scores:
        found = _with_source(path, command)
        shown = found.pop("examples", [])
        if not found.get("is_confidential"):
            samples.extend({**_run_names(found), **each} for each in shown)
        score_list.append(found)
    return {
        "pools": [_pool(read_json(path), known) for path in pools],
        "traces": [_trace_set(path) for path in traces],
        "annotations": known.summaries(),
        "subsets": [_subset(ids, manifest, spec, known, command) for ids, manifest in subsets],
        "runs": [
            {**found, "dropped": data["dropped"], "examples": data["spec"]}
            for found in (_with_source(path, command) for path in runs)
            for data in [trained_on[_run_key(found)]]
        ],
        "scores": score_list,
        "samples": samples,
    }


def names_in_use(collected: Mapping[str, list[dict[str, Any]]]) -> set[str]:
    """Return the names of pools, subsets, students and so on that a study's artifacts carry."""
    keys = ("pool", "teacher", "annotator", "subset", "student", "format", "benchmark")
    return {
        str(record[key])
        for records in collected.values()
        for record in records
        for key in keys
        if key in record
    }


def _as_counted(annotator: str, value: Any) -> Any:
    """Return a label as the report counts it: spellings of one strategy are one strategy."""
    if annotator != "strategies" or not isinstance(value, list):
        return value
    return sorted({normalise_strategy(str(each)) for each in value})


def _trace_set(path: Path) -> dict[str, Any]:
    found = read_json(path)
    return {
        "pool": found["pool"],
        "teacher": found["teacher"],
        "num_rows": found["num_rows"],
        "failed": found["failed"],
        "incomplete": found["incomplete"],
        "mean_tokens": found["num_tokens"]["mean"],
    }


def _pool(manifest: dict[str, Any], labels: Labels) -> dict[str, Any]:
    other = ("pool", "read", "kept", "decontamination", "spec")
    reasons = {k: v for k, v in manifest.items() if k not in other}
    key = next((each for each in labels.values if each[0] == manifest["pool"]), None)
    return {
        "pool": manifest["pool"],
        "num_rows_in": manifest["read"],
        "num_kept": manifest["kept"],
        "dropped": reasons,
        "spec": manifest["spec"],
        **({"histograms": labels.histograms(key, None)} if key else {}),
    }


def _subset(
    ids: Path, manifest: Path, spec: Mapping[str, Any], labels: Labels, command: str
) -> dict[str, Any]:
    found = _with_source(manifest, command)
    chosen = [row["id"] for row in read_parquet(ids, SUBSET)]
    own = found["spec"]
    return {
        "subset": found["subset"],
        "selector": own["selector"],
        "size": len(chosen),
        "num_available": found["num_candidates"],
        "unusable": found["unusable"],
        "seed": int(found["seed"]),
        "pool": found["pool"],
        "teacher": found["teacher"],
        "params": own["params"],
        "spec": own,
        **digest_ids(chosen),
        "source": found["source"],
        "histograms": labels.histograms((found["pool"], found["teacher"]), chosen),
    }


def _with_source(path: Path, command: str) -> dict[str, Any]:
    found: dict[str, Any] = read_json(path)
    if "seed" in found:
        found["seed"] = int(found["seed"])
    found["source"] = {
        "path": path.as_posix(),
        "spec_digest": digest(found["spec"]),
        "command": f"{command} {shlex.quote(path.as_posix())}",
    }
    return found


def _run_key(found: Mapping[str, Any]) -> tuple[str, str, str, int]:
    return found["student"], found["subset"], found["format"], int(found["seed"])


def _run_names(score: Mapping[str, Any]) -> dict[str, Any]:
    return {key: score[key] for key in ("student", "subset", "format", "seed", "benchmark", "mode")}
