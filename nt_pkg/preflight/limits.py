"""Checks of every request against the limits of partition, QOS and account."""

import re
from collections.abc import Sequence

from nt_pkg.preflight.facts import Cluster, Finding, Limits, Request
from nt_pkg.preflight.names import partition_names
from nt_pkg.preflight.profile import Profile

CHECK = "resources"
_IN_CONFIGURATION = ("gpu", "nodes", "mem_mb")  # of an entry's `runtime`


def queue(requests: Sequence[Request], cluster: Cluster, profile: Profile) -> list[Finding]:
    """Judge how many jobs the profile keeps in the queue."""
    num = profile.get("jobs")
    if not isinstance(num, int) or not cluster.enforces("limits") or cluster.partitions is None:
        return []
    found = {}
    for request in requests:
        for name in partition_names(request, cluster)[:1]:
            qos = cluster.partitions[name].qos if name in cluster.partitions else None
            for label, limits in _limits_of(request, cluster, qos):
                if limits.max_submit is not None and limits.max_submit < num:
                    text = f"up to {num} jobs in the queue, {label} takes {limits.max_submit}"
                    todo = f"lower {profile.where('jobs')}: a job that is refused counts as failed"
                    found[label] = Finding("warn", "queue", text, todo)
    return list(found.values())


class Where:
    """Says what to edit for one request."""

    def __init__(self, request: Request, profile: Profile) -> None:
        self._request, self._profile = request, profile

    def __call__(self, name: str, value: object = None) -> str:
        """Return file and key of a resource."""
        request = self._request
        resource = self._profile.where_resource(request, name, value)
        if "(to be added)" not in resource or not request.owners:
            return resource
        read = re.search(r"runtime(?:\(\w+\))?\.(\w+)", request.own.get(name, ""))
        key = read[1] if read else name if not request.own and name in _IN_CONFIGURATION else ""
        if not key:
            return resource
        text = f"{min(request.owners)}.runtime.{key} of the configuration"
        # Nodes and GPUs are read by the job as well, so they cannot be overridden from outside.
        return f"{text}, or {resource}" if name == "mem_mb" else text


def above_limits(request: Request, cluster: Cluster, name: str, where: Where) -> list[Finding]:
    """Judge a request against the partition, the QOS and the association."""
    assert cluster.partitions is not None
    partition = cluster.partitions[name]
    found = []
    for most, amount, key, what in (
        (partition.max_nodes, request.nodes, "nodes", "nodes"),
        (partition.max_cpus_per_node, request.node_cpus, "cpus_per_task", "CPUs per node"),
        (partition.max_mem_per_node, request.node_mem_mb, "mem_mb", "MB per node"),
    ):
        if most is not None and amount is not None and amount > most:
            text = f"{amount} {what} are above the {most} that partition {name} allows"
            found.append(failed(request, text, f"lower {where(key)}"))
    if not cluster.enforces("limits"):
        return found
    for label, limits in _limits_of(request, cluster, partition.qos):
        longest = limits.max_minutes
        if longest is not None and request.runtime and request.runtime > longest:
            text = f"runtime {request.runtime} min is above MaxWall {longest:.0f} min of {label}"
            found.append(failed(request, text, f"lower {where('runtime', request.runtime)}"))
        for tres, (amount, key) in _total(request).items():
            if amount > limits.tres.get(tres, amount):
                text = f"{amount} {tres} are above the {limits.tres[tres]} that {label} allows"
                found.append(failed(request, text, f"lower {where(key)}"))
    return found


def _limits_of(
    request: Request, cluster: Cluster, partition_qos: str | None
) -> list[tuple[str, Limits]]:
    found = []
    name = request.qos
    for each in cluster.associations or ():
        if not request.account or each.account.lower() != request.account.lower():
            continue
        if each.partition in ("", request.partition):
            found.append((f"account {each.account}", each.limits))
            name = name or each.default_qos or None
    for qos, label in ((name, "QOS"), (partition_qos, "the partition's QOS")):
        if qos and cluster.qos and qos in cluster.qos:
            found.append((f"{label} {qos}", cluster.qos[qos]))
    return found


def _total(request: Request) -> dict[str, tuple[int, str]]:
    num = request.nodes or 1
    gpus = request.gpus or (request.gpus_per_node or 0) * num
    found = {
        "cpu": (request.node_cpus * num, "cpus_per_task"),
        "mem": ((request.node_mem_mb or 0) * num, "mem_mb"),
        "node": (num, "nodes"),
        "gres/gpu": (gpus, "gpu"),
    }
    if request.gpu_model:
        found[f"gres/gpu:{request.gpu_model}"] = (gpus, "gpu")
    return found


def failed(request: Request, text: str, todo: str) -> Finding:
    """Return the finding that a request cannot be met."""
    return Finding("FAIL", CHECK, f"{request.title}: {text}", todo)
