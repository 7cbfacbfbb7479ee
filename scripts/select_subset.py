"""Select a subset with one selector.

Called by rule `select_subset` (rules/subsets.smk). Writes ids and scores, best first; the same
selection gives the same bytes. The manifest says how it was made.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from nt_pkg.config.study import OnePerQuestion
from nt_pkg.files.content import note
from nt_pkg.files.json_files import sha256_file, write_json
from nt_pkg.files.parquet import read_columns, read_names, write_parquet
from nt_pkg.files.path_lists import Paths
from nt_pkg.files.schemas import ANNOTATIONS, SUBSET, TRACES
from nt_pkg.jobs.command import run_command
from nt_pkg.jobs.progress import ready, start_job
from nt_pkg.subsets.one_per_question import choose_answers
from nt_pkg.subsets.select import select_subset


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True)
    parser.add_argument("--names", type=json.loads, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--traces", action=Paths, nargs="+", required=True)
    parser.add_argument("--labels", action=Paths, nargs="*", default=[])
    parser.add_argument(
        "--near", action=Paths, nargs="*", default=[], help="question labels of another pool"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--manifest", type=Path, required=True)
    args = parser.parse_args(argv)
    start_job("select_subset", args.spec)
    spec = json.loads(args.spec)
    ready("select_subset")
    labels, near = _labels(args.labels), _labels(args.near)
    tokens = spec.get("tokens")
    traces = read_columns(args.traces, TRACES, ["id", "status", "completion_tokens", "error"])
    chosen: dict[str, Any] = {}
    if "one_per_question" in spec:
        rule = {name: value for name, value in spec["one_per_question"].items() if name != "code"}
        traces, made = choose_answers(OnePerQuestion(**rule), args.seed, traces, labels)
        chosen = {"one_per_question": made}
    rows, counts = select_subset(
        spec["selector"],
        spec["params"],
        spec["size"],
        args.seed,
        traces,
        labels,
        near,
        tokens,
    )
    write_parquet(args.out, SUBSET, rows)
    write_json(
        args.manifest,
        {**args.names, **counts, **chosen, "spec": spec, "sha256": sha256_file(args.out)},
    )
    note([args.out, args.manifest])
    return 0


def _labels(paths: Sequence[Path]) -> dict[str, pa.Table]:
    shards: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        shards[read_names(path)["annotator"]].append(path)
    return {
        name: read_columns(found, ANNOTATIONS, ["id", "status", "value"])
        for name, found in shards.items()
    }


if __name__ == "__main__":
    sys.exit(run_command(main))
