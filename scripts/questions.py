"""Write the questions of a benchmark as a student is asked, to ask another model (docs/answers.md).

    python -m scripts.questions micro_free --mode think --configfile my_study.yaml --out asked.jsonl

Writes one JSON object per question: question_id, question and prompt.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from nt_pkg.config.base import Mode
from nt_pkg.config.load import read_study
from nt_pkg.dialogue.formats import prompt_in_mode
from nt_pkg.files.foreign_text import say
from nt_pkg.files.json_files import atomic_path
from nt_pkg.files.path_lists import new_file
from nt_pkg.jobs.command import run_command
from nt_pkg.plan.questions import items_of
from nt_pkg.plan.validate import load_study
from nt_pkg.plugins.registry import plugin


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("benchmark", help="name in the catalogue of the study")
    parser.add_argument("--mode", choices=get_args(Mode), required=True)
    parser.add_argument("--configfile", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=new_file, required=True, help="new *.jsonl file to write")
    args = parser.parse_args(argv)
    try:
        study = load_study(read_study(args.configfile))
        items = items_of(study, args.benchmark)
    except ValueError as error:
        sys.exit(f"error: {error}")
    entry = study.benchmarks[args.benchmark]
    ask = plugin("benchmarks", entry.kind).prompt
    with atomic_path(args.out) as path, path.open("w", encoding="utf-8") as file:
        for item in items:
            prompt = prompt_in_mode(ask(item), args.mode, entry.think_words).user
            row = {"question_id": item.id, "question": item.question, "prompt": prompt}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    say(f"{len(items)} questions in {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
