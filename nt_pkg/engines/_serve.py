"""The commands of a vLLM server within a job, on one node or several."""

import math
import os
import sys
from dataclasses import dataclass, field

from nt_pkg.slurm.jobs import Command, srun

LOOPBACK = "127.0.0.1"
# vLLM 0.32 warms its sampler through FlashInfer, which compiles it with nvcc at the start of every
# engine, and compute nodes often have no nvcc. Nothing is lost: vLLM samples requests that are
# greedy or have a seed, as all of ours, without it. envs/image.def sets it too. What the user has
# set stays.
NO_COMPILER = {"VLLM_USE_FLASHINFER_SAMPLER": "0"}
# `vllm serve` starts the nodes without requests and several front ends; the other module, which
# always starts one front end, also runs in vLLM's build for processors, where `vllm serve` does
# not. Modules, so that every node takes the Python of this job.
_ON_GPUS = ("vllm.entrypoints.cli.main", "serve")
_ON_CPUS = ("vllm.entrypoints.openai.api_server", "--model")


@dataclass(frozen=True)
class ServingNode:
    """A node of the job: its name in Slurm, and its address in the network of the job."""

    name: str
    address: str


@dataclass(frozen=True)
class ServedModel:
    """One model, served on the nodes of a job.

    Attributes:
        model: a folder that every node sees.
        nodes: nodes of the job; the first one answers requests, and runs this process.
        gpus: GPUs on all nodes; 0: the server runs on CPUs.
        pipeline_parallel: groups of GPUs that share the layers among them.
        data_parallel: copies of the attention layers, each with its own share of the requests.
        expert_parallel: whether each GPU holds whole experts and not a part of each.
        api_key: secret of this run; requests without it are refused.
        port: port for requests.
        master_port: port at which the nodes connect.
        more: further arguments of `vllm serve`.
    """

    model: str
    nodes: tuple[ServingNode, ...]
    gpus: int
    api_key: str = field(repr=False)
    port: int
    master_port: int
    pipeline_parallel: int = 1
    data_parallel: int = 1
    expert_parallel: bool = False
    more: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """Return the address that requests go to."""
        return f"http://{self.nodes[0].address}:{self.port}"


def serve_commands(server: ServedModel, cpus_per_node: int) -> list[Command]:
    """Return one command per node; all have to run at the same time.

    Over several nodes this is vLLM's way without Ray: the same command on each, `--headless` on all
    but the first. Without data parallelism the nodes share one engine
    (https://docs.vllm.ai/en/stable/serving/parallelism_scaling/, "Running vLLM with
    MultiProcessing"); with it each node has engines of its own behind the front end of the first
    (https://docs.vllm.ai/en/stable/serving/data_parallel_deployment/, "Internal Load Balancing").
    Every command is a job step of one task, because each node gets arguments of its own. On one
    node it is a child of this process, which has the job's GPUs.

    The key is in the environment, as command lines can be read by everybody on a node.
    `VLLM_HOST_IP` is the address that vLLM gives a node in its traffic with the others, which is
    not encrypted and belongs into a private network (the first page's warning, "Network security").

    Args:
        server: the model and its nodes.
        cpus_per_node: cores that the job has on each node.

    Raises:
        ValueError: the GPUs cannot be spread evenly.
    """
    groups, nodes = server.pipeline_parallel * server.data_parallel, len(server.nodes)
    if server.gpus % math.lcm(groups, nodes):
        raise ValueError(
            f"{server.gpus} GPUs cannot be spread evenly over {nodes} nodes and "
            f"{server.pipeline_parallel} x {server.data_parallel} groups"
        )
    return [_on_node(server, rank, cpus_per_node) for rank in range(nodes)]


def _on_node(server: ServedModel, rank: int, cpus_per_node: int) -> Command:
    head, node, num_nodes = server.nodes[0], server.nodes[rank], len(server.nodes)
    argv: list[str] = []
    if num_nodes > 1:
        gpus = server.gpus // num_nodes
        argv += srun(1, 1, gpus, cpus_per_node, f"--nodelist={node.name}")
    groups = server.pipeline_parallel * server.data_parallel
    argv += [
        sys.executable,
        "-m",
        *(_ON_GPUS if server.gpus else _ON_CPUS),
        server.model,
        f"--tensor-parallel-size={max(1, server.gpus // groups)}",
        f"--pipeline-parallel-size={server.pipeline_parallel}",
    ]
    if server.data_parallel > 1:
        argv.append(f"--data-parallel-size={server.data_parallel}")
    if server.expert_parallel:
        argv.append("--enable-expert-parallel")
    argv += server.more
    if num_nodes > 1:
        argv += _together(server, rank)
    # Without --host the server would listen on all interfaces.
    argv += [f"--host={head.address}", f"--port={server.port}"] if rank == 0 else ["--headless"]
    given = {name: value for name, value in NO_COMPILER.items() if name not in os.environ}
    environment = {**given, "VLLM_NO_USAGE_STATS": "1", "VLLM_HOST_IP": node.address}
    if rank == 0:
        environment["VLLM_API_KEY"] = server.api_key
    return Command(tuple(argv), environment)


def _together(server: ServedModel, rank: int) -> list[str]:
    """Return the arguments by which the nodes find each other."""
    head, num_nodes = server.nodes[0], len(server.nodes)
    if server.data_parallel == 1:
        return [
            "--distributed-executor-backend=mp",
            f"--nnodes={num_nodes}",
            f"--node-rank={rank}",
            f"--master-addr={head.address}",
            f"--master-port={server.master_port}",
        ]
    local = server.data_parallel // num_nodes
    return [
        f"--data-parallel-size-local={local}",
        *([f"--data-parallel-start-rank={local * rank}"] if rank else []),
        f"--data-parallel-address={head.address}",
        f"--data-parallel-rpc-port={server.master_port}",
    ]
