"""One rank of a training: how it finds the other ranks, takes its device and runs the loop.

On several nodes `nt_pkg.sft.launch` starts the ranks with

    srun ... python -m nt_pkg.sft.rank work/.../job.json

On one node it forks them.
"""

import json
import logging
import os
import socket
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from nt_pkg.config.students import Runtime, Training
from nt_pkg.files.json_files import read_json, write_json
from nt_pkg.identity.seeds import digest_int
from nt_pkg.jobs.command import run_command
from nt_pkg.jobs.gpus import has_gpus, let_segments_grow, too_few
from nt_pkg.jobs.progress import start_job
from nt_pkg.jobs.warm_interpreter import die_with_parent
from nt_pkg.sft.examples import Examples
from nt_pkg.sft.stopping import Notes
from nt_pkg.sft.train import Job, _Trainer
from nt_pkg.slurm.nodes import own_address

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)
_PATIENCE = timedelta(minutes=30)  # ranks may be busy with large checkpoints for this long
LOOPBACK = "127.0.0.1"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a rank that srun started."""
    notes = Notes()
    (job_file,) = sys.argv[1:] if argv is None else argv
    from submitit.core.job_environment import JobEnvironment
    from submitit.helpers import TorchDistributedEnvironment

    # We choose our device below, among those that Slurm lets us see.
    place = TorchDistributedEnvironment().export(set_cuda_visible_devices=False, overwrite=True)
    start_job(f"train rank {place.rank}")
    job, launched = read_job(Path(job_file))
    if place.world_size != job.runtime.num_ranks:
        raise RuntimeError(
            f"srun started {place.world_size} ranks, but runtime.num_ranks is "
            f"{job.runtime.num_ranks}: start the training with scripts.train"
        )
    listener = None
    if place.rank == 0:
        hosts = JobEnvironment().hostnames
        listener = _listen(own_address(hosts[0], hosts[-1]), place.master_port)
    store = _store(place.master_addr, place.master_port, place.world_size, listener)
    _run(job, place.rank, place.local_rank, store, launched, notes)
    return 0


def run_forked(job: Job, rank: int, listener: socket.socket, launched: float) -> None:
    """Run a rank in a process that was forked on one machine."""
    die_with_parent()
    notes = Notes()
    port = listener.getsockname()[1]
    world = job.runtime.num_ranks
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(world),
        LOCAL_WORLD_SIZE=str(world),
        MASTER_ADDR=LOOPBACK,
        MASTER_PORT=str(port),
    )
    if sys.platform == "linux":  # ranks on one machine need only the loopback interface
        os.environ.update(GLOO_SOCKET_IFNAME="lo", NCCL_SOCKET_IFNAME="lo")
    if rank:
        listener.close()
    store = _store(LOOPBACK, port, world, None if rank else listener)

    def work() -> int:
        _run(job, rank, rank, store, launched, notes)
        return 0

    sys.exit(run_command(work))


def write_job(job: Job, launched: float) -> Path:
    """Write what ranks on other nodes need to a file in the work folder, and return its path."""
    path = job.work / "job.json"
    write_json(
        path,
        {
            "model_dir": str(job.model_dir.resolve()),
            "examples": str(job.examples.path.resolve()),
            "held_out": str(job.held_out.path.resolve()) if job.held_out else None,
            "training": json.loads(job.training.model_dump_json()),
            "runtime": json.loads(job.runtime.model_dump_json()),
            "seed": job.seed,
            "work": str(job.work.resolve()),
            "launched": launched,
        },
    )
    return path.resolve()


def read_job(path: Path) -> tuple[Job, float]:
    """Return the training that `write_job` wrote, and when it was launched."""
    found = read_json(path)
    job = Job(
        model_dir=Path(found["model_dir"]),
        examples=Examples(Path(found["examples"])),
        training=Training(**found["training"]),
        runtime=Runtime(**found["runtime"]),
        seed=found["seed"],
        work=Path(found["work"]),
        held_out=Examples(Path(found["held_out"])) if found["held_out"] else None,
    )
    return job, found["launched"]


def _listen(address: str, port: int) -> socket.socket:
    try:
        return socket.create_server((address, port))
    except OSError as error:
        raise RuntimeError(
            f"the ranks cannot connect to {address}:{port} ({error}): the name of the first node "
            "must resolve to an address of that node, and the port must be free"
        ) from error


def _store(
    host: str, port: int, world: int, listener: socket.socket | None
) -> "torch.distributed.Store":
    """Return the store that connects the ranks; the rank with `listener` serves it.

    By default torch would serve it on all interfaces, whatever MASTER_ADDR says.
    """
    from torch.distributed import TCPStore

    return TCPStore(
        host,
        port,
        world,
        is_master=listener is not None,
        timeout=_PATIENCE,
        master_listen_fd=None if listener is None else listener.detach(),
    )


def _run(
    job: Job,
    rank: int,
    local_rank: int,
    store: "torch.distributed.Store",
    launched: float,
    notes: Notes,
) -> None:
    import torch

    # The number comes from the configuration, so the result is the same on every machine.
    torch.set_num_threads(job.runtime.threads_per_rank)
    backend = _take_device(job.runtime, rank, local_rank)
    import deepspeed

    for noisy in ("DeepSpeed", "deepspeed"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # Only inference uses it, and it is compiled on first use, which takes minutes on a CPU.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    torch.manual_seed(digest_int("train", job.seed) % 2**63)
    torch.distributed.init_process_group(
        backend, store=store, rank=rank, world_size=job.runtime.num_ranks, timeout=_PATIENCE
    )
    deepspeed.init_distributed(dist_backend=backend, verbose=False)  # uses the same group
    _Trainer(job, rank, launched, notes).run()
    torch.distributed.destroy_process_group()


def _take_device(runtime: Runtime, rank: int, local_rank: int) -> str:
    """Take this rank's GPU, or the CPU if there are none for it, and return the backend."""
    import torch

    says = rank == 0 and runtime.nodes > 1  # on one node, the process that forks it has said it
    job = f"rank {rank} of the training"
    if has_gpus(runtime.gpu // runtime.nodes, runtime.or_cpu, job, says):
        let_segments_grow()
        try:
            torch.cuda.set_device(local_rank)
            torch.cuda.init()
        except RuntimeError as error:  # such as a driver that is too old
            wanted = runtime.gpu // runtime.nodes
            raise RuntimeError(f"{error}. {too_few(wanted, 0, 'the training')}") from error
        return "nccl"
    os.environ.update(CUDA_VISIBLE_DEVICES="", DS_ACCELERATOR="cpu")
    from deepspeed.accelerator import set_accelerator
    from deepspeed.accelerator.cpu_accelerator import CPU_Accelerator

    set_accelerator(CPU_Accelerator())  # the process that forked us may have another
    return "gloo"


if __name__ == "__main__":
    status = run_command(main)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    # Skip the interpreter's teardown, as a forked process does: a backend's threads may abort in it
    # ("terminate called without an active exception"), and one rank that aborts fails all of them.
    os._exit(status)
