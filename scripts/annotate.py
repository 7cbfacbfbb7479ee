"""Label the traces of one shard with one annotator.

Called by rule `annotate` (rules/annotations.smk). Writes one row per trace, same ids.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from nt_pkg.annotation import annotate
from nt_pkg.progress import ready, start_job
from nt_pkg.records import ANNOTATIONS, PROMPTS, TRACES, read_parquet, write_parquet


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True)
    parser.add_argument("--names", type=json.loads, required=True)
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--traces", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    start_job("annotate", args.spec)
    spec = json.loads(args.spec)
    ready("annotate")
    prompts, traces = read_parquet(args.prompts, PROMPTS), read_parquet(args.traces, TRACES)
    rows = annotate(spec["kind"], spec["params"], prompts, traces)
    write_parquet(args.out, ANNOTATIONS, rows, args.names)
    return 0


if __name__ == "__main__":
    sys.exit(main())
