"""Grade and score stored answers, without a model.

Called by rule `grade` (rules/evals.smk). Reads all shards of the answers. Writes one grade per
answer, and the score.
"""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from nt_pkg.benchmarks._questions import load_items
from nt_pkg.evaluation.sample_and_grade import grade_samples
from nt_pkg.evaluation.score import MOST_UNANSWERED
from nt_pkg.evaluation.shards import read_answers, read_drawn
from nt_pkg.files.content import note
from nt_pkg.files.json_files import write_json
from nt_pkg.files.manifest import checked_folder
from nt_pkg.files.parquet import write_parquet
from nt_pkg.files.path_lists import Paths
from nt_pkg.files.schemas import GRADES
from nt_pkg.jobs.command import run_command
from nt_pkg.jobs.progress import ready, start_job

logger = logging.getLogger("nt")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True)
    parser.add_argument("--names", type=json.loads, required=True)
    parser.add_argument("--samples", action=Paths, nargs="+", required=True)
    parser.add_argument("--samples-manifests", action=Paths, nargs="+", required=True)
    parser.add_argument("--source", type=Path, nargs="?", help="manifest of the benchmark's files")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--grades", type=Path, required=True)
    args = parser.parse_args(argv)
    start_job("grade", args.spec)
    spec, drawn = json.loads(args.spec), read_drawn(args.samples_manifests)
    ready("grade")
    items = load_items(
        spec["kind"], spec["params"], checked_folder(args.source) if args.source else None
    )
    rows, found = grade_samples(
        spec["kind"],
        drawn["mode"],
        drawn["repeats"],
        items,
        read_answers(args.samples),
        confidential=spec.get("confidential", False),
    )
    if found["no_answer_rate"] > MOST_UNANSWERED:
        logger.warning(
            "WARNING: no answer was found in %.1f %% of the answers, so the accuracy says little; "
            "%.1f %% were cut. docs/benchmarks.md says which form of an answer is read",
            100 * found["no_answer_rate"],
            100 * found["truncation_rate"],
        )
    write_parquet(args.grades, GRADES, rows)
    names = {**args.names, "seed": int(args.names["seed"])}
    samples = [path.name for path in args.samples]
    write_json(args.out, {**found, **names, **drawn, "samples": samples, "spec": spec})
    note([args.out, args.grades])
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
