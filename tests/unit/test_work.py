"""Progress survives a kill, and one process at a time works on it."""

import subprocess
import sys
from pathlib import Path

import pytest

from nt_pkg.work import Journal, work_dir


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NT_WORK", str(tmp_path / "scratch"))


def test_journal_continues(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    journal = Journal(path)
    journal.extend({"a": 1, "b": {"x": "line\nbreak \u2028 \r"}})
    journal.close()

    again = Journal(path)
    assert again.entries == {"a": 1, "b": {"x": "line\nbreak \u2028 \r"}}
    again.extend({"c": None})
    again.close()
    assert list(Journal(path).entries) == ["a", "b", "c"]


@pytest.mark.parametrize("cut", [1, 2, 10])
def test_line_that_a_kill_cut_off_is_dropped(
    tmp_path: Path, cut: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Also one that lacks nothing but its line end."""
    path = tmp_path / "j.jsonl"
    journal = Journal(path)
    journal.extend({"a": 1, "b": "some text"})
    journal.close()
    path.write_bytes(path.read_bytes()[:-cut])

    again = Journal(path)

    assert again.entries == {"a": 1}
    assert "dropped a line that was cut off" in caplog.text
    again.extend({"b": 2})
    again.close()
    assert Journal(path).entries == {"a": 1, "b": 2}


def test_progress_stays_after_an_error_and_goes_after_success(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), work_dir(Path("results/x.parquet"), "d") as folder:
        (folder / "half").write_text("done")
        raise RuntimeError

    with work_dir(Path("results/x.parquet"), "d") as folder:
        assert (folder / "half").read_text() == "done"
    with work_dir(Path("results/x.parquet"), "d") as folder:
        assert not list(folder.iterdir())


def test_other_spec_or_output_has_other_progress(tmp_path: Path) -> None:
    folders = set()
    for out, spec in [("results/x", "d"), ("results/x", "e"), ("results/y", "d")]:
        with work_dir(Path(out), spec) as folder:
            folders.add(folder)

    assert len(folders) == 3
    assert all(tmp_path / "scratch" in folder.parents for folder in folders)


def test_folder_never_leaves_the_scratch_place(tmp_path: Path) -> None:
    for out in ("/abs/x", "../../x"):
        with work_dir(Path(out), "d") as folder:
            assert (tmp_path / "scratch").resolve() in folder.resolve().parents


def test_second_process_waits(tmp_path: Path) -> None:
    """It starts when the first has ended, and finds nothing of it."""
    code = (
        "import logging, pathlib, sys\n"
        "from nt_pkg.work import work_dir\n"
        "logging.basicConfig(stream=sys.stdout, format='%(message)s')\n"
        "with work_dir(pathlib.Path('results/x'), 'd') as folder:\n"
        "    print('inside', len(list(folder.iterdir())), flush=True)\n"
    )
    with work_dir(Path("results/x"), "d") as folder:
        (folder / "half").write_text("")
        second = subprocess.Popen(
            [sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, text=True
        )
        assert second.stdout is not None
        assert "another process works on results/x: waiting" in second.stdout.readline()
        assert second.poll() is None

    assert second.stdout.read() == "inside 0\n"
    assert second.wait(10) == 0


def test_lock_of_a_killed_process_is_free() -> None:
    code = (
        "import os, pathlib\nfrom nt_pkg.work import work_dir\n"
        "with work_dir(pathlib.Path('results/x'), 'd') as folder:\n"
        "    (folder / 'half').write_text('done')\n    os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=False)

    with work_dir(Path("results/x"), "d") as folder:
        assert (folder / "half").read_text() == "done"
