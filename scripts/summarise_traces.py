"""Count a teacher's traces of a pool by status, reason and length.

Called by rule `summarise_traces` (rules/traces.smk). Writes one JSON file;
nt_pkg/traces/statistics.py describes it.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from nt_pkg.files.content import note
from nt_pkg.files.json_files import write_json
from nt_pkg.files.path_lists import Paths
from nt_pkg.jobs.command import run_command
from nt_pkg.jobs.progress import ready, start_job
from nt_pkg.traces.statistics import trace_statistics


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True)
    parser.add_argument("--names", type=json.loads, required=True)
    parser.add_argument("--traces", action=Paths, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    start_job("summarise_traces", args.spec)
    ready("summarise_traces")
    found = trace_statistics(args.traces)
    write_json(args.out, {**args.names, **found, "spec": json.loads(args.spec)})
    note([args.out])
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
