"""One controller at a time, and no job of an earlier one beside it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nt_pkg.slurm.takeover import end_leftovers, hold_results, leftovers


def test_second_controller_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys, time\nfrom nt_pkg.slurm.takeover import hold_results\n"
        "hold_results(pathlib.Path(sys.argv[1]))\nprint('held', flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "results")],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with pytest.raises(RuntimeError, match="another Snakemake works on"):
            hold_results(tmp_path / "results")
        first.kill()

    hold_results(tmp_path / "results")


def test_only_own_jobs_of_this_folder_are_left_overs(tmp_path: Path) -> None:
    listed = (
        f"7|nt_5d1|{tmp_path}\n8|nt_5d1|/elsewhere\n9|ntx_1|{tmp_path}\n"
        f"10_[1-3]|interactive|{tmp_path}\n11|nt_77|{tmp_path}/.\n"
    )
    assert leftovers(listed, "nt", tmp_path) == ["7", "11"]


def _slurm(folder: Path, monkeypatch: pytest.MonkeyPatch, squeue: str) -> Path:
    """Put commands on the PATH: `squeue` is a shell text, `scancel` notes what it was given."""
    called = folder / "cancelled"
    for name, text in {"squeue": squeue, "scancel": f'echo "$@" >> {called}'}.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return called


def test_leftovers_are_ended_and_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nt_pkg.slurm.takeover._POLL_SECONDS", 0.01)
    # A job needs a while to write its checkpoint: squeue shows it three times.
    seen = tmp_path / "seen"
    called = _slurm(
        tmp_path,
        monkeypatch,
        f'echo . >> {seen}; [ $(wc -l < {seen}) -gt 3 ] || echo "7|nt_5d1|{tmp_path}"',
    )
    said: list[str] = []

    assert end_leftovers("nt", tmp_path, said.append) == 1

    assert called.read_text() == "7\n"
    assert len(seen.read_text().split()) == 4
    assert len(said) == 1
    assert "ending 1 Slurm jobs of an earlier start" in said[0]


def test_nothing_left_over_cancels_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called = _slurm(tmp_path, monkeypatch, 'echo "8|nt_5d1|/elsewhere"')

    assert end_leftovers("nt", tmp_path) == 0
    assert not called.exists()


def test_slurm_that_does_not_answer_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Starting without knowing what runs could run a job twice."""
    _slurm(tmp_path, monkeypatch, "echo slurm_load_jobs error: no controller >&2; exit 1")

    with pytest.raises(RuntimeError, match=r"no controller.*start again when Slurm answers"):
        end_leftovers("nt", tmp_path)
