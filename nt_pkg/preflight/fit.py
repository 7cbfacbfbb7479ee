"""Checks of every request against nodes and limits: would the job ever start?"""

import re
from collections.abc import Callable, Sequence

from nt_pkg.preflight.facts import PLACEHOLDER, Cluster, Finding, Node, Request
from nt_pkg.preflight.limits import CHECK, Where, above_limits, failed
from nt_pkg.preflight.names import partition_names
from nt_pkg.preflight.profile import Profile


def fit(requests: Sequence[Request], cluster: Cluster, profile: Profile) -> list[Finding]:
    """Judge all requests; those at a later attempt can only warn."""
    found: list[Finding] = []
    if cluster.partitions is None or cluster.nodes is None:
        return found
    checked, rules_checked = 0, set()
    for request in requests:
        named = partition_names(request, cluster)
        if not any(name in cluster.partitions for name in named):
            continue  # said where names are checked
        mine = [*fit_one(request, cluster, profile), *_shape(request, profile)]
        if request.attempt > 1:
            mine = [Finding("warn", each.check, each.found, each.todo) for each in mine]
        elif not any(each.level == "FAIL" for each in mine):
            checked += request.num_jobs
            rules_checked.add(request.rule)
        found += mine
    if checked:
        rules = len(rules_checked)
        found.insert(0, Finding("ok", CHECK, f"{checked} jobs of {rules} rules can start"))
    return found


def fit_one(request: Request, cluster: Cluster, profile: Profile) -> list[Finding]:
    """Judge one request against its partition's nodes and limits."""
    assert cluster.partitions is not None and cluster.nodes is not None
    names = [name for name in partition_names(request, cluster) if name in cluster.partitions]
    where = Where(request, profile)
    tries = []
    for name in names:
        nodes = [node for node in cluster.nodes if name in node.partitions]
        tries.append([*_time(request, cluster, name, where), *_nodes(request, nodes, name, where)])
    best = min(tries, key=lambda each: sum(f.level == "FAIL" for f in each))
    return [*best, *above_limits(request, cluster, names[0], where)]


def _time(request: Request, cluster: Cluster, name: str, where: Where) -> list[Finding]:
    assert cluster.partitions is not None
    longest = cluster.partitions[name].max_minutes
    if request.runtime is None or longest is None or request.runtime <= longest:
        return []
    rejected = cluster.config and cluster.config.get("EnforcePartLimits", "NO") not in ("NO", "")
    happens = "is refused" if rejected else "would wait for ever"
    return [
        failed(
            request,
            f"runtime {request.runtime} min is above MaxTime {longest:.0f} min of partition "
            f"{name}: the job {happens}",
            f"lower {where('runtime', request.runtime)}, or take another partition in "
            f"{where('slurm_partition', request.partition)}",
        )
    ]


def _nodes(request: Request, nodes: Sequence[Node], name: str, where: Where) -> list[Finding]:
    """Filter a partition's nodes step by step, and say which step leaves none."""
    if not nodes:
        todo = f"edit {where('slurm_partition', request.partition)}"
        return [failed(request, f"partition {name} has no nodes", todo)]
    steps: list[tuple[Callable[[Node], bool], Callable[[Sequence[Node]], tuple[str, str]]]] = [
        (lambda n: has_features(n, request.constraint), lambda n: _say_features(request, where)),
        (lambda n: _fits_gpus(n, request), lambda n: _say_gpus(request, n, name, where)),
        (lambda n: n.num_cpus >= request.node_cpus, lambda n: _say_cpus(request, n, name, where)),
        (
            lambda n: n.mem_mb >= (request.node_mem_mb or 0),
            lambda n: _say_memory(request, n, name, where),
        ),
    ]
    left = list(nodes)
    for fits, say in steps:
        before, left = left, [node for node in left if fits(node)]
        if not left:
            return [failed(request, *say(before))]
    return _enough(request, left, name, where)


def _enough(request: Request, fitting: Sequence[Node], name: str, where: Where) -> list[Finding]:
    """Judge whether there are as many fitting nodes as asked for, and whether they are up."""
    num = _num_nodes(request, fitting)
    usable = [node for node in fitting if node.is_usable]
    edit = where("nodes", request.nodes)
    if num > len(fitting):
        text = f"{num} nodes are needed, partition {name} has {len(fitting)} that fit"
        return [failed(request, text, f"lower {edit}")]
    if num > len(usable):
        states = sorted({node.state for node in fitting if not node.is_usable})
        return [
            Finding(
                "warn",
                CHECK,
                f"{request.title}: {num} nodes are needed; of {len(fitting)} that fit in {name} "
                f"only {len(usable)} are up ({', '.join(states)})",
                "jobs wait until nodes come back",
            )
        ]
    return []


