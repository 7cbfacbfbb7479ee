"""Check a cluster before starting a study on it: what is wrong, and what to edit.

    python -m scripts.preflight                                     # profile slurm and its study
    python -m scripts.preflight --configfile config/real_rows.yaml
    python -m scripts.preflight --probe                             # also runs tiny jobs on nodes

Run it on the login node, in the folder where you will start Snakemake. Exits with 0 if the study
can start (there may be warnings), otherwise with 1. Submits nothing without --probe.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from nt_pkg.files.foreign_text import say
from nt_pkg.jobs.command import run_command
from nt_pkg.preflight.run import Options, preflight
from nt_pkg.preflight.table import findings_table

ROOT = Path(__file__).parent.parent
FOLDERS = ("results", "assets", "work", "logs")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="scripts.preflight", description=__doc__.split("\n")[0])
    parser.add_argument("--profile", default="slurm", help="as Snakemake's (default: slurm)")
    parser.add_argument(
        "--configfile", nargs="+", action="extend", default=[], type=Path, help="as Snakemake's"
    )
    parser.add_argument("--directory", default=Path(), type=Path, help="as Snakemake's")
    parser.add_argument("--probe", action="store_true", help="also run tiny jobs on nodes")
    parsed = parser.parse_args(argv)
    options = Options(
        root=ROOT,
        folder=parsed.directory.absolute(),
        profile=parsed.profile,
        configfiles=tuple(parsed.configfile),
        folders=FOLDERS,
        probe=parsed.probe,
    )
    findings = preflight(options)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    say(findings_table(findings, width).rstrip())
    return int(any(each.level == "FAIL" for each in findings))


if __name__ == "__main__":
    sys.exit(run_command(main))
