"""Canonical text, digests, and writes that leave the old file or the new one."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from nt_pkg.files import json_files as manifest


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [1, 2]}, '{"a":[1,2],"b":1}'),
        ({"a": {"d": None, "c": True}}, '{"a":{"c":true,"d":null}}'),
        ("\u00e9\n", '"\\u00e9\\n"'),
        (0.1, "0.1"),
        ((1, 2), "[1,2]"),
    ],
)
def test_canonical_text(value: object, text: str) -> None:
    assert manifest.canonical(value) == text


def test_digest_is_fixed_and_ignores_key_order() -> None:
    """The literal digest: a change of it would rerun every study there is."""
    assert manifest.digest({"a": 1, "b": [2]}) == manifest.digest({"b": [2], "a": 1})
    assert manifest.digest({"a": 1, "b": [2]}) == "0855bfc20eb6cfaa"
    assert manifest.digest([1, 2]) != manifest.digest([2, 1])
    assert manifest.digest("1") != manifest.digest(1)


def test_sha256_file(tmp_path: Path) -> None:
    """The digest of "abc" stands in FIPS 180-2."""
    path = tmp_path / "abc"
    path.write_bytes(b"abc")

    assert manifest.sha256_file(path).startswith("ba7816bf8f01cfea414140de5dae2223")


def test_json_round_trip_is_readable_and_byte_stable(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "x.json"

    manifest.write_json(path, {"b": "\u00e9", "a": [1, None]})

    assert path.read_bytes() == b'{\n "a": [\n  1,\n  null\n ],\n "b": "\\u00e9"\n}\n'
    assert manifest.read_json(path) == {"a": [1, None], "b": "\u00e9"}


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, {"a": object()}])
def test_value_that_is_no_json_leaves_the_old_file(tmp_path: Path, value: object) -> None:
    path = tmp_path / "x.json"
    manifest.write_json(path, "old")

    with pytest.raises((ValueError, TypeError)):
        manifest.write_json(path, {"new": value})

    assert manifest.read_json(path) == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["x.json"]


def test_error_inside_an_atomic_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")

    with pytest.raises(RuntimeError, match="boom"), manifest.atomic_path(path) as temporary:
        temporary.write_text("ne")
        raise RuntimeError("boom")

    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["x"]


def test_kill_inside_an_atomic_write_leaves_the_old_file(tmp_path: Path) -> None:
    """The process is gone without running any handler; the next write is not disturbed by it."""
    path = tmp_path / "x"
    path.write_text("old")
    code = (
        "import os, pathlib, nt_pkg.files.json_files as m\n"
        f"with m.atomic_path(pathlib.Path({str(path)!r})) as t:\n"
        "    t.write_text('ne')\n    os._exit(9)\n"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9

    assert path.read_text() == "old"
    with manifest.atomic_path(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"


def test_content_is_durable_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rename that overtakes the data would leave an empty file after a power cut."""
    calls = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: calls.append("fsync") or fsync(fd))
    monkeypatch.setattr(
        Path, "replace", lambda self, to: calls.append("replace") or replace(self, to)
    )

    manifest.write_json(tmp_path / "x.json", 1)

    assert calls == ["fsync", "replace"]


@pytest.mark.parametrize("content", [b'{"a": 1', b"", b"\xff\xfe{}"])
def test_broken_json_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)

    with pytest.raises(ValueError, match=r"x\.json is not valid JSON.*Move it elsewhere and run"):
        manifest.read_json(path)


@pytest.mark.parametrize(
    ("content", "what"),
    [("[1]", "holds a list and not an object"), ('{"a": 1}', "lacks b, c")],
)
def test_foreign_json_says_what_differs(tmp_path: Path, content: str, what: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)

    with pytest.raises(
        ValueError, match=rf"x\.json was not written by .*: it {what}\. Move it els"
    ):
        manifest.read_fields(path, "a", "b", "c")
    path.write_text('{"a": 1, "b": 2, "c": 3}')
    assert manifest.read_fields(path, "a", "b", "c") == {"a": 1, "b": 2, "c": 3}


def test_missing_json_stays_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        manifest.read_json(tmp_path / "x.json")


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    (tmp_path / f".a.json.{platform.node()}-{dead.pid}.tmp").write_text("half")
    alive = tmp_path / f".a.json.{platform.node()}-{os.getppid()}.tmp"
    elsewhere = tmp_path / f".a.json.another-host-{dead.pid}.tmp"
    elsewhere.write_text("a writer that this machine cannot see")
    alive.write_text("another writer's")

    manifest.write_json(tmp_path / "a.json", 1)

    assert sorted(tmp_path.iterdir()) == sorted([alive, elsewhere, tmp_path / "a.json"])
