"""The artifacts of the paper's study, made up, for the jobs that look at all of them.

    python -m benchmarks.data.study FOLDER ROWS

Pools, traces, labels, subsets, runs and scores are those of config/paper.yaml and stand where its
rules would write them. The pool has ROWS rows; of what is large beside it, the other pools, the
subsets and the questions of the benchmarks, there is the same share as of the rows. Files, columns
and their sizes are as real ones, but for two: a reasoning has some 400 words, an eighth of R1's,
and answers to benchmarks have their last part only.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data import study_rows as made
from benchmarks.data.rows import Book
from benchmarks.fetched import write_manifest
from nt_pkg.benchmarks._questions import load_items
from nt_pkg.config.load import read_study
from nt_pkg.files import layout
from nt_pkg.files.json_files import sha256_file, write_json
from nt_pkg.files.parquet import POOL_GROUP_ROWS, write_parquet
from nt_pkg.files.schemas import ANNOTATIONS, GRADES, PROMPTS, SAMPLES, SUBSET, TRACES
from nt_pkg.identity.question_id import question_id
from nt_pkg.plan.study_plan import Plan
from nt_pkg.plan.validate import load_study

PAPER = Path(__file__).parents[2] / "config" / "paper.yaml"
ALL_ROWS = 1_145_824
_QUICK_ROWS = 10_000  # with fewer, some of the paper's runs have to do
_OF_NEAR_POOLS = 1000  # rows, where the catalogue does not say
Names = dict[str, Any]


def write_study(folder: Path, num_rows: int) -> None:
    """Write the artifacts that are not there yet, bench.yaml, and the report's command line."""
    folder.mkdir(parents=True, exist_ok=True)
    share = num_rows / ALL_ROWS
    write_json(folder / "bench.yaml", _smaller_study(folder, share))
    study = _Study(folder, share)
    study.write_pools()
    study.write_labels()
    study.write_subsets()
    study.write_scores()
    write_json(folder / "report.json", study.command_line())


def _smaller_study(folder: Path, share: float) -> dict[str, Any]:
    """Return a study that includes the paper's."""
    paper = load_study(read_study([PAPER]))
    source: dict[str, Any] = {"hub": None, "revision": None, "hub_files": []}
    some = {
        "students": ["llama-3.1-8b"],
        "subsets": ["nt-random-500k", "nt-strategies-500k", "nt-random-10k"],
        "formats": ["system2"],
        "seeds": [0],
        "benchmarks": ["gpqa_diamond", "mmlu_pro"],
        "modes": ["think"],
    }
    return {
        "include": [str(PAPER)],
        "subsets": {
            name: {"size": _smaller(entry.size, share)} for name, entry in paper.subsets.items()
        },
        "benchmarks": {
            name: {
                "source": {**source, "path": str(folder.absolute() / "sources" / name)},
                "expected_questions": _smaller(entry.expected_questions or 0, share),
            }
            for name, entry in paper.benchmarks.items()
        },
        **({"runs": [some]} if share * ALL_ROWS < _QUICK_ROWS else {}),
    }


def _smaller(number: int, share: float) -> int:
    return max(4, round(number * share))


