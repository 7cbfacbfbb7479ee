"""Folders that a finished job made and that lost files since, such as to a purge of scratch.

Snakemake sees only the manifest of such a folder, and jobs that read the folder would fail. Were
the files inputs, whatever was made from them would run again with them. So they come back in a
pass of its own, before the first job: the job that made them runs again alone, its manifest gets
the bytes that it had, and nothing that is finished follows.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nt_pkg.files.manifest import lacks_files

_PASS = "NT_RESTORES"  # set in the pass itself, which works under the lock of the start
# Their last output lists the files of a folder.
_RULES = ("fetch_asset", "convert_model", "export_model")
_EVENTS = "--logger-nt-path"


def is_pass() -> bool:
    """Return whether this process only brings folders back, for another start."""
    return _PASS in os.environ


def incomplete(dag: Any) -> list[str]:
    """Return the manifests of folders that jobs of a start will read and that lack files."""
    to_run = set(dag.needrun_jobs())
    manifests = {
        str(maker.output[-1])
        for job in to_run
        for maker in dag.dependencies[job]
        if maker.rule.name in _RULES and maker not in to_run
    }
    return sorted(path for path in manifests if Path(path).exists() and lacks_files(Path(path)))


def bring_back(manifests: Sequence[str], say: Callable[[str], None]) -> None:
    """Run the jobs that made some folders again, with the options of this process.

    Raises:
        RuntimeError: one of them failed.
    """
    if not manifests:
        return
    say(f"files are missing that were made before; first they come back: {' '.join(manifests)}")
    command = [sys.executable, "-m", "snakemake", *arguments_of_pass(sys.argv[1:], manifests)]
    if subprocess.run(command, env={**os.environ, _PASS: "1"}).returncode:
        raise RuntimeError(
            f"missing files could not be brought back ({' '.join(manifests)}): the reason is above "
            "and in the log of the job"
        )


def arguments_of_pass(arguments: Sequence[str], manifests: Sequence[str]) -> list[str]:
    """Return the arguments of Snakemake with which only some manifests are made, again."""
    # The last of an option counts, and what stands behind `--` are targets.
    end = arguments.index("--") if "--" in arguments else len(arguments)
    own = ["--forcerun", *manifests, "--until", *manifests]
    if _EVENTS in arguments:  # they are jobs of another plan
        own = [_EVENTS, os.devnull, *own]
    return [*arguments[:end], *own, *arguments[end:]]
