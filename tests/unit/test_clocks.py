"""A job whose input is of the future keeps what it has made."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import snakemake.api  # noqa: F401 - before its parts, which import each other
from snakemake.dag import DAG

from nt_pkg.snakemake_io.clocks import accept_inputs_of_the_future


class File:
    """A file as Snakemake sees it."""

    def __init__(self, time: float) -> None:
        self.time = time

    async def exists_local(self) -> bool:
        return self.time > 0

    async def mtime_uncached(self, skip_storage: bool) -> Any:
        return SimpleNamespace(local=lambda: self.time)

    def touch(self, times: tuple[float, float]) -> None:
        self.time = times[1]


@pytest.mark.parametrize(
    ("inputs", "changed"), [([5.0, 200.0], True), ([5.0, 90.0], False), ([], False), ([0.0], False)]
)
def test_outputs_are_as_new_as_inputs(
    monkeypatch: pytest.MonkeyPatch, inputs: Sequence[float], changed: bool
) -> None:
    async def strict(_: Any, job: Any, outputs: Any) -> None:
        assert all(output.time >= each.time for output in outputs for each in job.input)

    monkeypatch.setattr(DAG, "check_output_mtime", strict)
    accept_inputs_of_the_future()
    outputs = [File(100.0), File(300.0)]
    job = SimpleNamespace(input=[File(time) for time in inputs])

    asyncio.run(DAG.check_output_mtime(None, job, outputs))

    assert [output.time for output in outputs] == [200.001 if changed else 100.0, 300.0]
