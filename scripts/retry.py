"""Retry failed rows of finished shards, and no others.

    python -m scripts.retry                                     # what failed, and why
    python -m scripts.retry --run --teacher r1 --profile slurm --configfile my_study.yaml

With --run, rebuilds the shards with failed rows and everything downstream. Stored answers are
reused, and only failed rows are sent again. Passes unknown arguments to Snakemake.
"""

import argparse
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from nt_pkg.config.load import read_study
from nt_pkg.files import layout
from nt_pkg.files.foreign_text import say
from nt_pkg.files.parquet import read_parquet
from nt_pkg.files.schemas import ANNOTATIONS, TRACES
from nt_pkg.jobs.command import run_command
from nt_pkg.plan.study_plan import Plan, Wildcards
from nt_pkg.plan.validate import load_study
from nt_pkg.snakemake_io.arguments import read_command_line

ROOT = Path(__file__).resolve().parent.parent
# Options of this script, and how many values they take.
_OWN = {"--teacher": 1, "--annotator": 1, "--run": 0, "-h": 0, "--help": 0}


@dataclass(frozen=True)
class Shard:
    """A shard of a teacher or an annotator with failed rows."""

    path: Path
    num_rows: int
    reasons: Counter[str]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form, allow_abbrev=False)
    parser.add_argument("--teacher", help="only traces of this teacher")
    parser.add_argument("--annotator", help="only labels of this annotator")
    parser.add_argument("--run", action="store_true", help="retry; by default only show failures")
    own, targets, others = _split(sys.argv[1:] if argv is None else argv)
    args = parser.parse_args(own)
    options = ["-s", str(ROOT / "Snakefile")]
    if not any(each.split("=")[0] in ("--profile", "--workflow-profile") for each in others):
        options += ["--profile", str(ROOT / "profiles" / "local")]
    options += others
    try:
        given = read_command_line(options)
        study = load_study(read_study(given.configfiles, given.overrides))
        plan = Plan(study, folder=given.folder)
        for section, name in (("teachers", args.teacher), ("annotators", args.annotator)):
            if name is not None:
                study.require(section, name, f"--{section.removesuffix('s')}")
    except ValueError as error:
        say(f"error: {error}", sys.stderr)
        return 1
    shards = []
    if args.teacher or not args.annotator:
        names = [n for n in plan.traces() if args.teacher in (None, n["teacher"])]
        shards += failed(given.folder, layout.TRACES, names, TRACES)
    if args.annotator or not args.teacher:
        names = [n for n in plan.annotations() if args.annotator in (None, n["annotator"])]
        shards += failed(given.folder, layout.LABELS, names, ANNOTATIONS)
    say("\n".join(map(describe, shards)) or "no row failed")
    if not shards or not args.run:
        return 0
    # These come first, so that the next option ends their list.
    again = [*targets, "--forcerun", *(str(each.path.relative_to(given.folder)) for each in shards)]
    sys.stdout.flush()
    return subprocess.run([sys.executable, "-m", "snakemake", *again, *options]).returncode


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Return this script's own options, the targets after them, and Snakemake's arguments.

    A word after an option of Snakemake may be its value, a word after one of ours is a target.
    """
    own: list[str] = []
    targets: list[str] = []
    others: list[str] = []
    place, num_values = targets, 0
    for each in arguments:
        name, equals, _ = each.partition("=")
        if num_values:
            own.append(each)
            num_values -= 1
        elif name in _OWN:
            own.append(each)
            place, num_values = targets, 0 if equals else _OWN[name]
        else:
            place = others if each.startswith("-") else place
            place.append(each)
    return own, targets, others


def failed(
    directory: Path, pattern: str, wildcards: Sequence[Wildcards], schema: pa.Schema
) -> list[Shard]:
    """Return the existing shards with failed rows.

    Args:
        directory: folder with `results`.
        pattern: path of a shard (nt_pkg/files/layout.py).
        wildcards: wildcards of the study's shards.
        schema: schema of the shards.
    """
    found = []
    for names in wildcards:
        path = layout.artifact(pattern, directory, **names)
        if not path.exists():
            continue
        rows = read_parquet(path, schema, ["status", "error"])
        reasons = Counter(str(row["error"]) for row in rows if row["status"] == "failed")
        if reasons:
            found.append(Shard(path, len(rows), reasons))
    return found


def describe(shard: Shard) -> str:
    """Return a line about a shard, with the most frequent reason for failing."""
    [(reason, count)] = shard.reasons.most_common(1)
    total = shard.reasons.total()
    return f"{shard.path}: {total} of {shard.num_rows} rows failed; {count} of them: {reason}"


if __name__ == "__main__":
    sys.exit(run_command(main))
