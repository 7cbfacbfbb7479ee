"""How a command ends: what its user can mend is said in one line, without a trace of Python."""

import errno
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from nt_pkg.files.foreign_text import printable, say
from nt_pkg.jobs import usage
from nt_pkg.jobs.full_disk import full_places, say_full

ERROR = "error: "  # before what a command ended with, for those who read its log
_CODE = Path(__file__).parents[2]  # the repository
_FULL = (errno.ENOSPC, errno.EDQUOT)
_SAYS_FULL = tuple(os.strerror(number) for number in _FULL)  # in errors of libraries without errno
# What a machine does to any program: files of a lost server, limits, no memory.
_OF_MACHINE = (
    *(errno.EIO, errno.ESTALE, errno.EFBIG, errno.EROFS, errno.ENOTCONN, errno.ETIMEDOUT),
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENODEV, errno.ENXIO),
)
_BUG = "This is a defect of the project, or of a library; please report it with the lines above"


def run_command(main: Callable[[], int]) -> int:
    """Return the exit status of a command.

    An error that this project raises tells its user what is wrong, where, and what to do; of others
    the trace is needed as well. All of them are printed without secrets and control characters.

    Args:
        main: does the work, and returns its status.
    """
    with usage.counted():
        return _run(main)


def _run(main: Callable[[], int]) -> int:
    try:
        return main()
    except SystemExit as end:
        if not isinstance(end.code, str):
            raise
        say(end.code, sys.stderr)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # of `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except Exception as error:
        said = explained(error)
        if said is None:
            said = f"{type(error).__name__}: {error}. {_BUG}"
            say("".join(traceback.format_exception(error)), sys.stderr)
        say(f"{ERROR}{said}", sys.stderr)
    return 1


def explained(error: BaseException) -> str | None:
    """Return what to tell the user of an error, None if it is not for users."""
    if any(map(_is_full, _chain(error))):
        return say_full(str(error))
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, OSError) and error.errno in _OF_MACHINE:
        return (
            f"the machine refused something ({error}), which is no fault of the study: look at its "
            "file systems and at the limits of its processes (`ulimit -a`), and run the same "
            "command again: nothing that is finished is lost"
        )
    is_ours = type(error) in (ValueError, RuntimeError) or type(error).__module__.startswith("nt_")
    if is_ours and is_raised_here(error):
        return str(error)
    # Some libraries say only that they could not write.
    return say_full(str(error)) if full_places() else None


def _is_full(error: BaseException) -> bool:
    is_said = any(text in str(error) for text in _SAYS_FULL)
    return is_said or (isinstance(error, OSError) and error.errno in _FULL)


def is_raised_here(error: BaseException) -> bool:
    """Return whether code of this project has raised an error itself."""
    frames = traceback.extract_tb(error.__traceback__)
    place = Path(frames[-1].filename).resolve() if frames else Path()
    return any(place.is_relative_to(_CODE / name) for name in ("nt_pkg", "scripts"))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


class CleanFormatter(logging.Formatter):
    """Formats log records without secrets and control characters, traces included."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record."""
        return printable(super().format(record))
