"""The stages that are measured, in their order, and the peer of each."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.data.labels import NAMES, NUM_NEAR, SHARD_ROWS, shards
from benchmarks.data.measure import Cost, Measurements
from benchmarks.data.ours import against
from benchmarks.data.rows import NUM_BENCHMARKS, PEER_ROWS
from benchmarks.data.study import ALL_ROWS
from benchmarks.fetched import write_manifest
from nt_pkg.plugins import registry as plugins
from nt_pkg.prompts.cleaning.rules import RULES

TRACE_ROWS = 20_000  # rows of the shard whose traces have the paper's length
MATRIX_ROWS, PICKS = 100_000, 1000
EXPORTED, EXPORTED_ROWS = "nt-random-500k", 500_000  # of a study of the paper's size
# Of selectors whose work grows with what they pick, this is what is asked for; of others a tenth.
_MOST = {"coverage": PICKS}
# Of selectors that go by any label.
_PARAMS: dict[str, dict[str, Any]] = {
    "by_value": {"label": "length", "field": "num_tokens"},
    "combine": {
        "quality": [{"label": "length", "field": "num_steps"}],
        "coverage": {"label": "domain"},
    },
    "stratified": {"label": "domain"},
}
# Selector -> stage of peers.py, its rows, what it is, its arguments.
_SELECTOR_PEERS = {
    "coverage": ("k_centre", MATRIX_ROWS, "sklearn distances, 100,000 rows", (PICKS,)),
    "nearest": ("nearest", MATRIX_ROWS, "sklearn NearestNeighbors, 100,000 rows", (NUM_NEAR,)),
    "semantic": ("semantic", 5000, "sklearn HDBSCAN, 5,000 rows", (5000,)),
}
_SLOW = ("coverage", "semantic")  # which may take ten minutes
_KEYWORDS = {
    "where": "reasoning",
    "multiple": True,
    "labels": {"check": ["check", "verify"], "again": ["wait", "hmm"], "split": ["case", "cases"]},
}
_ANNOTATORS: dict[str, dict[str, Any]] = {
    "length": {},
    "keywords": _KEYWORDS,
    "reference_words": {},
    "agreement": {},
}


@dataclass(frozen=True)
class Line:
    """A line of the table; `size` is the number of rows of the pool."""

    size: int
    stage: str
    cost: Cost
    peer: str = ""
    ratio: float | None = None

    def cells(self) -> tuple[str, ...]:
        """Return the line as it is printed."""
        cost = self.cost
        return (
            self.stage, f"{cost.rows:,}", f"{cost.wall_s:.1f}", f"{cost.cpu_s:.1f}",
            f"{cost.peak_gib:.2f}", f"{cost.rows / cost.wall_s:,.0f}", self.peer,
            "" if self.ratio is None else f"{self.ratio:.2g}" if self.ratio < 10 else
            f"{self.ratio:.0f}",
        )  # fmt: skip


class Bench:
    """Runs the stages; what is made for one is there for those behind it."""

    def __init__(self, folder: Path, peers: Path | None, measurements: Measurements) -> None:
        """Take the folder of the rows and the interpreter of the peers; None runs no peer."""
        self._folder, self._labels, self._out = folder, folder / "labels", folder / "out"
        self._manifest = folder / "pool" / "manifest.json"
        self._peers, self._kept = peers, measurements
        self.same_hits, self.tools = True, set[str]()
        self._out.mkdir(parents=True, exist_ok=True)

    def lines(self, num_rows: int) -> Iterator[Line]:
        """Yield the lines of a pool of so many rows."""
        self._module("rows", num_rows, "benchmarks.data.rows", self._folder, num_rows)
        for place in ("pool", *(f"benchmark-{at}" for at in range(NUM_BENCHMARKS))):
            write_manifest(self._folder / place)
        self._module("labels", num_rows, "benchmarks.data.labels", self._labels, num_rows)
        yield from self._pool(num_rows)
        yield from self._decontamination(num_rows)
        yield from self._traces(num_rows)
        yield from self._selectors(num_rows)
        yield from self._report(num_rows)

    def summary(self, lines: list[Line]) -> dict[str, Any]:
        """Return the numbers of the largest pool, with the versions of the peers."""
        by_stage = {line.stage: line for line in lines}
        simple = {
            line.stage: line.cost.wall_s
            for line in lines
            if line.stage.startswith("select ") and line.stage.removeprefix("select ") not in _SLOW
        }
        return {
            "rows": lines[0].size,
            "decontaminate_ratio_vs_open_r1": {
                rule: round(by_stage[f"decontaminate, {rule}"].ratio or 0, 1) for rule in RULES
            },
            "same_hits": self.same_hits,
            "ingest_s": round(by_stage["ingest"].cost.wall_s, 1),
            "slowest_simple_selector_s": round(max(simple.values()), 1),
            "coverage_s": round(by_stage["select coverage"].cost.wall_s, 1),
            "semantic_s": round(by_stage["select semantic"].cost.wall_s, 1),
            "peak_gib": round(max(line.cost.peak_gib for line in lines), 2),
            "peers": sorted(self.tools),
        }

    def _pool(self, num_rows: int) -> Iterator[Line]:
        bare = self._module("JSON alone", num_rows, "benchmarks.data.ours", "parse_json",
                            self._folder, num_rows)  # fmt: skip
        yield Line(num_rows, "json.loads alone", bare)
        prompts = self._out / f"pool-{num_rows}.parquet"
        marked = {"decontaminate": {"rule": "plain", "ngram": 8, "against": against()}}
        for name, more in (("ingest, decontaminated", marked), ("ingest", {})):
            cost = self._ingest(name, num_rows, prompts, more)
            yield Line(num_rows, name, cost, "json.loads alone", bare.cpu_s / cost.cpu_s)
        num_shards = -(-num_rows // SHARD_ROWS)
        yield self._line(
            "shard_prompts, 1 shard", num_rows, "scripts.shard_prompts", "--prompts", prompts,
            "--shard", 0, "--num-shards", num_shards, "--out", self._out / "shard.parquet",
            rows=num_rows // num_shards,
        )  # fmt: skip

        yield self._line(
            f"read {PICKS:,} rows of the pool", num_rows, "benchmarks.data.ours", "rows_of_subset",
            prompts, PICKS,
        )  # fmt: skip

    def _ingest(self, name: str, num_rows: int, out: Path, more: dict[str, Any]) -> Cost:
        spec = {"kind": "natural_reasoning", "params": {"max_rows": num_rows}, **more}
        benchmarks = [
            self._folder / f"benchmark-{at}" / "manifest.json" for at in range(NUM_BENCHMARKS)
        ]
        return self._module(
            name, num_rows, "scripts.ingest_pool",
            "--spec", json.dumps(spec), "--names", '{"pool":"bench"}', "--source", self._manifest,
            *(["--benchmarks", *benchmarks] if more else []), "--out", out,
            "--dropped", self._out / "dropped.parquet", "--manifest", self._out / "pool.json",
        )  # fmt: skip

    def _decontamination(self, num_rows: int) -> Iterator[Line]:
        """Yield a line for each rule; that as published has to find what open-r1's way finds."""
        for rule in RULES:
            name = f"decontaminate, {rule}"
            ours = self._module(name, num_rows, "benchmarks.data.ours", "decontaminate",
                                self._folder, num_rows, rule)  # fmt: skip
            if self._peers is None:
                yield Line(num_rows, name, ours)
                continue
            open_r1 = self._peer("open_r1", PEER_ROWS, self._folder)
            others = {
                "its bare loop": self._peer("open_r1", PEER_ROWS, self._folder, "bare"),
                "datatrove": self._peer("datatrove_ngrams", PEER_ROWS, self._folder),
            }
            seen = [row for row in open_r1.said["hits"] if row < num_rows]
            self.same_hits &= rule != "published" or ours.said["hits"] == seen
            our_s = ours.said["s"] / num_rows
            more = ", ".join(f"{k} {v.said['s'] / v.rows / our_s:.0f}" for k, v in others.items())
            peer = f"open-r1's datasets.map, 20,000 rows ({more})"
            yield Line(num_rows, name, ours, peer, open_r1.said["s"] / open_r1.rows / our_s)

    def _traces(self, num_rows: int) -> Iterator[Line]:
        """Yield the jobs that look at one shard: what they cost does not grow with the pool."""
        rows = min(num_rows, TRACE_ROWS)
        prompts = self._folder / f"prompts-{rows}.parquet"
        traces = self._folder / f"traces-{rows}.parquet"
        self._ingest("prompts with traces", rows, prompts, {})
        self._module("traces", rows, "benchmarks.data.inputs", prompts, traces)
        for kind, params in _ANNOTATORS.items():
            spec = json.dumps({"kind": kind, "params": params})
            names = json.dumps({**NAMES, "annotator": kind})
            yield self._line(
                f"annotate {kind}, 1 shard", num_rows, "scripts.annotate", "--spec", spec,
                "--names", names, "--prompts", prompts, "--traces", traces,
                "--out", self._out / f"{kind}.parquet", rows=rows,
            )  # fmt: skip
        yield self._line(
            "annotate_questions, 1 shard", num_rows, "scripts.annotate_questions",
            "--spec", '{"kind":"hashed_words","params":{}}', "--names", json.dumps(NAMES),
            "--prompts", prompts, "--out", self._out / "vectors.parquet", rows=rows,
        )  # fmt: skip
        yield self._line(
            "summarise_traces, 1 shard", num_rows, "scripts.summarise_traces", "--spec", "{}",
            "--names", json.dumps(NAMES), "--traces", traces,
            "--out", self._out / "statistics.json", rows=rows,
        )  # fmt: skip

    def _selectors(self, num_rows: int) -> Iterator[Line]:
        for name in plugins.names("selectors"):
            size = min(num_rows // 10, _MOST.get(name, num_rows))
            plugin = plugins.plugin("selectors", name)
            params = _PARAMS.get(name, {})
            labels = [p for n in plugin.needs(params) for p in shards(self._labels, n, num_rows)]
            near = ["--near", self._labels / "near.parquet"] if plugin.needs_near else []
            spec = json.dumps({"selector": name, "size": size, "params": params})
            out = self._out / f"{name}.parquet"
            line = self._line(
                f"select {name}", num_rows, "scripts.select_subset", "--spec", spec,
                "--names", "{}", "--seed", 0, "--traces", *shards(self._labels, "traces", num_rows),
                *(["--labels", *labels] if labels else []), *near,
                "--out", out, "--manifest", out.with_suffix(".json"),
            )  # fmt: skip
            yield self._beside(line, name)

    def _report(self, num_rows: int) -> Iterator[Line]:
        """Yield the jobs that look at all of a study: its report, and the export of a subset."""
        study = self._folder / f"study-{num_rows}"
        self._module("study", num_rows, "benchmarks.data.study", study, num_rows)
        yield self._line("report", num_rows, "benchmarks.data.ours", "report", study)
        size = num_rows * EXPORTED_ROWS // ALL_ROWS
        yield self._line(
            f"export_subset {EXPORTED}", num_rows, "benchmarks.data.ours", "export", study,
            EXPORTED, rows=size,
        )  # fmt: skip

    def _beside(self, line: Line, name: str) -> Line:
        """Return the line of a selector with what scikit-learn takes for as much as it can do."""
        if self._peers is None or name not in _SELECTOR_PEERS or line.size < MATRIX_ROWS:
            return line
        matrix = self._folder / "vectors.npy"
        embedding = shards(self._labels, "embedding", MATRIX_ROWS)
        self._module("vectors", MATRIX_ROWS, "benchmarks.data.ours", "vectors", matrix, *embedding)
        stage, rows, what, arguments = _SELECTOR_PEERS[name]
        slow = self._peer(stage, rows, matrix, *arguments)
        if name == "coverage":
            other = self._peer("facility_location", 5000, matrix, 5000, 500)
            what += f" (apricot, 5,000 rows, 500 picks: {other.said['s']:.0f} s)"
        ours = line.cost.cpu_s / line.cost.rows
        return replace(line, peer=what, ratio=slow.said["s"] / slow.rows / ours)

    def _line(
        self, stage: str, size: int, module: str, *arguments: object, rows: int | None = None
    ) -> Line:
        return Line(size, stage, self._module(stage, size, module, *arguments, rows=rows))

    def _module(
        self, stage: str, size: int, module: str, *arguments: object, rows: int | None = None
    ) -> Cost:
        command = [sys.executable, "-m", module, *map(str, arguments)]
        return self._kept.measure(f"{stage} at {size:,}", rows or size, command)

    def _peer(self, stage: str, rows: int, *arguments: object) -> Cost:
        assert self._peers is not None
        words = [str(self._peers), "-m", "benchmarks.data.peers", stage, *map(str, arguments)]
        name = " ".join([stage, *(each for each in map(str, arguments[1:]))])
        cost = self._kept.measure(f"peer {name}", rows, words)
        self.tools.add(cost.said["tool"])
        return cost
