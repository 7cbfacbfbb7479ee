"""What Snakemake's benchmark files say of a job that the warm interpreter runs.

Snakemake looks twice a second at the processes below the shell of a job, and of a longer one every
30 seconds. A job of the warm interpreter is not below that shell: only its client is. So the job is
looked for where the interpreter says, and CPU time and memory are at least what the job has counted
itself, which also holds for what ends between two looks.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from snakemake import benchmark

from nt_pkg.jobs.usage import read_usage
from nt_pkg.jobs.warm_interpreter import job_of


def measure_jobs() -> None:
    """Let Snakemake measure jobs themselves, in this process."""
    watch, write = benchmark.BenchmarkTimer.__init__, benchmark.write_benchmark_records

    def watch_job(self: Any, pid: int, *more: Any, **named: Any) -> None:
        watch(self, pid, *more, **named)
        self.main = _Shell(pid)

    def write_records(records: Sequence[Any], path: str, *more: Any, **named: Any) -> None:
        add_usage(records[-1], Path(path))
        write(records, path, *more, **named)

    benchmark.BenchmarkTimer.__init__ = watch_job
    benchmark.write_benchmark_records = write_records


class _Shell(psutil.Process):  # type: ignore[misc]
    """The shell of a job."""

    def children(self, recursive: bool = False) -> list[psutil.Process]:
        """Return what runs below it, and jobs whose clients do."""
        found: list[psutil.Process] = super().children(recursive)
        for pid in [self.pid, *(each.pid for each in found)]:
            job = job_of(os.environ.get("NT_WARM", ""), pid)
            with suppress(psutil.NoSuchProcess):  # it has just ended
                process = None if job is None else psutil.Process(job)
                found += [] if process is None else [process, *process.children(recursive)]
        return found


def add_usage(record: Any, path: Path) -> None:
    """Let a record say no less than the job itself.

    Args:
        record: Snakemake's record of the job.
        path: its benchmark file, which has the name of the job's log.
    """
    log = Path("logs", *path.with_suffix(".log").parts[1:])
    if (used := read_usage(log)) is None:
        return
    record.data_collected = True
    if (record.max_rss or 0.0) < used.mib / 2:  # nothing but the shell was seen
        record.max_vms = record.max_uss = record.max_pss = record.io_in = record.io_out = None
    record.max_rss = max(record.max_rss or 0.0, used.mib)
    record.cpu_time = max(record.cpu_time or 0.0, used.cpu_seconds)
    record.cpu_usage = max(record.cpu_usage or 0.0, 100 * used.cpu_seconds)  # percent times seconds
