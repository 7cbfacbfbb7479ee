"""Keep what a study with many seeds measured, as the truth for the reports of others.

Called by rule `keep_truth` (rules/report.smk). Reads summary.json of the study's report, and
writes its differences and means with the digests of what they depend on.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from nt_pkg.config.report import Comparison
from nt_pkg.files.content import note
from nt_pkg.files.json_files import write_json
from nt_pkg.jobs.command import run_command
from nt_pkg.jobs.progress import ready, start_job
from nt_pkg.report.summary import read_summary
from nt_pkg.report.truth import keep_truth


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True)
    parser.add_argument("--summary", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    start_job("keep_truth", args.spec)
    spec = json.loads(args.spec)
    ready("keep_truth")
    comparisons = [Comparison.model_validate(each) for each in spec["comparisons"]]
    try:
        truth = keep_truth(read_summary(args.summary.parent), comparisons, spec["recipes"])
    except ValueError as error:
        sys.exit(f"error: {error}")
    write_json(args.out, dataclasses.asdict(truth))
    note([args.out])
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
