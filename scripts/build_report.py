"""Compare the runs of a study and write its report.

Called by rule `build_report` (rules/report.smk). Reads the grades next to the
scores, and for claims about lengths the samples. Reads the summary of an earlier report and a file
of true differences if the study names them. Writes index.html, summary.json, tables and figures.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TypeVar

from nt_pkg.config.report import Report
from nt_pkg.jobs.progress import ready, start_job
from nt_pkg.report.collect import collect, names_in_use
from nt_pkg.report.records import RuleRun, Score, Study, Timings, read_record
from nt_pkg.report.summary import read_summary, read_truth
from nt_pkg.snakemake_io.timings import rules_as_run, seconds_per_stage

Found = TypeVar("Found")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True)
    for name in ("pools", "traces", "labels", "subsets", "manifests", "examples", "runs", "scores"):
        parser.add_argument(f"--{name}", type=Path, nargs="*", required=True)
    parser.add_argument("--timings", type=Path, required=True, help="folder of benchmark files")
    parser.add_argument(
        "--earlier", type=Path, nargs="*", default=[], help="summary.json of an earlier report"
    )
    parser.add_argument(
        "--truth", type=Path, nargs="*", default=[], help="true differences, to compare with"
    )
    parser.add_argument("--command", default="snakemake", help="command that rebuilds a file")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    start_job("build_report", args.spec)
    from nt_pkg.report.build import build_report
    from nt_pkg.statistics.compare_runs import read_lengths, read_means

    spec = json.loads(args.spec)
    ready("build_report")
    report = Report.model_validate(spec["report"])
    found = collect(
        Study(spec["study"], report, spec["chance"], spec["labels"]),
        args.pools,
        args.traces,
        args.labels,
        list(zip(args.subsets, args.manifests, strict=True)),
        args.examples,
        args.runs,
        args.scores,
        args.command,
    )
    names = names_in_use(found)
    timings = Timings(
        seconds_per_stage(args.timings, names),
        [read_record(RuleRun, rule, args.timings) for rule in rules_as_run(args.timings, names)],
    )
    earlier = [read_summary(path.parent, spec["study"]) for path in args.earlier]
    truths = [read_truth(path) for path in args.truth]
    build_report(
        dataclasses.replace(
            found,
            timings=timings,
            truth=truths[0] if truths else None,
            recipes=spec.get("recipes", {}),
        ),
        args.out.parent,
        answers=_beside_scores(read_means),
        lengths=_beside_scores(read_lengths),
        earlier=earlier[0] if earlier else None,
    )
    return 0


def _beside_scores(read: Callable[[Path], Found]) -> Callable[[Score], Found]:
    """Return a function that reads the file next to a score, each file once."""
    kept = cache(read)

    def read_beside(score: Score) -> Found:
        assert score.source is not None, "a score that was read from a file has a source"
        return kept(Path(score.source.path))

    return read_beside


if __name__ == "__main__":
    sys.exit(main())
