"""Compare every file of a study with the digest that was noted when it was made.

    python -m scripts.verify                                   # the demo, as profiles/local has it
    python -m scripts.verify --configfile config/real_rows.yaml
    python -m scripts.verify sft                               # one stage and what it is made from

Reads everything, shows progress, and names each file that differs, is missing from its folder or
does not belong there; then its status is 1. Nothing is changed, except that a file that is as it
was made need not be read in full by the next job. All arguments go to Snakemake's dry run.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from nt_pkg.config.load import read_study
from nt_pkg.files.foreign_text import say
from nt_pkg.jobs.command import run_command
from nt_pkg.jobs.progress import start_job
from nt_pkg.plan.validate import load_study
from nt_pkg.plan.verify import Verified, verify
from nt_pkg.snakemake_io.arguments import read_command_line
from nt_pkg.snakemake_io.dry_run import dry_run
from nt_pkg.snakemake_io.stages import STAGES

ROOT = Path(__file__).resolve().parent.parent


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if {"-h", "--help"} & set(arguments):
        say(__doc__ or "")
        return 0
    options = ["-s", str(ROOT / "Snakefile")]
    if not any(each.startswith(("--profile", "--workflow-profile")) for each in arguments):
        options += ["--profile", str(ROOT / "profiles" / "local")]
    options += arguments
    try:
        given = read_command_line(options)
        load_study(read_study(given.configfiles, given.overrides))
    except ValueError as error:
        sys.exit(f"error: {error}")
    done = dry_run(["--forceall", *options], os.environ)  # so that the plan has all jobs
    if done.status or not done.is_plan:
        say(done.said.rstrip())
        return done.status or 1
    start_job("verify")
    os.chdir(given.folder)
    outputs = [Path(path) for job in done.jobs if job.rule in STAGES for path in job.outputs]
    found = verify(dict.fromkeys(outputs))
    say(described(found))
    return int(bool(found.wrong))


def described(found: Verified) -> str:
    """Return what was found as text: a line for each file that is wrong, and the sums."""
    lines = [f"{path} {problem}" for path, problem in sorted(found.wrong.items())]
    lines.append(
        f"{found.num_files} files ({found.num_bytes / 1e9:.1f} GB) were compared: "
        f"{len(found.wrong) or 'none'} {'is' if len(found.wrong) == 1 else 'are'} wrong"
    )
    if found.wrong:
        lines.append(
            "move what is wrong elsewhere (a file of a folder: the whole folder) and run the same "
            "study again: it makes these again"
        )
    if found.num_absent:
        lines.append(f"{found.num_absent} artifacts were not made yet")
    if found.unknown:
        lines.append(
            f"{len(found.unknown)} artifacts have no digest, because an earlier version made "
            f"them, such as {found.unknown[0]}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run_command(main))
