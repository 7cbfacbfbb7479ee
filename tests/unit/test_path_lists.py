"""Lists of files reach a script, however long they are and whatever the names."""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nt_pkg.files.path_lists import Paths, new_file, packed

_MOST_BYTES = 128 * 1024  # of one argument; a shell gets a whole command as one
_SHOW = """
import argparse, json
from nt_pkg.files.path_lists import Paths
parser = argparse.ArgumentParser()
parser.add_argument("--files", action=Paths, nargs="*", required=True)
print(json.dumps([str(path) for path in parser.parse_args().files]))
"""
_ODD = ["a b", "$HOME", "`touch x`", "it's", 'say "x"', "{x}", "zlib", "é", "-"]


def shards(number: int) -> list[str]:
    return [
        f"results/annotations/pool/teacher/{name}/shard-{shard:04d}-of-{number}.parquet"
        for name in ("domain", "strategies", "agreement")
        for shard in range(number)
    ]


@pytest.mark.parametrize("paths", [[], _ODD, [*_ODD, *shards(4096)], shards(4096)])
def test_paths_come_through_a_shell(paths: list[str]) -> None:
    files = [f"results/{path}" for path in paths]
    command = f"{sys.executable} -c '{_SHOW}' --files {packed(files)}"

    assert len(command.encode()) < _MOST_BYTES
    found = subprocess.run(["bash", "-c", command], check=True, capture_output=True, text=True)

    assert json.loads(found.stdout) == files


def test_short_lists_stay_readable() -> None:
    assert packed(["a/b.parquet", "c d"]) == "a/b.parquet 'c d'"


def test_lists_may_be_mixed() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", action=Paths, nargs="+")

    found = parser.parse_args(["--files", "first", *packed(shards(500)).split(), "last"]).files

    assert found == [Path("first"), *map(Path, shards(500)), Path("last")]


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, lambda path: path.symlink_to("nowhere")])
def test_what_is_there_is_not_written_over(tmp_path: Path, make: Callable[[Path], object]) -> None:
    """Such as README.md of this project, for the card of a student."""
    path = tmp_path / "README.md"
    assert new_file(str(path)) == path
    make(path)
    with pytest.raises(argparse.ArgumentTypeError, match=r"README.md is there: name a new file"):
        new_file(str(path))
