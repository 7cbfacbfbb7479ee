"""What selecting costs, from 100,000 rows to as many as the paper's pool has.

    python -m benchmarks.selection             # also: make bench-selection
    python -m benchmarks.selection --rows 2000

Writes generated traces and labels in shards, and lets the job of every selector read them and pick
a tenth, each in a process of its own. Prints a table and as its last line one JSON object.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nt_pkg import plugins
from nt_pkg.records import ANNOTATIONS, TRACES, Row, write_parquet
from nt_pkg.seeds import generator
from nt_pkg.text import question_id
from scripts import select_subset
from tests.workflow.sandbox import table

_ROWS = (100_000, 300_000, 1_145_824)
_SHARD_ROWS = 50_000
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
    found: list[dict[str, float]] = []
    for num_rows in args.rows:
        found = []
        with tempfile.TemporaryDirectory() as folder:
            _write(Path(folder), num_rows)
            for name in plugins.names("selectors"):
                me = [sys.executable, "-m", "benchmarks.selection", "--one"]
                done = subprocess.run(
                    [*me, folder, name, str(num_rows // 10)], stdout=subprocess.PIPE, check=True
                )
                found.append(json.loads(done.stdout))
                seconds, gib = found[-1]["s"], found[-1]["gib"]
                lines.append([f"{num_rows:,}", name, f"{seconds:.1f}", f"{gib:.2f}"])
    print(table(["rows", "selector", "s", "peak GiB"], lines))
    print(
        json.dumps(
            {
                "rows": args.rows[-1],
                "slowest_simple_selector_s": round(max(each["s"] for each in found), 1),
                "peak_gib": round(max(each["gib"] for each in found), 2),
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
        for annotator in LABELS:
            path = folder / annotator / f"{start}.parquet"
            write_parquet(
                path,
                ANNOTATIONS,
                _labels(annotator, start, ids),
                {**names, "annotator": annotator},
            )


def _labels(annotator: str, start: int, ids: list[str]) -> Iterator[Row]:
    rng = generator("bench", annotator, start)
    for row_id in ids:
        value = json.dumps(LABELS[annotator](rng))
        yield {"id": row_id, "status": "ok", "value": value, "error": None}


def _measure(folder: Path, name: str, size: int) -> dict[str, float]:
    """Return seconds and peak GiB of one selection in this process, from reading to writing."""
    annotators = plugins.plugin("selectors", name).requires
    labels = [str(p) for each in annotators for p in sorted((folder / each).iterdir())]
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
            "--out", str(out),
            "--manifest", str(out.with_suffix(".json")),
        ]
    )  # fmt: skip
    seconds = time.perf_counter() - start
    gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # Linux counts in KiB
    return {"s": seconds, "gib": gib}


if __name__ == "__main__":
    main()
