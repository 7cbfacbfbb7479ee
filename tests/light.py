"""A pytest plugin that leaves out the tests that cost much: `make check` runs the others.

    python -m pytest -p tests.light

A test is left out at the moment it loads torch or a library on top of it, or starts another Python.
So no list says which tests these are, and a test that comes to need torch leaves by itself.
"""

import sys
from collections.abc import Generator
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

import pytest

HEAVY = {"torch", "transformers", "deepspeed", "vllm"}
_is_watching: list[bool] = []  # an audit hook cannot be removed
_reasons: list[str] = []  # of the test that runs


class _Watch(MetaPathFinder):
    """Finds no module; it is asked before those that do."""

    def find_spec(self, name: str, *_: Any) -> None:
        if name in HEAVY:
            _leave_out(f"loads {name}")


def pytest_configure(config: pytest.Config) -> None:
    """Keep quiet about the threads of a test that is left out."""
    name = "pytest.PytestUnhandledThreadExceptionWarning"
    config.addinivalue_line("filterwarnings", f"ignore::{name}")


def pytest_collectstart() -> None:
    """Watch from now on, where tests are collected: not in the process that starts the workers."""
    if not _is_watching:
        sys.meta_path.insert(0, _Watch())
        sys.addaudithook(_watch_processes)
        _is_watching.append(True)


def _watch_processes(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "subprocess.Popen":
        words = [Path(str(each)).name for each in arguments[1]]
        if any(word.startswith(("python", "snakemake")) for word in words):
            _leave_out("starts another Python")


def _leave_out(reason: str) -> None:
    _reasons.append(reason)
    pytest.skip(reason, allow_module_level=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    """Leave out a test as well whose threads have swallowed the exception."""
    _reasons.clear()
    try:
        return (yield)
    finally:
        if _reasons:
            pytest.skip(_reasons[0])
