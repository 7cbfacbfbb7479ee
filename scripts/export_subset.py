"""Write a selected subset as a data set that `datasets.load_dataset` opens, with a card.

    python -m scripts.export_subset --configfile config/mine.yaml --subset long-300 --out exported

The study's selection has to be there: `snakemake ... subsets` makes it. The folder holds Parquet
files and README.md; docs/exporting.md says what is in them and how to upload them.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from contextlib import chdir
from pathlib import Path
from typing import get_args

from nt_pkg.config.load import read_study
from nt_pkg.export.rows import Shape
from nt_pkg.export.study import Wanted, export_subset
from nt_pkg.files.foreign_text import say
from nt_pkg.jobs.command import run_command
from nt_pkg.plan.study_plan import Plan
from nt_pkg.plan.validate import load_study

ROOT = Path(__file__).resolve().parent.parent


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--configfile", type=Path, nargs="+", required=True)
    parser.add_argument("--subset", required=True, help="name of the subset in the study")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shape", choices=get_args(Shape), default="messages")
    parser.add_argument("--split", default="train")
    parser.add_argument("--out", type=Path, required=True, help="folder to write, new or empty")
    parser.add_argument("--directory", type=Path, default=Path(), help="as Snakemake's")
    args = parser.parse_args(argv)
    files = args.configfile
    wanted = Wanted(
        args.subset, args.seed, args.shape, args.split, args.out, files, find_commit(), Path.cwd(),
        args.directory,
    )  # fmt: skip
    try:
        study = load_study(read_study(files))
        with chdir(args.directory):
            number = export_subset(Plan(study), wanted)
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))
    say(f"written: {args.out}, {number:,} rows")
    say(f"to upload it: hf upload ORG/NAME {args.out} . --repo-type dataset")
    return 0


def find_commit() -> str:
    """Return the commit of this repository, for a card."""
    found = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "COMMIT"


if __name__ == "__main__":
    sys.exit(run_command(main))
