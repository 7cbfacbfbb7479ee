"""Compare the runs of a study and write its report.

Called by rule `build_report` (rules/report.smk). Reads the grades next to the
scores, and for claims about lengths the samples. Reads the summary of an earlier report and a file
of true differences if the study names them. Writes index.html, summary.json, tables, figures
and pages of rows.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from nt_pkg.config.report import Report
from nt_pkg.files.content import note
from nt_pkg.files.path_lists import Paths
from nt_pkg.jobs.command import run_command
from nt_pkg.jobs.progress import ready, start_job
from nt_pkg.report.collect import collect, names_in_use
from nt_pkg.report.records import Question, RuleRun, Score, Study, Timings, read_record
from nt_pkg.report.summary import read_summary, read_truth
from nt_pkg.snakemake_io.timings import rules_as_run, seconds_per_stage

Found = TypeVar("Found")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True)
    for name in (
        *("pools", "prompts", "traces", "texts", "labels", "subsets", "manifests", "examples"),
        *("runs", "scores"),
    ):
        parser.add_argument(f"--{name}", action=Paths, nargs="*", required=True)
    parser.add_argument(
        "--benchmarks",
        action=Paths,
        nargs="*",
        default=[],
        help="manifests of the benchmarks with files in the spec, in order",
    )
    parser.add_argument("--timings", type=Path, required=True, help="folder of benchmark files")
    parser.add_argument(
        "--earlier", action=Paths, nargs="*", default=[], help="summary.json of an earlier report"
    )
    parser.add_argument(
        "--truth", type=Path, nargs="*", default=[], help="true differences, to compare with"
    )
    parser.add_argument("--command", default="snakemake", help="command that rebuilds a file")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    start_job("build_report", args.spec)
    from nt_pkg.report.build import build_report
    from nt_pkg.report.overlaps import measure_overlaps, read_draws
    from nt_pkg.report.rows import choose_pairs, find_texts, show_rows
    from nt_pkg.report.solved import compare_questions
    from nt_pkg.statistics.compare_runs import read_first_answers, read_lengths, read_means

    spec = json.loads(args.spec)
    ready("build_report")
    report = Report.model_validate(spec["report"])
    found = collect(
        Study(spec["study"], report, spec["chance"], spec["labels"], spec.get("words", {})),
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
    draws = read_draws(list(zip(args.subsets, args.manifests, strict=True)))
    pools = list(zip(args.pools, args.prompts, strict=True))
    texts = find_texts(pools, args.texts, args.labels, spec["confidential"])
    picks, sampled = show_rows(choose_pairs(report.comparisons), draws, texts)
    answers = _beside_scores(read_means)
    solved = compare_questions(
        report.comparisons,
        found.scores,
        answers,
        lambda score, asked: read_first_answers(_file_of(score), asked),
        _questions(spec["benchmarks"], args.benchmarks),
    )
    earlier = [read_summary(path.parent, spec["study"]) for path in args.earlier]
    truths = [read_truth(path) for path in args.truth]
    build_report(
        dataclasses.replace(
            found,
            timings=timings,
            truth=truths[0] if truths else None,
            recipes=spec.get("recipes", {}),
            overlaps=measure_overlaps(draws),
            picks=picks,
            pool_sample=sampled,
            solved=solved,
        ),
        args.out.parent,
        answers=answers,
        lengths=_beside_scores(read_lengths),
        earlier=earlier[0] if earlier else None,
    )
    folder = args.out.parent
    inside = ("summary.json", "tables", "figures", "pages")
    note([args.out, *(folder / name for name in inside)])
    return 0


def _questions(
    benchmarks: Mapping[str, Mapping[str, Any]], manifests: Sequence[Path]
) -> Callable[[str], Mapping[str, Question]]:
    """Return a function that reads the questions of a benchmark, each once."""
    folders = iter([path.parent for path in manifests])
    sources = {n: next(folders) if own["has_files"] else None for n, own in benchmarks.items()}

    from nt_pkg.report.solved import read_questions

    @cache
    def read(name: str) -> Mapping[str, Question]:
        own = benchmarks[name]
        return read_questions(own["kind"], own["params"], sources[name])

    return read


def _beside_scores(read: Callable[[Path], Found]) -> Callable[[Score], Found]:
    """Return a function that reads the file next to a score, each file once."""
    kept = cache(read)

    return lambda score: kept(_file_of(score))


def _file_of(score: Score) -> Path:
    assert score.source is not None, "a score that was read from a file has a source"
    return Path(score.source.path)


if __name__ == "__main__":
    sys.exit(run_command(main))
