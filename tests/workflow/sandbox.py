"""A copy of the repository in which a small study can be run, edited and killed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from nt_pkg.snakemake_io.dry_run import Job, dry_run

ROOT = Path(__file__).parents[2]
PAPER = ROOT / "config" / "paper.yaml"
STUDY = ROOT / "tests" / "study.yaml"
TINY = Path("tests/workflow/tiny.yaml")


def copy_repository(to: Path) -> None:
    """Copy the files that git tracks or would track, over those of an earlier copy."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() or (ROOT / name).is_symlink():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            (to / name).unlink(missing_ok=True)  # a link would not be replaced
            shutil.copy2(ROOT / name, to / name, follow_symlinks=False)


def command(module: str, *arguments: str) -> list[str]:
    """Return the command line of a module of the copy."""
    return [sys.executable, "-m", module, *arguments]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Return an environment in which the copy's modules are found and nothing else of ours."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NT_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    return {**kept, "PATH": path, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", **more}


def run(folder: Path, arguments: Sequence[str], **more: str) -> str:
    """Run a command in the copy and return what it printed.

    Raises:
        RuntimeError: it failed; the text holds the end of what it printed.
    """
    done = subprocess.run(
        arguments,
        cwd=folder,
        env=environment(folder, **more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(
            f"status {done.returncode} of {' '.join(arguments)} in {folder}:\n{done.stdout[-4000:]}"
        )
    return done.stdout


def plan(folder: Path, arguments: Sequence[str], **more: str) -> list[Job]:
    """Return the jobs that Snakemake would run in the copy, targets included.

    Raises:
        RuntimeError: it does not plan; the text holds the end of what it printed.
    """
    done = dry_run(arguments, environment(folder, **more), folder)
    if done.status or not done.is_plan:
        raise RuntimeError(f"status {done.status} in {folder}:\n{done.said[-4000:]}")
    return list(done.jobs)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return rows as a text table; columns of numbers are set right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[at]) for row in [list(head), *cells]) for at in range(len(head))]
    right = [bool(cells) and all(row[at].isdigit() for row in cells) for at in range(len(head))]
    lines = [
        "  ".join(
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in [list(head), *cells]
    ]
    return "\n".join(lines) + "\n"
