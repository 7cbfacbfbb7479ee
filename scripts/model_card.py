"""Write the card of a trained student: README.md with the front matter that the hub reads.

    python -m scripts.model_card --configfile config/mine.yaml --student small --subset long-300 \
        --format whole --seed 0 --out card.md

The student has to be trained and exported; scores and comparisons are those that are there.
"""

import argparse
import sys
from collections.abc import Sequence
from contextlib import chdir
from pathlib import Path

from nt_pkg.config.load import read_study
from nt_pkg.export.student import render_student
from nt_pkg.files import layout
from nt_pkg.files.foreign_text import say
from nt_pkg.files.json_files import atomic_path
from nt_pkg.files.path_lists import new_file
from nt_pkg.jobs.command import run_command
from nt_pkg.plan.study_plan import Plan
from nt_pkg.plan.validate import load_study
from scripts.export_subset import find_commit


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--configfile", type=Path, nargs="+", required=True)
    for name in ("student", "subset", "format"):
        parser.add_argument(f"--{name}", required=True, help="its name in the study")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=new_file, required=True, help="new Markdown file to write")
    parser.add_argument("--directory", type=Path, default=Path(), help="as Snakemake's")
    args = parser.parse_args(argv)
    names = {name: getattr(args, name) for name in ("student", "subset", "format", "seed")}
    try:
        study = load_study(read_study(args.configfile))
        with chdir(args.directory):
            text = render_student(
                Plan(study), names, args.configfile, find_commit(), args.directory
            )
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))
    with atomic_path(args.out) as path:
        path.write_text(text, encoding="utf-8")
    model = args.directory / layout.artifact(layout.TRAINING, **names).parent / "hf"
    say(f"written: {args.out}")
    say(f"to upload both: hf upload ORG/NAME {model} . ; hf upload ORG/NAME {args.out} README.md")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