def _num_nodes(request: Request, fitting: Sequence[Node]) -> int:
    if request.nodes or not request.gpus:
        return request.nodes or 1
    most = max(node.num_gpus(request.gpu_model) for node in fitting)
    return -(-request.gpus // max(1, most))


def has_features(node: Node, constraint: str | None) -> bool:
    """Return whether a node has the features of a constraint; complex ones are let pass."""
    if not constraint or re.search(r"[\[\]()*]", constraint) or PLACEHOLDER in constraint:
        return True
    choices = constraint.split("|")
    return any(all(f.strip() in node.features for f in one.split("&")) for one in choices)


def _fits_gpus(node: Node, request: Request) -> bool:
    per_node = request.node_gpus
    if request.gpus and not request.nodes and request.gpus_per_node is None:
        per_node = 1  # spread as Slurm likes
    return node.num_gpus(request.gpu_model) >= per_node


def _say_features(request: Request, where: Where) -> tuple[str, str]:
    text = f"no node has all features of constraint {request.constraint}"
    return text, f"edit {where('constraint', request.constraint)}"


def _say_gpus(request: Request, nodes: Sequence[Node], name: str, where: Where) -> tuple[str, str]:
    models = sorted({each.model or "(no type)" for node in nodes for each in node.gpus})
    edit = where("gpu", request.gpus)
    if not models:
        return (
            f"{request.node_gpus} GPUs per node are asked for, partition {name} has none",
            f"edit {where('slurm_partition', request.partition)}, or {edit}",
        )
    if request.gpu_model and request.gpu_model not in models:
        near = [model for model in models if model.lower() == request.gpu_model.lower()]
        case = f"; upper and lower case count: {near[0]}" if near else ""
        return (
            f"GPU model {request.gpu_model} is not in partition {name} (has: "
            f"{', '.join(models)}){case}",
            f"edit {where('gpu_model', request.gpu_model)}, or "
            f"{where('slurm_partition', request.partition)}",
        )
    most = max(node.num_gpus(request.gpu_model) for node in nodes)
    kind = f"{request.gpu_model} " if request.gpu_model else ""
    is_fixed = request.own.get("nodes", "").isdigit()  # jobs of that rule run on one node
    return (
        f"{request.node_gpus} {kind}GPUs per node are asked for, nodes of partition {name} have at "
        f"most {most}",
        f"lower {edit}" + ("" if is_fixed else f", or raise {where('nodes', request.nodes)}"),
    )


def _say_cpus(request: Request, nodes: Sequence[Node], name: str, where: Where) -> tuple[str, str]:
    most = max(node.num_cpus for node in nodes)
    key = "cpus_per_gpu" if request.cpus_per_gpu else "cpus_per_task"
    return (
        f"{request.node_cpus} CPUs per node are asked for, nodes of partition {name} that fit "
        f"otherwise have at most {most}",
        f"lower {where(key, request.cpus_per_task)} (or the rule's threads)",
    )


def _say_memory(
    request: Request, nodes: Sequence[Node], name: str, where: Where
) -> tuple[str, str]:
    most = max(node.mem_mb for node in nodes)
    key = "mem_mb_per_cpu" if request.mem_mb_per_cpu else "mem_mb"
    return (
        f"{request.node_mem_mb} MB per node are asked for, nodes of partition {name} that fit "
        f"otherwise have at most {most}",
        f"lower {where(key, request.mem_mb)}",
    )


def _shape(request: Request, profile: Profile) -> list[Finding]:
    """Judge what is legal and still goes wrong with the plugin."""
    found = []
    where = Where(request, profile)
    if request.gpus and not request.nodes and request.attempt == 1:
        found.append(
            Finding(
                "warn",
                CHECK,
                f"{request.title}: {request.gpus} GPUs on any number of nodes; Slurm may spread "
                "them",
                f"set {where('nodes')}: 1",
            )
        )
    if request.gpus and request.tasks and request.tasks_per_gpu is None:
        found.append(
            Finding(
                "warn",
                CHECK,
                f"{request.title}: in a job with GPUs the plugin makes `tasks: {request.tasks}` "
                "into --ntasks-per-gpu",
                f"set {where('tasks_per_gpu')}: 0",
            )
        )
    if (request.nodes or 1) > 1 and not request.is_mpi:
        found.append(
            Finding(
                "warn",
                CHECK,
                f"{request.title}: {request.nodes} nodes without `mpi`: it runs on one of them",
                f"set {where('nodes', request.nodes)}: 1, or mpi and tasks in the rule",
            )
        )
    if request.not_checked:
        keys = ", ".join(request.not_checked)
        text = f"{request.title}: not checked, no number without Snakemake: {keys}"
        found.append(Finding("warn", CHECK, text))
    return found
