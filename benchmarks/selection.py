"""What selecting costs, from 100,000 rows to as many as the paper's pool has.

    python -m benchmarks.selection             # also: make bench-selection
    python -m benchmarks.selection --rows 2000

Writes generated traces and labels in shards, and lets the job of every selector read them and pick
a tenth, each in a process of its own; `coverage` picks 1,000 at most, since each of its picks costs
a search. Prints a table and as its last line one JSON object.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nt_pkg import plugins
from nt_pkg.annotators.hashed_words import hashed_words
from nt_pkg.records import ANNOTATIONS, TRACES, Row, write_parquet
from nt_pkg.seeds import generator
from nt_pkg.text import question_id
from nt_pkg.vectors import encode
from scripts import select_subset
from tests.workflow.sandbox import table

_ROWS = (100_000, 300_000, 1_145_824)
_SHARD_ROWS = 50_000
_MOST = {"coverage": 1000}
_SLOW = ("coverage", "semantic")  # which have ten minutes
_NUM_NEAR = 1000  # questions that `nearest` looks for neighbours of: as many as s1K has
_WORDS = np.array([f"w{n}" for n in range(50_000)])
_WORD_SHARES = np.cumsum(1 / np.arange(1, 50_001)) / np.sum(1 / np.arange(1, 50_001))
_STRATEGIES = [f"strategy {n}" for n in range(40)]
_SHARES = 1 / np.arange(1, 41) / np.sum(1 / np.arange(1, 41))  # few frequent ones, a long tail


def _length(rng: np.random.Generator) -> dict[str, int]:
    tokens = int(rng.lognormal(8, 0.8))
    return {"num_steps": 1 + tokens // 60, "num_tokens": tokens}


LABELS: dict[str, Callable[[np.random.Generator], Any]] = {
    "length": _length,
    "domain": lambda rng: f"domain {min(rng.geometric(0.25), 13)}",
    "strategies": lambda rng: [
        _STRATEGIES[n] for n in np.searchsorted(_SHARES.cumsum()[:-1], rng.random(rng.poisson(6)))
    ],
    "agreement": lambda rng: bool(rng.random() < 0.64),
    "verbosity": lambda rng: int(rng.binomial(10, 0.3)),
    "reference_words": lambda rng: int(rng.geometric(0.2)),
}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=_ROWS)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(_measure(Path(args.one[0]), args.one[1], int(args.one[2]))))
        return
    lines: list[list[str]] = []
    found: dict[str, dict[str, float]] = {}
    for num_rows in args.rows:
        found = {}
        with tempfile.TemporaryDirectory() as folder:
            _write(Path(folder), num_rows)
            for name in plugins.names("selectors"):
                size = min(num_rows // 10, _MOST.get(name, num_rows))
                me = [sys.executable, "-m", "benchmarks.selection", "--one"]
                done = subprocess.run(
                    [*me, folder, name, str(size)], stdout=subprocess.PIPE, check=True
                )
                found[name] = json.loads(done.stdout)
                seconds, gib = found[name]["s"], found[name]["gib"]
                lines.append([f"{num_rows:,}", name, f"{seconds:.1f}", f"{gib:.2f}"])
    print(table(["rows", "selector", "s", "peak GiB"], lines))
    print(
        json.dumps(
            {
                "rows": args.rows[-1],
                "slowest_simple_selector_s": round(
                    max(each["s"] for name, each in found.items() if name not in _SLOW), 1
                ),
                "coverage_s": round(found["coverage"]["s"], 1),
                "semantic_s": round(found["semantic"]["s"], 1),
                "peak_gib": round(max(each["gib"] for each in found.values()), 2),
            }
        )
    )


def _write(folder: Path, num_rows: int) -> None:
    for start in range(0, num_rows, _SHARD_ROWS):
        ids = [question_id(str(n)) for n in range(start, min(start + _SHARD_ROWS, num_rows))]
        names = {"pool": "bench", "teacher": "bench"}
        trace = {"reasoning": "", "answer": "", "prompt_tokens": 1, "completion_tokens": 1}
        end = {"status": "ok", "finish_reason": "stop", "error": None}
        rows = [{"id": row_id, **trace, **end} for row_id in ids]
        write_parquet(folder / "traces" / f"{start}.parquet", TRACES, rows, names)
        for annotator in (*LABELS, "embedding"):
            path = folder / annotator / f"{start}.parquet"
            write_parquet(
                path,
                ANNOTATIONS,
                _labels(annotator, start, ids),
                {**names, "annotator": annotator},
            )


def _near(folder: Path) -> Path:
    """Write vectors of the questions that `nearest` looks for neighbours of."""
    path = folder / "near" / "0.parquet"
    ids = [question_id(f"near {n}") for n in range(_NUM_NEAR)]
    write_parquet(path, ANNOTATIONS, _labels("embedding", -1, ids), {"annotator": "embedding"})
    return path


def _labels(annotator: str, start: int, ids: list[str]) -> Iterator[Row]:
    rng = generator("bench", annotator, start)
    if annotator == "embedding":
        values: Iterable[Any] = _vectors(rng, len(ids))
    else:
        values = (LABELS[annotator](rng) for _ in ids)
    for row_id, value in zip(ids, values, strict=True):
        yield {"id": row_id, "status": "ok", "value": json.dumps(value), "error": None}


def _vectors(rng: np.random.Generator, num_rows: int) -> Iterator[str | None]:
    """Yield vectors of questions of about 60 words that have nothing to do with each other."""
    for start in range(0, num_rows, 5000):
        questions = [
            " ".join(_WORDS[np.searchsorted(_WORD_SHARES[:-1], rng.random(length))])
            for length in 5 + rng.poisson(55, min(5000, num_rows - start))
        ]
        yield from encode(hashed_words(questions, 384, 0))


def _measure(folder: Path, name: str, size: int) -> dict[str, float]:
    """Return seconds and peak GiB of one selection in this process, from reading to writing."""
    annotators = plugins.plugin("selectors", name).requires
    labels = [str(p) for each in annotators for p in sorted((folder / each).iterdir())]
    near = [str(_near(folder))] if plugins.plugin("selectors", name).needs_near else []
    spec = json.dumps({"selector": name, "size": size, "params": {}})
    traces = [str(path) for path in sorted((folder / "traces").iterdir())]
    out = folder / "out" / f"{name}.parquet"
    start = time.perf_counter()
    select_subset.main(
        [
            "--spec", spec,
            "--names", "{}",
            "--seed", "0",
            "--traces", *traces,
            "--labels", *labels,
            "--near", *near,
            "--out", str(out),
            "--manifest", str(out.with_suffix(".json")),
        ]
    )  # fmt: skip
    seconds = time.perf_counter() - start
    gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # Linux counts in KiB
    return {"s": seconds, "gib": gib}


if __name__ == "__main__":
    main()
