"""Turn answers that a model wrote elsewhere into the files of a run.

Called by rule `import_answers` (rules/evals.smk). By hand, this checks the files of a study without
writing anything (docs/answers.md):

    python -m scripts.import_answers --configfile my_study.yaml
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nt_pkg.benchmarks._base import Item
from nt_pkg.benchmarks._questions import load_items
from nt_pkg.config.load import read_study
from nt_pkg.evaluation.import_answers import import_answers
from nt_pkg.files.content import note
from nt_pkg.files.foreign_text import say
from nt_pkg.files.json_files import write_json
from nt_pkg.files.manifest import checked_folder
from nt_pkg.files.parquet import write_parquet
from nt_pkg.files.schemas import SAMPLES, Row
from nt_pkg.jobs.command import run_command
from nt_pkg.jobs.progress import ready, start_job
from nt_pkg.plan.questions import items_of
from nt_pkg.plan.study_plan import Plan, answers_file
from nt_pkg.plan.validate import load_study
from nt_pkg.plugins.registry import plugin
from nt_pkg.pools._readers import read_file


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--configfile", type=Path, nargs="+", help="check the files of a study")
    parser.add_argument("--spec")
    parser.add_argument("--answers", type=Path, help="JSON or Parquet file")
    parser.add_argument("--source", type=Path, nargs="?", help="manifest of the benchmark's files")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--manifest", type=Path)
    args = parser.parse_args(argv)
    if args.configfile:
        return _check(args.configfile)
    start_job("import_answers", args.spec)
    ready("import_answers")
    spec, source = json.loads(args.spec), args.source
    items = load_items(spec["kind"], spec["params"], checked_folder(source) if source else None)
    rows, made = _imported(spec, args.answers, items)
    write_parquet(args.out, SAMPLES, rows)
    write_json(args.manifest, made)
    note([args.out, args.manifest])
    return 0


def _check(files: Sequence[Path]) -> int:
    """Print what each file of a study gives; return 1 if one is refused."""
    try:
        plan = Plan(load_study(read_study(files)))
    except ValueError as error:
        sys.exit(f"error: {error}")
    is_refused = False
    if not plan.study.answers:
        say("the study has no `answers`")
    for entry in plan.study.answers:
        try:
            spec = json.loads(plan.import_spec(entry))
            _, made = _imported(spec, answers_file(entry), items_of(plan.study, entry.benchmark))
            counts = ", ".join(f"{what}: {n}" for what, n in made["imported"].items())
            say(f"{entry.where}: can be imported ({counts})")
        except ValueError as error:
            is_refused = True
            say(f"{entry.where}: {error}")
    return int(is_refused)


def _imported(
    spec: dict[str, Any], path: Path, items: Sequence[Item]
) -> tuple[list[Row], dict[str, Any]]:
    prompt = plugin("benchmarks", spec["kind"]).prompt
    try:
        return import_answers(spec, items, prompt, read_file(path))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


if __name__ == "__main__":
    sys.exit(run_command(main))
