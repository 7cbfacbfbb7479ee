"""A full disk: named, and the end of a process that cannot write any more."""

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nt_pkg.jobs import full_disk
from nt_pkg.jobs.command import explained


@pytest.fixture
def full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield a folder on a file system without room, in which this process runs."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(place)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    monkeypatch.chdir(place)
    try:
        yield place
    finally:
        monkeypatch.undo()
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_full_file_system_is_named(full: Path) -> None:
    with pytest.raises(OSError) as error:
        (full / "x").write_bytes(bytes(1 << 20))

    said = str(explained(error.value))
    assert "no space left ([Errno 28]" in said
    assert f"the file system of {full} has 0 bytes left" in said
    assert "run the same command again" in said and "python -m scripts.plan" in said


def test_room_is_no_full_disk(tmp_path: Path) -> None:
    assert full_disk.full_places([str(tmp_path), "/nowhere"]) == []


def test_process_ends_after_a_while_of_a_full_disk() -> None:
    """Room that was made in the meantime begins the while again."""
    looks = iter([["x"], ["x"], [], ["x"], ["x"], ["x"], ["x"]])
    seen, ended = [], threading.Event()

    def is_full() -> list[str]:
        seen.append(next(looks))
        return seen[-1]

    full_disk.end_when_full(is_full, ended.set, look_seconds=0.001, full_seconds=0.003).join(20)

    assert ended.is_set()
    assert len(seen) in (6, 7)  # sums of floats
