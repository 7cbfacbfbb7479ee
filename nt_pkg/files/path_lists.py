"""Lists of files on a command line, which Linux limits to 128 KiB for all that a shell runs."""

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


def _unpacked(word: str) -> list[str]:
    if not word.startswith(_MARK):
        return [word]
    return zlib.decompress(base64.urlsafe_b64decode(word[len(_MARK) :])).decode().split("\0")
