"""The nodes of this job, and their addresses."""

import ipaddress
import os
import re
import socket
import subprocess


def job_nodes() -> list[str]:
    """Return the names of this job's nodes; the first one runs its script.

    Slurm is asked, because the executor plugin removes the list from the environment.

    Raises:
        ValueError: this is no Slurm job, or Slurm does not answer.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if not job:
        raise ValueError("several nodes need a Slurm job: start with `snakemake --profile slurm`")
    found = re.search(r"\sNodeList=(\S+)", _scontrol("job", job))
    if not found:
        raise ValueError(f"scontrol names no nodes of job {job}")
    return _scontrol("hostnames", found[1]).split()


def _scontrol(*what: str) -> str:
    command = ["scontrol", "show", *what]
    try:
        said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        raise ValueError(f"{' '.join(command)}: {error}") from error
    return said.stdout


def own_address(own: str, peer: str) -> str:
    """Return the address at which other nodes reach this machine.

    Args:
        own: this machine's name among the nodes of the job.
        peer: the name of another node of the job.
    """
    address = socket.gethostbyname(own)
    if not ipaddress.ip_address(address).is_loopback:
        return address
    # Some systems resolve their own name to a loopback address (Debian: 127.0.1.1). Then we take
    # the source address of packets to a peer; connecting a UDP socket tells it and sends nothing.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((peer, 9))
        found: str = probe.getsockname()[0]
        return found
