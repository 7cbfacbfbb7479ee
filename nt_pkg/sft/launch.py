"""Start the ranks of a training on one node or on several, and wait for them."""

import logging
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from nt_pkg.config.students import Runtime
from nt_pkg.files.foreign_text import printable
from nt_pkg.files.json_files import read_json
from nt_pkg.jobs.gpus import has_gpus
from nt_pkg.jobs.warm_interpreter import die_with_parent
from nt_pkg.packing.positions import check_positions
from nt_pkg.sft.rank import LOOPBACK, run_forked, write_job
from nt_pkg.sft.resuming import prepare
from nt_pkg.sft.train import RESULT, STOPPED, Job
from nt_pkg.slurm import jobs as slurm
from nt_pkg.slurm.stopping import SIGNALS, Forwarding, Stopped

logger = logging.getLogger(__name__)
_AGAIN = "run the same command again to continue at the last checkpoint"
_KEPT_LINES = 2000


def train(job: Job) -> dict[str, Any]:
    """Train a student and return the content of `run.json`.

    On one node the ranks are forked, so that they share the imported libraries: call this before
    the process computes with torch on several threads. On several nodes `srun` starts them within
    this Slurm job. The finished ZeRO-sharded checkpoint is `job.work / "checkpoint"`. If an earlier
    call left checkpoints, training continues from the newest complete one. The loss curve is that
    of an uninterrupted run, up to rounding if the number of ranks or the ZeRO stage has changed.

    Raises:
        ValueError: the student's positions do not allow packed examples of that length.
        Stopped: SIGTERM or SIGUSR2 arrived, or the Slurm job is about to reach its time limit; a
            checkpoint of the last step was written.
        RuntimeError: there are fewer GPUs than the runtime says, a rank died, or the loss is not
            finite; the log says where.
    """
    if job.runtime.nodes == 1:  # otherwise the ranks look on their own nodes
        has_gpus(job.runtime.gpu, job.runtime.or_cpu, "the training")
    longest = int(job.examples.lengths.max())
    check_positions(read_json(job.model_dir / "config.json"), longest)
    (job.work / STOPPED).unlink(missing_ok=True)
    prepare(job.work, job.runtime)
    with Forwarding() as signals:
        if job.runtime.nodes > 1:
            _run_placed(job, signals)
        else:
            _run_forked(job, signals)
    if (job.work / STOPPED).exists():
        how = read_json(job.work / STOPPED)
        # Ranks on other nodes only ever receive SIGUSR2.
        name = signals.received.name if signals.received else how["name"]
        raise Stopped(
            f"{name} after step {how['step']} of {how['num_steps']}; checkpoint written",
            how["num_new"],
        )
    result: dict[str, Any] = read_json(job.work / RESULT)
    return result


def _run_forked(job: Job, signals: Forwarding) -> None:
    context = multiprocessing.get_context("fork")
    launched = time.time()
    with socket.create_server((LOOPBACK, 0)) as listener:
        ranks = [
            context.Process(target=run_forked, args=(job, rank, listener, launched))
            for rank in range(job.runtime.num_ranks)
        ]
        for process in ranks:
            process.start()
    signals.start(lambda number: _tell(ranks, number))
    try:
        with signals.in_time(job.runtime.stop_seconds):
            _wait(ranks)
    finally:
        for process in ranks:
            process.kill()
            process.join()


def _tell(ranks: Sequence[BaseProcess], number: signal.Signals) -> None:
    for process in ranks:
        if process.pid is not None and process.exitcode is None:
            os.kill(process.pid, number)


def _wait(ranks: Sequence[BaseProcess]) -> None:
    """Wait until all ranks have ended; raise when one fails, because the others then hang."""
    waiting = {process.sentinel: process for process in ranks}
    while waiting:
        for sentinel in wait(list(waiting)):
            process = waiting.pop(sentinel)  # type: ignore[arg-type]
            process.join()
            if process.exitcode != 0:
                raise RuntimeError(
                    f"training rank {process.name} ended with status {process.exitcode}; {_AGAIN}"
                )


def placed_command(runtime: Runtime, job_file: Path, port: int) -> slurm.Command:
    """Return the command that starts all ranks on the nodes of this Slurm job.

    Args:
        runtime: nodes, ranks and cores of the training.
        job_file: the file that `write_job` wrote.
        port: a free port on the first node.
    """
    argv = slurm.srun(
        runtime.nodes,
        runtime.num_ranks,
        runtime.gpu // runtime.nodes,
        runtime.threads_per_rank,
        "--label",
    )
    return slurm.Command(
        (*argv, sys.executable, "-m", "nt_pkg.sft.rank", str(job_file)),
        # The first variable tells submitit to read a rank's place from Slurm's variables. The
        # second is the only one of those that srun does not set for its tasks.
        {
            "SUBMITIT_EXECUTOR": "slurm",
            "SLURM_JOB_NUM_NODES": str(runtime.nodes),
            "MASTER_PORT": str(port),
        },
    )


def _run_placed(job: Job, signals: Forwarding) -> None:
    if not os.environ.get("SLURM_JOB_ID"):  # srun would request an allocation of its own
        raise ValueError(
            f"a training over {job.runtime.nodes} nodes runs within a Slurm job only: use "
            "--profile profiles/slurm, or set runtime.nodes of the student to 1"
        )
    # Such as a start of the whole study by hand within an interactive job.
    given = int(os.environ.get("SLURM_JOB_NUM_NODES") or os.environ.get("SLURM_NNODES") or 0)
    if 0 < given < job.runtime.nodes:
        raise ValueError(
            f"this Slurm job has {given} node(s), and the training runs over {job.runtime.nodes}: "
            "start the study with --profile profiles/slurm, which asks for as many, or set "
            "runtime.nodes of the student to 1"
        )
    with socket.create_server(("", 0)) as probe:  # this process runs on the first node
        port = probe.getsockname()[1]
    command = placed_command(job.runtime, write_job(job, time.time()), port)
    logger.info("%s", " ".join(command.argv))
    lines: deque[str] = deque(maxlen=_KEPT_LINES)
    with subprocess.Popen(
        command.argv,
        env={**os.environ, **command.env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        preexec_fn=_as_child,
    ) as process:
        # srun forwards this signal to all tasks; on SIGTERM it would kill them.
        signals.start(lambda _: process.send_signal(signal.SIGUSR2))
        try:
            assert process.stdout is not None
            with signals.in_time(job.runtime.stop_seconds):
                for line in process.stdout:
                    sys.stderr.write(printable(line))
                    sys.stderr.flush()
                    lines.append(line.rstrip("\n"))
                status = process.wait()
        except BaseException:
            process.terminate()
            raise
    if status:
        raise RuntimeError(
            f"srun ended with status {status}; {_AGAIN}. {slurm.first_failure(lines)}"
        )


def _as_child() -> None:
    """End the tasks when this process ends, and unblock for srun the signals that we block."""
    die_with_parent(signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