class _Study:
    """Writes the artifacts of a study."""

    def __init__(self, folder: Path, share: float) -> None:
        self._folder, self._share, self._book = folder, share, Book()
        self._plan = Plan(load_study(read_study([folder / "bench.yaml"])), folder=folder)
        self._ids: dict[str, list[str]] = {}

    def _path(self, pattern: str, names: Names) -> Path:
        return layout.artifact(pattern, self._folder, **names)

    def _rows_of(self, pool: str) -> list[str]:
        """Return the ids of a pool in their order."""
        if pool not in self._ids:
            number = self._plan.study.pools[pool].expected_rows or _OF_NEAR_POOLS
            number = _smaller(number, self._share)
            self._ids[pool] = sorted(question_id(f"{pool} {n}") for n in range(number))
        return self._ids[pool]

    def _shard_of(self, each: Names) -> list[str]:
        ids, at, number = self._rows_of(each["pool"]), int(each["shard"]), int(each["num_shards"])
        return ids[len(ids) * at // number : len(ids) * (at + 1) // number]

    def write_pools(self) -> None:
        """Write prompts and traces."""
        for at, each in enumerate(self._plan.pools()):
            path, ids = self._path(layout.PROMPTS, each), self._rows_of(each["pool"])
            if not path.exists():
                rows = made.prompts(self._book, ids, at)
                write_parquet(path, PROMPTS, rows, group_rows=POOL_GROUP_ROWS)
            spec = json.loads(self._plan.pool_spec(each["pool"]))
            found = {**each, "read": len(ids) + 5, "kept": len(ids), "columns": [], "spec": spec}
            write_json(self._path(layout.POOL, each), found)
        for each in self._plan.traces():
            path, seed = self._path(layout.TRACES, each), [7, len(each["pool"]), each["shard"]]
            if not path.exists():
                names = {"pool": each["pool"], "teacher": each["teacher"]}
                write_parquet(
                    path, TRACES, made.traces(self._book, self._shard_of(each), seed), names
                )
                print(path, file=sys.stderr, flush=True)
        for each in self._plan.trace_sets():
            num = len(self._rows_of(each["pool"]))
            cut = num // 50
            counts = {"failed": {}, "incomplete": {"reasoning not closed": cut}}
            counts["status"] = {"incomplete": cut, "ok": num - cut}
            found = {**each, "num_rows": num, **counts, "num_tokens": {"mean": 4400.0}, "spec": {}}
            write_json(self._path(layout.TRACE_STATISTICS, each), found)
            # In place of the teacher's files, which the digests of requests name.
            asset = self._path(layout.ASSET, {"kind": "teachers", "name": each["teacher"]})
            asset.parent.mkdir(parents=True, exist_ok=True)
            (asset.parent / "config.json").write_text("{}")
            write_manifest(asset.parent)

    def write_labels(self) -> None:
        """Write the labels of every annotator."""
        for each in (*self._plan.annotations(), *self._plan.question_labels()):
            path = self._path(layout.LABELS if "teacher" in each else layout.QUESTION_LABELS, each)
            names = {key: str(each[key]) for key in each if key not in ("shard", "num_shards")}
            ids, seed = self._shard_of(each), [8, *map(ord, each["annotator"]), each["shard"]]
            if not path.exists():
                write_parquet(path, ANNOTATIONS, made.labels(each["annotator"], ids, seed), names)
                print(path, file=sys.stderr, flush=True)

    def write_subsets(self) -> None:
        """Write subsets, and manifests of examples and runs as if each was trained on."""
        for each in self._plan.subsets():
            path, ids = self._path(layout.SUBSET, each), self._rows_of(each["pool"])
            # Those of one selector, the second word of the name, are parts of the largest.
            draw = np.random.default_rng([9, *map(ord, each["subset"].split("-")[1])])
            picked = draw.permutation(len(ids))[: self._size(each)].tolist()
            rows = (
                {"rank": rank, "id": ids[at], "score": 1 / (1 + rank)}
                for rank, at in enumerate(picked)
            )
            write_parquet(path, SUBSET, rows)
            spec = json.loads(self._plan.subset_spec(each["subset"]))
            counts = {"num_traces": len(ids), "num_candidates": len(ids), "unusable": {}}
            found = {**each, **counts, "sha256": sha256_file(path), "spec": spec}
            write_json(self._path(layout.SUBSET_MANIFEST, each), found)
        for each in self._plan.sft():
            size = {"num_examples": self._size(each), "spec": {}}
            write_json(
                self._path(layout.EXAMPLES, each), {**each, **size, "dropped": {"too long": 1}}
            )
            numbers = {"num_tokens": 10**9, "num_steps": 9000, "final_loss": 0.6}
            speed = {"wall_seconds": 80_000.0, "tokens_per_second": 90_000.0}
            ranks = {"world_size": 32, "zero_stage": 3}
            curve = {"loss_curve": [(at, 0.6 + 1 / (1 + at / 90)) for at in range(0, 9000, 100)]}
            run = {**each, **size, **numbers, **speed, **ranks, **curve}
            write_json(self._path(layout.TRAINING, each), run)

    def _size(self, each: Names) -> int:
        entry = self._plan.study.subsets[each["subset"]]
        return min(entry.size, len(self._rows_of(entry.pool)))

    def write_scores(self) -> None:
        """Write the benchmarks, and what every run answered and got right."""
        items = {name: self._benchmark(name) for name in self._plan.benchmarks()}
        for each in self._plan.evals():
            path, asked = self._path(layout.SCORE, each), items[each["benchmark"]]
            if path.exists():
                continue
            draw = np.random.default_rng([10, *map(ord, "/".join(map(str, each.values())))])
            shape = len(asked), self._plan.study.benchmarks[each["benchmark"]].repeats
            right = draw.random(shape) < 0.4 + 0.2 * draw.random((len(asked), 1))
            grades = path.with_suffix(".grades.parquet")
            write_parquet(grades, GRADES, made.grades(self._book, asked, right, draw))
            samples = self._path(layout.SAMPLES, {**each, "part": ""})
            write_parquet(samples, SAMPLES, made.answers(asked, shape[1], draw))
            write_json(path, {**each, **made.score(right), "samples": [samples.name]})

    def _benchmark(self, name: str) -> list[str]:
        """Write the questions of a benchmark, and return their ids."""
        entry = self._plan.study.benchmarks[name]
        manifest = self._path(layout.ASSET, {"kind": "benchmarks", "name": name})
        if not manifest.exists():
            made.write_questions(manifest.parent, name, entry.expected_questions or 0)
            write_manifest(manifest.parent)
        return [item.id for item in load_items(entry.kind, dict(entry.params), manifest.parent)]

    def command_line(self) -> list[str]:
        """Return the arguments of the report, as its rule gives them."""
        plan = self._plan
        assets = [{"kind": "benchmarks", "name": name} for name in plan.benchmarks()]
        labels = (
            (plan.annotations(), layout.LABELS),
            (
                plan.question_labels(),
                layout.QUESTION_LABELS,
            ),
        )
        lists: dict[str, Sequence[str]] = {
            "pools": _paths(layout.POOL, plan.pools()),
            "prompts": _paths(layout.PROMPTS, plan.pools()),
            "traces": _paths(layout.TRACE_STATISTICS, plan.trace_sets()),
            "texts": _paths(layout.TRACES, plan.traces()),
            "labels": [path for each, pattern in labels for path in _paths(pattern, each)],
            "subsets": _paths(layout.SUBSET, plan.subsets()),
            "manifests": _paths(layout.SUBSET_MANIFEST, plan.subsets()),
            "examples": _paths(layout.EXAMPLES, plan.sft()),
            "runs": _paths(layout.TRAINING, plan.sft()),
            "scores": _paths(layout.SCORE, plan.evals()),
            "benchmarks": _paths(layout.ASSET, assets),
        }
        out = str(layout.artifact(layout.REPORT, study=plan.study.study))
        words = ["--spec", plan.report_spec(), "--timings", "timings", "--out", out]
        return words + [word for name, paths in lists.items() for word in (f"--{name}", *paths)]


def _paths(pattern: str, wildcards: Sequence[Names]) -> list[str]:
    return [str(layout.artifact(pattern, **each)) for each in wildcards]


if __name__ == "__main__":
    write_study(Path(sys.argv[1]), int(sys.argv[2]))
