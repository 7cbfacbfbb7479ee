"""The command that rebuilds one file of a study."""

import shlex
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path


def remake_command(
    root: Path,
    arguments: Sequence[str],
    configfiles: Sequence[Path],
    overrides: Sequence[str] = (),
) -> str:
    """Return the command that rebuilds a file of the study; append the file to it.

    Args:
        root: folder of the Snakefile.
        arguments: the arguments of Snakemake.
        configfiles: the files of the study.
        overrides: the values after --config.
    """
    options = [each for argument in arguments for each in argument.split("=", 1)]
    named = (b for a, b in pairwise(options) if a == "--profile")
    command = ["snakemake"]
    if root.resolve() != Path.cwd():
        command += ["-s", _seen_from_here(root / "Snakefile")]
    profile = next(named, str(root / "profiles" / "local"))
    command += ["--profile", _seen_from_here(Path(profile))]
    if configfiles:
        # A profile names its file as `profiles/slurm/../../config/demo.yaml`.
        files = (each.parent.resolve() / each.name for each in configfiles)
        command += ["--configfile", *map(_seen_from_here, files)]
    if overrides:
        command += ["--config", *overrides]
    return shlex.join([*command, "--force"])


def _seen_from_here(path: Path) -> str:
    is_below = path.is_absolute() and path.is_relative_to(Path.cwd())
    return (path.relative_to(Path.cwd()) if is_below else path).as_posix()
