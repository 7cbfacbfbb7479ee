"""The plugin of `make check` leaves out the tests that cost much, whatever they do with it."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = """
import importlib, subprocess, sys, threading

def test_light():
    import json
    assert subprocess.run(["true"]).returncode == 0

def test_statement():
    import torch

def test_by_name():
    importlib.import_module("transformers.models")

def test_caught():
    try:
        import torch
    except Exception:
        pass
    assert False

def test_process():
    subprocess.run(["nice", sys.executable, "-c", ""], check=True)

def test_in_a_thread():
    thread = threading.Thread(target=test_process)
    thread.start()
    thread.join()
    assert False
"""


def test_what_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "test_module.py").write_text("import torch\n\ndef test_nothing():\n    pass\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.light", "-rs", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    assert re.search(r"\b1 passed, 6 skipped in", done.stdout), done.stdout
    assert set(re.findall(r"SKIPPED .*: (\w.*)", done.stdout)) == {
        "loads torch",
        "loads transformers",
        "starts another Python",
    }
