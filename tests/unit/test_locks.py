"""Locks, and work that goes on where a file system has none."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from nt_pkg.jobs.journal import Journal
from nt_pkg.jobs.locks import lock, unlock
from nt_pkg.jobs.work_dir import work_dir
from nt_pkg.slurm.takeover import hold_results


def test_a_lock_is_had_once(tmp_path: Path) -> None:
    with (tmp_path / "a").open("w") as one, (tmp_path / "a").open("w") as other:
        assert lock(one, waits=False)
        assert not lock(other, waits=False)
        unlock(one)
        assert lock(other, waits=False)


@pytest.fixture(params=["ENOSYS", "EOPNOTSUPP", "ENOLCK", "EIO"])
def no_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Take the file system's locks and hard links away."""

    def fails(*_: object, **__: object) -> None:
        raise OSError(getattr(errno, request.param), "not here")

    monkeypatch.setattr(fcntl, "flock", fails)
    monkeypatch.setattr(os, "link", fails)
    return str(request.param)


def test_work_is_finished_without_locks_and_links(
    no_locks: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    hold_results(Path("results"))
    out = Path("results/trained")
    with work_dir([out], "key") as folder:
        assert folder is not None
        with Journal(folder / "journal") as journal:
            journal.extend({"a": 1})
        with Journal(folder / "journal") as again:
            assert again.entries == {"a": 1}
        out.write_text("weights")

    assert out.read_text() == "weights"
    assert not Path("work/results/trained/key").exists()
    assert "has no locks (not here)" in caplog.text
    assert "if Snakemake is killed now, it is rebuilt" in caplog.text


def test_other_errors_are_not_taken_for_a_missing_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.EBADF, "bad")

    monkeypatch.setattr(fcntl, "flock", fails)
    with (tmp_path / "a").open("w") as file, pytest.raises(OSError, match="bad"):
        lock(file)
