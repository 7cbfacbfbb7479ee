"""How vLLM serves a teacher that is too large for one node on several nodes.

The server is a separate Slurm job; jobs send requests to `api_base` with the engine `openai`
(docs/cluster.md).
"""

import os
from dataclasses import dataclass, field

from nt_pkg.slurm.jobs import Command, srun

# vLLM 0.32 warms its sampler through FlashInfer, which compiles it with nvcc at the start of every
# engine, and compute nodes often have no nvcc. Nothing is lost: vLLM samples requests that are
# greedy or have a seed, as all of ours, without it. envs/image.def sets it too. What the user has
# set stays.
NO_COMPILER = {"VLLM_USE_FLASHINFER_SAMPLER": "0"}


@dataclass(frozen=True)
class ServingNode:
    """A node of the job: its name in Slurm, and its address in the network of the job."""

    name: str
    address: str


@dataclass(frozen=True)
class ServedModel:
    """One model, served on the nodes of a job.

    Tensor parallel within a node, where links are fast, and pipeline parallel between nodes: 671B
    parameters in 16 bits are 1.3 TB, more than eight GPUs of a node hold, so `tensor_parallel=8,
    pipeline_parallel=2` on two nodes.

    Attributes:
        model: a folder that every node sees.
        nodes: nodes of the job; the first one answers requests.
        tensor_parallel: GPUs that share every layer.
        pipeline_parallel: groups of such GPUs that share the layers among them.
        api_key: secret of this run; requests without it are refused.
        port: port for requests.
        master_port: port at which the nodes connect.
        more: further arguments of `vllm serve`.
    """

    model: str
    nodes: tuple[ServingNode, ...]
    tensor_parallel: int
    pipeline_parallel: int
    api_key: str = field(repr=False)
    port: int
    master_port: int
    more: tuple[str, ...] = ()

    @property
    def gpus_per_node(self) -> int:
        """Return the GPUs of each node."""
        return self.tensor_parallel * self.pipeline_parallel // len(self.nodes)

    @property
    def api_base(self) -> str:
        """Return the address that requests go to."""
        return f"http://{self.nodes[0].address}:{self.port}/v1"


def serve_commands(server: ServedModel, cpus_per_node: int) -> list[Command]:
    """Return one command per node; all have to run at the same time.

    This is vLLM's way without Ray, its multiprocessing backend over several nodes: the same command
    on each, `--headless` on all but the first
    (https://docs.vllm.ai/en/stable/serving/parallelism_scaling/, "Running vLLM with
    MultiProcessing"). Every command is a job step of one task, because each node gets arguments of
    its own. The key is in the environment, as command lines can be read by everybody on a node.
    `VLLM_HOST_IP` is the address that vLLM gives a node in its traffic with the others, which is
    not encrypted and belongs into a private network (the page's warning, "Network security").

    Args:
        server: the model and its nodes.
        cpus_per_node: cores that the job has on each node.

    Raises:
        ValueError: the GPUs cannot be spread evenly over the nodes.
    """
    num_gpus, num_nodes = server.tensor_parallel * server.pipeline_parallel, len(server.nodes)
    if not num_nodes or num_gpus % num_nodes:
        raise ValueError(
            f"tensor_parallel {server.tensor_parallel} x pipeline_parallel "
            f"{server.pipeline_parallel} = {num_gpus} GPUs cannot be spread evenly over "
            f"{num_nodes} nodes: make the product a multiple of the nodes"
        )
    return [_on_node(server, rank, cpus_per_node) for rank in range(num_nodes)]


def _on_node(server: ServedModel, rank: int, cpus_per_node: int) -> Command:
    head, node = server.nodes[0], server.nodes[rank]
    argv = [
        *srun(1, 1, server.gpus_per_node, cpus_per_node, f"--nodelist={node.name}"),
        "vllm",
        "serve",
        server.model,
        f"--tensor-parallel-size={server.tensor_parallel}",
        f"--pipeline-parallel-size={server.pipeline_parallel}",
        *server.more,
    ]
    if len(server.nodes) > 1:
        argv += [
            "--distributed-executor-backend=mp",
            f"--nnodes={len(server.nodes)}",
            f"--node-rank={rank}",
            f"--master-addr={head.address}",
            f"--master-port={server.master_port}",
        ]
    # Without --host the server would listen on all interfaces.
    argv += [f"--host={head.address}", f"--port={server.port}"] if rank == 0 else ["--headless"]
    given = {name: value for name, value in NO_COMPILER.items() if name not in os.environ}
    environment = {**given, "VLLM_HOST_IP": node.address}
    if rank == 0:
        environment["VLLM_API_KEY"] = server.api_key
    return Command(tuple(argv), environment)
