"""Folders that lost files come back before the first job, and only those that a job will read."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nt_pkg.files.content import note
from nt_pkg.files.json_files import sha256_file, write_json
from nt_pkg.plan.start import in_the_way
from nt_pkg.snakemake_io.restore import arguments_of_pass, bring_back, incomplete

EVENTS = ["--logger", "nt", "--logger-nt-path", "e"]


class Job(SimpleNamespace):
    __hash__ = object.__hash__


def _job(rule: str, *output: Path) -> Any:
    return Job(rule=SimpleNamespace(name=rule), output=[str(path) for path in output])


def _model(folder: Path) -> tuple[Path, Path]:
    """Return the folder of an exported model and its manifest."""
    (folder / "hf").mkdir(parents=True)
    (folder / "hf" / "weights").write_text("weights")
    write_json(
        folder / "hf.json",
        {"folder": "hf", "files": {"weights": sha256_file(folder / "hf" / "weights")}},
    )
    note([folder / "hf", folder / "hf.json"])
    return folder / "hf", folder / "hf.json"


def _dag(needed: Sequence[Any], made_by: Sequence[Any]) -> Any:
    return SimpleNamespace(
        needrun_jobs=lambda: needed,
        dependencies={job: dict.fromkeys(made_by) for job in needed},
    )


def test_only_what_a_job_will_read_and_nobody_makes(tmp_path: Path) -> None:
    a, b = _model(tmp_path / "a"), _model(tmp_path / "b")
    made = [_job("export_model", *a), _job("export_model", *b), _job("train", tmp_path / "none")]
    sampling = _job("sample_answers", tmp_path / "samples")
    assert incomplete(_dag([sampling], made)) == []

    (a[0] / "weights").unlink()
    (b[0] / "weights").write_text("others")
    assert incomplete(_dag([sampling], made)) == [str(a[1])], "what differs is an error of the job"
    assert incomplete(_dag([], made)) == [], "nobody reads it"
    both = _dag([sampling, made[0]], made)
    both.dependencies[made[0]] = {}
    assert incomplete(both) == [], "it is made anyway"
    a[1].unlink()
    assert incomplete(_dag([sampling], made)) == [], "Snakemake sees that itself"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], ["--forcerun", "m", "--until", "m"]),
        (["all", "--cores", "2"], ["all", "--cores", "2", "--forcerun", "m", "--until", "m"]),
        (["-n", "--", "all"], ["-n", "--forcerun", "m", "--until", "m", "--", "all"]),
        (
            [*EVENTS, "all"],
            [*EVENTS, "all", "--logger-nt-path", os.devnull, "--forcerun", "m", "--until", "m"],
        ),
    ],
)
def test_arguments_of_the_pass(given: list[str], expected: list[str]) -> None:
    assert arguments_of_pass(given, ["m"]) == expected


@pytest.mark.parametrize("status", [0, 1])
def test_start_ends_if_a_folder_does_not_come_back(
    monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(sys, "argv", ["snakemake", "all"])
    asked: list[Any] = []

    def run(command: list[str], env: dict[str, str]) -> Any:
        asked.append((command[1:], env["NT_RESTORES"]))
        return SimpleNamespace(returncode=status)

    monkeypatch.setattr(subprocess, "run", run)
    said: list[str] = []
    bring_back([], said.append)
    assert not asked
    if status:
        with pytest.raises(RuntimeError, match=r"could not be brought back \(m\)"):
            bring_back(["m"], said.append)
    else:
        bring_back(["m"], said.append)
    assert asked == [(["-m", "snakemake", "all", "--forcerun", "m", "--until", "m"], "1")]
    assert said == ["files are missing that were made before; first they come back: m"]


def test_file_of_the_user_in_a_folder_that_is_made_again_is_refused(tmp_path: Path) -> None:
    hf, manifest = _model(tmp_path / "a")
    job = _job("export_model", hf, manifest)
    assert in_the_way([job]) == []

    (hf / "notes.txt").write_text("mine")
    (line,) = in_the_way([job])
    assert line.startswith(f"{hf} will be made again and holds files that this project did not")
    assert f"{hf}/notes.txt: move them elsewhere" in line
