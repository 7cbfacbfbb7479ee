"""Sockets lie in folders with short paths."""

import socket
import tempfile
from pathlib import Path

import pytest

from nt_pkg.jobs import sockets


def test_a_long_folder_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("x" * 120)))

    folder = sockets.short_folder()

    assert folder == "/tmp"
    with tempfile.TemporaryDirectory(dir=folder) as made, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{made}/{'x' * 36}")  # as long a name as vLLM's


def test_a_short_one_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/var/tmp")

    assert sockets.short_folder() == "/var/tmp"


def test_none_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/" + "x" * 120)
    monkeypatch.setattr(sockets, "_OTHERS", ("/nowhere",))

    with pytest.raises(ValueError, match="set TMPDIR to a folder of at most 70 characters"):
        sockets.short_folder()
