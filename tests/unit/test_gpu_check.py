"""The GPU check: a part that hangs, fails or dies is a row, and the others go on."""

import os
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from benchmarks import gpu_check, gpu_fast, gpu_right
from benchmarks.gpu_place import Line, Place

pytest.importorskip("torch")


def hang(place: Place) -> Any:
    if os.fork() == 0:  # as a training has ranks
        (place.folder / "child").write_text(str(os.getpid()))
    time.sleep(600)


def fail(place: Place) -> Any:
    raise ZeroDivisionError("too few\nGPUs")


def die(place: Place) -> Any:
    os._exit(3)


def work(place: Place) -> list[Line]:
    return [Line("kernels", "what", "1 ms", "2 ms", "ok", {"s": 0.001})]


def test_parts_do_not_disturb_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {"attention": hang, "packed": fail, "passes": die, "kernels": work}
    for name, function in parts.items():
        where = gpu_right if hasattr(gpu_right, name) else gpu_fast
        monkeypatch.setattr(where, name, function)
    monkeypatch.setattr(gpu_check, "_LIMITS", dict.fromkeys(parts, 2))

    lines = gpu_check._measure(tmp_path, True, time.monotonic() + 60)

    assert [(each.part, each.verdict) for each in lines] == [
        ("attention", "skipped: not done after 2 s"),
        ("packed", "BAD: ZeroDivisionError: too few GPUs"),
        ("passes", "BAD: it ended with status 3"),
        ("kernels", "ok"),
    ]
    assert lines[-1].data == {"s": 0.001}
    child = int((tmp_path / "child").read_text())
    assert not Path(f"/proc/{child}/exe").exists(), "what a part started is ended with it"
    late = gpu_check._measure(tmp_path, True, time.monotonic() + 1)
    assert {each.verdict for each in late} == {"skipped: no time left"}


def test_what_is_missing_comes_from_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pip")
    with zipfile.ZipFile(tmp_path / "nt_probe-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("nt_probe.py", "found = True\n")
        info = "nt_probe-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: nt-probe\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setattr(gpu_check, "_NEEDED", ("nt-probe", "pytest"))
    monkeypatch.setattr(gpu_check, "_WELCOME", (("nt-absent",),))
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("PYTHONPATH", "before")

    gpu_check._install(tmp_path, tmp_path / "packages")

    assert __import__("nt_probe").found
    assert {each.name for each in (tmp_path / "packages").glob("*.py")} == {"nt_probe.py"}
    assert os.environ["PYTHONPATH"] == f"before{os.pathsep}{tmp_path / 'packages'}"
    monkeypatch.setattr(gpu_check, "_NEEDED", ("nt-absent",))
    with pytest.raises(SystemExit, match="lacks a wheel"):
        gpu_check._install(tmp_path, tmp_path / "packages")
