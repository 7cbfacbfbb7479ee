"""Checks of requests that Slurm accepts silently and that then wait forever, or count as failed.

Unless EnforcePartLimits is set, `sbatch --test-only` says nothing about a partition's limits; it
never mentions that one is DOWN, and limits of QOS and accounts only with DenyOnLimit (seen with
Slurm 22.05). Accounts are looked up as the executor plugin does.
"""

from collections.abc import Iterator, Mapping, Sequence

from nt_pkg.preflight import parse
from nt_pkg.preflight.facts import Cluster, Finding, Level, Limits, SlurmRequest
from nt_pkg.preflight.profile import Profile, some
from nt_pkg.preflight.sbatch import Asked

_CHECK = "limits"
_Problem = tuple[str, str]  # what is wrong, and the resource to edit


def accounts(
    requests: Sequence[SlurmRequest], cluster: Cluster, profile: Profile, why_unknown: str
) -> list[Finding]:
    """Judge the accounts of the requests as the plugin and as Slurm will.

    Args:
        requests: the study's requests.
        cluster: facts of the cluster.
        profile: to say where to edit.
        why_unknown: the errors of `sacctmgr` and `sshare` if both failed, else empty.
    """
    used: dict[str, SlurmRequest] = {}
    for request in requests:
        if request.is_ready and (account := request.get("slurm_account")):
            used.setdefault(account, request)
    mine = {each.account.lower() for each in cluster.associations or ()}
    if cluster.associations == [] and cluster.enforces("associations"):
        text = "you have no account on this cluster, and it enforces them"
        todo = "ask the administrators for an association (`sacctmgr add user`)"
        return [Finding("FAIL", "account", text, todo)]
    found = []
    for account, request in used.items():
        where = profile.where_resource(request, "slurm_account")
        if cluster.associations is None and why_unknown:
            text = f"{account} cannot be looked up ({why_unknown}), and the plugin then refuses it"
            todo = f"delete {where}: this cluster has no accounts"
            found.append(Finding("FAIL", "account", text, todo))
        elif mine and account.lower() not in mine:
            text = f"{account} is not yours, and the plugin refuses it"
            todo = f"edit {where} (yours: {some(sorted(mine))})"
            found.append(Finding("FAIL", "account", text, todo))
        elif not mine:
            text = f"{account} cannot be checked: the cluster lists no accounts of yours"
            found.append(Finding("warn", "account", text, f"delete {where} if jobs are refused"))
        else:
            found.append(Finding("ok", "account", account))
    return found


def never_starting(
    requests: Sequence[SlurmRequest], asked: Sequence[Asked], cluster: Cluster, profile: Profile
) -> list[Finding]:
    """Judge every request; a request of a later attempt gives at most a warning."""
    cpus = {request: each.num_cpus for each in asked for request in each.requests}
    found = []
    for request in requests:
        tries = [list(_of_partition(request, name, cluster)) for name in _named(request, cluster)]
        problems = min(tries, key=len, default=[])
        if cluster.enforces("limits"):
            problems += _of_account(request, cluster, cpus.get(request))
        for text, key in problems:
            level: Level = "FAIL" if request.attempt == 1 else "warn"
            verb = "lower" if key in ("runtime", "mem_mb", "gpu", "nodes") else "edit"
            todo = f"{verb} {profile.where_resource(request, key)}"
            if key == "slurm_partition":
                up = [n for n, row in (cluster.partitions or {}).items() if row["State"] == "UP"]
                todo += f" (up: {some(sorted(up))}), or ask for access"
            found.append(Finding(level, _CHECK, f"{request.title}: {text}", todo))
    return found


def queue(requests: Sequence[SlurmRequest], cluster: Cluster, profile: Profile) -> list[Finding]:
    """Judge the number of jobs that the profile keeps in the queue."""
    num = profile.get("jobs")
    if not isinstance(num, int) or not cluster.enforces("limits"):
        return []
    found = {}
    for request in requests:
        for label, limits in _limits_of(request, cluster):
            if limits.max_submit is not None and limits.max_submit < num:
                text = f"up to {num} jobs in the queue, but {label} allows {limits.max_submit}"
                todo = f"lower {profile.where('jobs')}: a job that is refused counts as failed"
                found[label] = Finding("warn", "queue", text, todo)
    return list(found.values())


