"""Show what changed between two reports of one study.

    python -m scripts.compare_reports results/report/demo-before results/report/demo

Takes the folders of two finished reports, the earlier one first. Prints, in Markdown, the tables of
a report whose study names an earlier one (`report.earlier`).
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from nt_pkg.config.report import Report
from nt_pkg.files.foreign_text import say
from nt_pkg.jobs.command import run_command
from nt_pkg.report.records import Study
from nt_pkg.report.summary import read_summary


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path, metavar="OLD", help="folder of the earlier report")
    parser.add_argument("new", type=Path, metavar="NEW", help="folder of the later report")
    args = parser.parse_args(argv)
    try:
        new = read_summary(args.new)
        old = read_summary(args.old, new.study)
    except ValueError as error:
        parser.error(str(error))
    from nt_pkg.report.build import draw_parts
    from nt_pkg.report.changes.compare import compare_summaries
    from nt_pkg.report.changes.words import say_changes
    from nt_pkg.report.material import Material
    from nt_pkg.report.tables import Table, render_markdown

    changes = compare_summaries(old, new, str(args.old))
    say(say_changes(changes))
    study = Study(new.study, Report(title=new.study))
    for each in draw_parts(Material(study, changes=changes))["changes"]:
        if isinstance(each, Table):
            say(f"\n{render_markdown(each)}".rstrip())
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
