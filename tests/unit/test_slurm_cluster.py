"""One run of the tests at a time has the test cluster."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.slurm import cluster

_CODE = """\
import pathlib, sys
from tests.slurm import cluster
cluster.LOCK = pathlib.Path(sys.argv[1])
with cluster.alone():
    print("has it", flush=True)
"""


def test_a_second_run_says_that_it_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "LOCK", tmp_path / "lock")
    with cluster.alone():
        second = subprocess.Popen(
            [sys.executable, "-c", _CODE, str(tmp_path / "lock")],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert second.stdout is not None
        assert f"has the test cluster ({tmp_path}/lock): waiting" in second.stdout.readline()
        assert second.poll() is None

    assert second.communicate(timeout=60)[0] == "has it\n"
    assert second.returncode == 0
