"""Write the numbers of a finished report of the paper's study to docs/reproduction.md.

python -m scripts.reproduction results/report/paper

Also writes docs/reproduction.json; commit it with the page. Without a report, `make schema` writes
the page.
"""

import argparse
import dataclasses
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from nt_pkg.config.load import read_study
from nt_pkg.files.foreign_text import say
from nt_pkg.files.json_files import read_json, write_json
from nt_pkg.jobs.command import run_command
from nt_pkg.plan.study_plan import Plan
from nt_pkg.plan.validate import load_study
from nt_pkg.report.records import read_record
from nt_pkg.report.reproduction import Ours, read_report, reproduction_page

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reproduction.md"
OURS = PAGE.with_suffix(".json")
PAPER = "config/paper.yaml"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path, help="folder of the report, results/report/paper")
    args = parser.parse_args(argv)
    if not (args.report / "summary.json").exists():
        parser.error(f"{args.report} holds no finished report: summary.json is missing")
    try:
        ours = read_report(args.report)
    except ValueError as error:
        parser.error(str(error))
    commit = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True
    )
    taken = dataclasses.replace(
        ours, date=date.today().isoformat(), commit=commit.stdout.strip() or "unknown"
    )
    write_json(OURS, dataclasses.asdict(taken))
    PAGE.write_text(page())
    say(f"written: {PAGE} and {OURS}")
    return 0


def page() -> str:
    """Return the page for the repository's configuration and the numbers written so far."""
    plan = Plan(load_study(read_study([ROOT / PAPER])))
    ours = read_record(Ours, read_json(OURS), OURS) if OURS.exists() else None
    return reproduction_page(plan, ours, PAPER)


if __name__ == "__main__":
    sys.exit(run_command(main))
