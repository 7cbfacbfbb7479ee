"""Compare runs of a benchmark question by question.

    python -m scripts.compare_scores results/evals/.../think.json results/evals/.../think.json

Takes the score files of two or more runs and reads the grades next to them. Prints a table of all
pairs with the same benchmark. With --out, also writes it as JSON.
"""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from nt_pkg.files.foreign_text import say
from nt_pkg.files.json_files import read_fields, write_json
from nt_pkg.files.path_lists import new_file
from nt_pkg.jobs.command import run_command
from nt_pkg.statistics.compare_runs import Answered, Difference, compare_runs, read_means

_NAMES = ("student", "subset", "format", "seed", "mode")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scores", type=Path, nargs="+", metavar="SCORE.json")
    parser.add_argument("--with-first", action="store_true", help="only compare with the first")
    parser.add_argument("--out", type=new_file, help="new JSON file to write")
    args = parser.parse_args(argv)
    try:
        found = compare_runs([_run(path) for path in args.scores], only_with_first=args.with_first)
    except ValueError as error:
        parser.error(str(error))
    say(render(found))
    if args.out:
        write_json(args.out, [dataclasses.asdict(each) for each in found])
    return 0


def _run(path: Path) -> Answered:
    score = read_fields(path, *_NAMES, "benchmark")
    name = "/".join(str(score[key]) for key in _NAMES)
    return Answered(name, score["benchmark"], read_means(path))


def render(differences: Sequence[Difference]) -> str:
    """Return a Markdown table in points of accuracy."""
    lines = [
        "| benchmark | a | b | questions | a - b | s.e. | 95 % | all pairs 95 % | p (Holm) |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for each in differences:
        spans = (
            f"{100 * low:+.1f} to {100 * high:+.1f}"
            for low, high in (each.interval, each.joint_interval)
        )
        lines.append(
            f"| {each.benchmark} | {each.a} | {each.b} | {each.num_questions:,} "
            f"| {100 * each.difference:+.1f} | {100 * each.standard_error:.1f} "
            f"| {' | '.join(spans)} | {each.p_value:.2g} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run_command(main))