def _named(request: SlurmRequest, cluster: Cluster) -> list[str]:
    return [n for n in cluster.partitions_of(request) if n in (cluster.partitions or {})]


def _of_partition(request: SlurmRequest, name: str, cluster: Cluster) -> Iterator[_Problem]:
    row = (cluster.partitions or {})[name]
    if row.get("State") == "DOWN":
        yield f"partition {name} is DOWN: jobs would wait", "slurm_partition"
    if (cluster.config or {}).get("EnforcePartLimits", "NO") != "NO":
        return
    waits = "the job would wait forever"
    minutes, longest = request.number("runtime"), parse.minutes(row.get("MaxTime", ""))
    if minutes and longest is not None and minutes > longest:
        text = f"runtime {minutes} min is above MaxTime {longest:.0f} min of partition {name}"
        yield f"{text}: {waits}", "runtime"
    mem_mb, most = request.number("mem_mb"), row.get("MaxMemPerNode", "")
    if mem_mb and most.isdecimal() and mem_mb > int(most):
        yield f"mem_mb {mem_mb} is above MaxMemPerNode {most} of {name}: {waits}", "mem_mb"
    for what, resource in (("Accounts", "slurm_account"), ("Qos", "qos")):
        mine = (request.get(resource) or "").lower()
        allowed, denied = (row.get(f"{how}{what}", "").lower() for how in ("Allow", "Deny"))
        if mine and allowed and mine not in allowed.split(","):
            text = f"partition {name} accepts only {what.lower()} {allowed}, not {mine}: {waits}"
            yield text, "slurm_partition"
        elif mine and mine in denied.split(","):
            yield f"partition {name} does not accept {mine}: {waits}", "slurm_partition"


def _of_account(
    request: SlurmRequest, cluster: Cluster, num_cpus: int | None
) -> Iterator[_Problem]:
    """Yield the requests above a limit of an account or a QOS."""
    minutes, totals = request.number("runtime"), _totals(request, num_cpus)
    for label, limits in _limits_of(request, cluster):
        longest = limits.max_minutes
        if minutes and longest is not None and minutes > longest:
            yield f"runtime {minutes} min is above MaxWall {longest:.0f} min of {label}", "runtime"
        for name, (amount, key) in totals.items():
            if amount > limits.tres.get(name, amount):
                text = f"{amount} {name} are above the {limits.tres[name]} that {label} allows"
                yield text, key


def _limits_of(request: SlurmRequest, cluster: Cluster) -> Iterator[tuple[str, Limits]]:
    name, account = request.get("qos"), (request.get("slurm_account") or "").lower()
    for each in cluster.associations or ():
        right_partition = each.partition in ("", request.get("slurm_partition"))
        if each.account.lower() == account and right_partition:
            yield f"account {each.account}", each.limits
            name = name or each.default_qos or None
    rows = [(cluster.partitions or {})[n] for n in _named(request, cluster)[:1]]
    for label, qos in (("QOS", name), *(("the partition's QOS", row.get("QoS")) for row in rows)):
        if qos and qos in (cluster.qos or {}):
            yield f"{label} {qos}", (cluster.qos or {})[qos]


def _totals(request: SlurmRequest, num_cpus: int | None) -> Mapping[str, tuple[int, str]]:
    num_nodes = request.number("nodes") or 1
    found = {
        "cpu": (num_cpus or 0, "cpus_per_task"),
        "mem": ((request.number("mem_mb") or 0) * num_nodes, "mem_mb"),
        "node": (num_nodes, "nodes"),
        "gres/gpu": (request.gpus, "gpu"),
    }
    if request.gpu_model:
        found[f"gres/gpu:{request.gpu_model}"] = (request.gpus, "gpu")
    return found
