"""Files on a command line: lists, which Linux limits to 128 KiB, and what a person lets write."""

import argparse
import base64
import shlex
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

_LONG = 8_000  # characters; a shorter list stays readable
_MARK = "zlib:"


def packed(paths: Iterable[str]) -> str:
    """Return paths as words of the shell, or one compressed word where there are many."""
    found = [str(path) for path in paths]
    words = shlex.join(found)
    if len(words) <= _LONG:
        return words
    return _MARK + base64.urlsafe_b64encode(zlib.compress("\0".join(found).encode(), 9)).decode()


class Paths(argparse.Action):
    """Reads the paths of an argument, `nargs` "+" or "*", as they are or packed."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Set the attribute to a list of `Path`."""
        words = [values] if isinstance(values, str) else values or ()
        setattr(namespace, self.dest, [Path(path) for word in words for path in _unpacked(word)])


def new_file(text: str) -> Path:
    """Return the path of a file to write; a `type` of argparse.

    Raises:
        argparse.ArgumentTypeError: something is there, which only its owner can judge.
    """
    path = Path(text)
    if path.exists() or path.is_symlink():
        raise argparse.ArgumentTypeError(f"{path} is there: name a new file, or move it elsewhere")
    return path


def _unpacked(word: str) -> list[str]:
    if not word.startswith(_MARK):
        return [word]
    return zlib.decompress(base64.urlsafe_b64decode(word[len(_MARK) :])).decode().split("\0")
