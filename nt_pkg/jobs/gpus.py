"""The GPUs that a job sees, compared with those that it asked for."""

import logging
import os
import re
import socket
from pathlib import Path

logger = logging.getLogger(__name__)
_DRIVER = Path("/proc/driver/nvidia/version")  # of the node, in a container too
# The oldest driver for each CUDA that PyTorch's wheels are built for (CUDA release notes, table 2).
_OLDEST_DRIVER = {12: 525, 13: 580}
# The first is an older name of the second, and every version of PyTorch reads it.
_ALLOCATOR = ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF")
_GIVEN = ("SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "CUDA_VISIBLE_DEVICES")


def has_gpus(wanted: int, or_cpu: bool, job: str, says: bool = True) -> bool:
    """Return whether a job uses GPUs: not if it asked for none, or sees fewer and CPUs will do.

    It starts no CUDA, so the process may still fork.

    Args:
        wanted: GPUs that this process must see.
        or_cpu: whether CPUs will do.
        job: what needs them, for the message.
        says: whether to log that CPUs will do.

    Raises:
        RuntimeError: fewer are seen; the message says what the driver, the container and Slurm
            have to do with it.
    """
    if not wanted:
        return False
    import torch

    seen = torch.cuda.device_count()
    if seen >= wanted:
        return True
    if not or_cpu:
        raise RuntimeError(too_few(wanted, seen, job))
    if says:
        logger.info("%s runs on CPUs: %d GPUs for %d that it asked for", job, seen, wanted)
    return False


def let_segments_grow() -> None:
    """Let CUDA's allocator extend its segments, unless the user has set it; before CUDA starts.

    Rows of many lengths otherwise leave gaps that nothing fits into.
    """
    if not any(name in os.environ for name in _ALLOCATOR):
        os.environ[_ALLOCATOR[0]] = "expandable_segments:True"


def too_few(wanted: int, seen: int, job: str) -> str:
    """Return a message on GPUs that are missing, or that cannot be used: causes and remedies."""
    import torch

    given = ", ".join(f"{name}={os.environ[name]}" for name in _GIVEN if name in os.environ)
    is_contained = any(name in os.environ for name in ("APPTAINER_NAME", "SINGULARITY_NAME"))
    return (
        f"{job} asked for {wanted} GPUs, and sees {seen} on {socket.gethostname()}. "
        f"PyTorch: {_torch(torch.__version__, torch.version.cuda)}. Driver: {_driver()}. "
        f"Container: {'this is one' if is_contained else 'none seen'}; one must be started with "
        '--nv (apptainer-args: "--nv" in the profile). '
        f"Slurm: {given or 'none of ' + ', '.join(_GIVEN) + ' is set'}; without GPUs here, look at "
        "gpu_partition and gpu_type of the profile and at the node's gres. "
        "If CPUs will do, set gpu to 0 in its runtime, or or_cpu to true"
    )


def oldest_driver(cuda: str) -> int | None:
    """Return the oldest NVIDIA driver, its major version, for a version of CUDA, if known."""
    return _OLDEST_DRIVER.get(int(cuda.split(".")[0]))


def _torch(version: str, cuda: str | None) -> str:
    if cuda is None:
        return f"{version} is built without CUDA, install a build with it (docs/environments.md)"
    oldest = oldest_driver(cuda)
    needs = f", which needs an NVIDIA driver of {oldest} or newer" if oldest else ""
    return f"{version} for CUDA {cuda}{needs}"


def _driver() -> str:
    try:
        found = re.search(r"\s(\d+\.\d+(\.\d+)?)\s", _DRIVER.read_text())
    except OSError:
        return "no NVIDIA driver is loaded on this node"
    return f"NVIDIA {found[1]}" if found else f"see {_DRIVER}"
