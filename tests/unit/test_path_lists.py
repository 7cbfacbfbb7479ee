"""Lists of files reach a script, however long they are and whatever the names."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest

from nt_pkg.files.path_lists import Paths, packed

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
