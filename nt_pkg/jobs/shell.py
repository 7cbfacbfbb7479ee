"""What stands before the shell command of every job, and where jobs may write."""

import os
import shlex
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from nt_pkg.jobs.environments import fixed, own_folders, python_function


def shell_prefix(root: Path, variables: Mapping[str, str], is_deployed: bool) -> str:
    """Return what gives jobs this project's modules, an interpreter, and the time of their launch.

    Args:
        root: the repository.
        variables: the process's environment.
        is_deployed: whether Snakemake makes an environment for them.

    Raises:
        ValueError: an environment that a variable names does not exist, or the repository's path
            has braces.
    """
    if set("{}") & set(str(root)):
        raise ValueError(
            f"the repository lies in {root}, and Snakemake takes braces in a path for its own: "
            "move it to a folder without them"
        )
    # Nobody answers a question that a library asks: `yes | snakemake` would, with yes.
    found = "exec < /dev/null; "
    # Files are UTF-8 whatever the language of the user is. Assertions are there to find what is
    # wrong before it is written, and transformers needs its docstrings.
    found += "export PYTHONUTF8=1 PYTHONOPTIMIZE= "
    found += f"PYTHONPATH={shlex.quote(str(root))} NT_JOB_STARTED=${{{{EPOCHREALTIME:-}}}}; "
    if is_deployed:
        return found
    # Braces are doubled, because Snakemake fills them in.
    python_bin = fixed(Path(sys.executable).parent.parent) / "bin"
    quoted = shlex.quote(str(python_bin)).replace("{", "{{").replace("}", "}}")
    found += f'export PATH={quoted}:"$PATH"; '
    # With NT_WARM (scripts/study.py), jobs start in a forked interpreter.
    function = python_function(own_folders(root, variables), is_warm="NT_WARM" in variables)
    return found + function.replace("{", "{{").replace("}", "}}")


def cache_home(variables: Mapping[str, str], instead: Path) -> dict[str, str]:
    """Return the variable of another folder for caches if the home cannot be written, else none.

    Snakemake keeps files there, and ends in a trace if it cannot.

    Args:
        variables: the process's environment.
        instead: the other folder.
    """
    home = variables.get("HOME", "~")
    usual = Path(variables.get("XDG_CACHE_HOME") or Path(home, ".cache")).expanduser()
    try:
        usual.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="nt-", dir=usual):
            return {}
    except OSError:  # of somebody else, read-only, full, or no folder
        return {"XDG_CACHE_HOME": str(instead)}


def check_writable(names: Iterable[str]) -> None:
    """Look whether folders can be made and written.

    Raises:
        ValueError: one of them cannot, or is a link to a folder that does not exist.
    """
    for name in names:
        folder = Path(name).resolve()
        if Path(name).is_symlink() and not folder.exists():
            raise ValueError(
                f"{name} is a link to {folder}, which does not exist: make that folder (was it "
                "purged, or is its file system not mounted?), or remove the link"
            )
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"{folder} is a file, and a folder is needed there: move it away")
        nearest = next(p for p in [folder, *folder.parents] if p.exists())
        if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
            raise ValueError(
                f"{folder} cannot be written (no permission on {nearest}): run in a folder of "
                "your own, or with --directory"
            )
