"""Inputs with a time in the future: a clock that was wrong, or that of another machine.

Snakemake sets the time of what a job has made, and takes an input that is newer still for a sign of
clocks that differ: it removes the outputs, however long they took, and does so in every later start
until that time has come. What is made from a file is never older than it, so the time of the
outputs follows.
"""

from collections.abc import Iterable
from typing import Any

import snakemake.api  # noqa: F401 - before its parts, which import each other
from snakemake.dag import DAG
from snakemake.logging import logger

_SECONDS = 0.001  # times are floats in Snakemake


def accept_inputs_of_the_future() -> None:
    """Let outputs be as new as the inputs of their job, in this process."""
    check = DAG.check_output_mtime

    async def lifted(self: Any, job: Any, outputs: Iterable[Any]) -> None:
        times = [(await _time(file), file) for file in job.input if await file.exists_local()]
        newest, newest_input = max(times, default=(0.0, None), key=lambda each: each[0])
        for output in outputs:
            if await output.exists_local() and await _time(output) < newest:
                output.touch((newest + _SECONDS, newest + _SECONDS))
                logger.warning(
                    f"{newest_input} is of the future, so {output} is made as new: is a clock "
                    "wrong? `touch` on the first of them ends this"
                )
        await check(self, job, outputs)

    DAG.check_output_mtime = lifted


async def _time(file: Any) -> float:
    return float((await file.mtime_uncached(skip_storage=True)).local())
