"""A command line of Snakemake, parsed by Snakemake: which study it runs, and where."""

import io
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class CommandLine:
    """The arguments of a command line, including its profiles."""

    configfiles: tuple[Path, ...]
    overrides: tuple[str, ...]  # key=value, as after --config
    folder: Path  # of the results
    profiles: tuple[Path, ...]
    is_dry_run: bool


def read_command_line(arguments: Sequence[str]) -> CommandLine:
    """Return the arguments as Snakemake reads them; exit as Snakemake does if it rejects them.

    Raises:
        ValueError: a value after --configfile is not a file.
    """
    # For start-up time: Snakemake's parser takes a second to load.
    from snakemake.cli import parse_args
    from snakemake.exceptions import CliException

    said = io.StringIO()
    try:
        with redirect_stderr(said):  # the Snakemake that runs says it again
            _, parsed = parse_args(list(arguments))
    except SystemExit:
        sys.stderr.write(said.getvalue())
        raise
    except CliException as error:
        raise ValueError(str(error)) from error
    files = tuple(parsed.configfile)
    for at, path in enumerate(files):
        if at and not path.is_file() and path.suffix not in (".yaml", ".yml"):
            raise ValueError(
                f"{path} after --configfile is not a file: put a target before this "
                f"option, as in `{path} --configfile {' '.join(map(str, files[:at]))}`"
            )
    profiles = [*(parsed.profile or ()), parsed.workflow_profile]
    return CommandLine(
        configfiles=files,
        overrides=tuple(parsed.config or ()),
        folder=Path(parsed.directory or ""),
        profiles=tuple(Path(each) for each in profiles if each),
        is_dry_run=bool(parsed.dryrun),
    )
