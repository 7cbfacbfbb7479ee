"""Grade and score stored answers, without a model.

Called by rule `grade` (rules/evals.smk). Reads all shards of the answers. Writes one grade per
answer, and the score. After a kill the same command continues with the grades that it had.
"""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nt_pkg.benchmarks._questions import load_items
from nt_pkg.evaluation.kept_grades import keeping
from nt_pkg.evaluation.sample_and_grade import GradeWith, grade_samples
from nt_pkg.evaluation.score import MOST_UNANSWERED
from nt_pkg.evaluation.shards import read_answers, read_drawn
from nt_pkg.files.content import note
from nt_pkg.files.json_files import digest, sha256_file, write_json
from nt_pkg.files.manifest import checked_folder
from nt_pkg.files.parquet import write_parquet
from nt_pkg.files.path_lists import Paths
from nt_pkg.files.schemas import GRADES, Row
from nt_pkg.jobs.command import run_command
from nt_pkg.jobs.in_pieces import FIRST
from nt_pkg.jobs.journal import Journal
from nt_pkg.jobs.progress import ready, start_job
from nt_pkg.jobs.work_dir import work_dir

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
    samples = read_answers(args.samples)
    if len(samples) <= FIRST:
        _grade(args, spec, drawn, samples)
    else:
        files = [*args.samples, *args.samples_manifests, *([args.source] if args.source else [])]
        key = digest([args.spec, args.names, *map(sha256_file, files)])
        with work_dir([args.out, args.grades], key) as folder:
            if folder:
                with Journal(folder / "grades.jsonl") as journal:
                    _grade(args, spec, drawn, samples, grade_with=keeping(journal))
    note([args.out, args.grades])
    return 0


def _grade(
    args: argparse.Namespace,
    spec: dict[str, Any],
    drawn: dict[str, Any],
    samples: list[Row],
    **how: GradeWith,
) -> None:
    rows, found = grade_samples(
        spec["kind"],
        drawn["mode"],
        drawn["repeats"],
        load_items(
            spec["kind"], spec["params"], checked_folder(args.source) if args.source else None
        ),
        samples,
        confidential=spec.get("confidential", False),
        **how,
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
    shards = [path.name for path in args.samples]
    write_json(args.out, {**found, **names, **drawn, "samples": shards, "spec": spec})


if __name__ == "__main__":
    sys.exit(run_command(main))
