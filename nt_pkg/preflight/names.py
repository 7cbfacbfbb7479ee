"""Checks of the names in the profile: accounts, partitions, QOS, features."""

import re
from collections import defaultdict
from collections.abc import Sequence

from nt_pkg.preflight.facts import PLACEHOLDER, Cluster, Finding, Request
from nt_pkg.preflight.profile import Profile, shown


def placeholders(profile: Profile, cluster: Cluster) -> list[Finding]:
    """Judge whether the profile is filled in."""
    found = []
    for where, value in profile.placeholders():
        choices: Sequence[str] = ()
        if "partition" in where and cluster.partitions:
            choices = sorted(cluster.partitions)
        elif "account" in where and cluster.associations:
            choices = sorted({each.account for each in cluster.associations})
        elif "account" in where and cluster.associations is not None:
            choices = ["none are known for you: delete the line"]
        hint = f" (here: {_some(choices)})" if choices else ""
        found.append(
            Finding(
                "FAIL",
                "profile",
                f"{value} is left",
                f"edit {where}{hint}, or delete the line if your site needs none",
            )
        )
    return found or [Finding("ok", "profile", f"{shown(profile.path)} has no {PLACEHOLDER}")]


def accounts(
    requests: Sequence[Request], cluster: Cluster, profile: Profile, why_unknown: str
) -> list[Finding]:
    """Judge the accounts of the requests as the plugin and as Slurm will.

    Args:
        requests: of the study.
        cluster: facts.
        profile: to say where to edit.
        why_unknown: what `sacctmgr` and `sshare` said if both failed, else empty.
    """
    used: dict[str, str] = {}
    for request in requests:
        if request.account and PLACEHOLDER not in request.account:
            where = profile.where_resource(request, "slurm_account", request.account)
            used.setdefault(request.account, where)
    enforced = cluster.enforces("associations")
    mine = {each.account.lower() for each in cluster.associations or ()}
    if not used:
        if enforced and not mine and cluster.associations is not None:
            return [_no_association()]
        return []
    found = []
    for account, where in used.items():
        if cluster.associations is None and why_unknown:
            found.append(
                Finding(
                    "FAIL",
                    "account",
                    f"{account} cannot be looked up ({why_unknown}), and the plugin then refuses "
                    "to submit",
                    f"delete {where}: this cluster keeps no accounts",
                )
            )
        elif mine and account.lower() not in mine:
            found.append(
                Finding(
                    "FAIL",
                    "account",
                    f"{account} is not yours, and the plugin refuses it",
                    f"edit {where} (yours: {_some(sorted(mine))})",
                )
            )
        elif not mine:
            is_known = cluster.associations is not None
            reason = "knows no accounts of yours" if is_known else "keeps no accounts"
            found.append(
                _no_association()
                if enforced and is_known
                else Finding(
                    "warn",
                    "account",
                    f"{account} cannot be checked: the cluster {reason}, and enforces none",
                    f"delete {where} if jobs are refused",
                )
            )
        else:
            found.append(Finding("ok", "account", account))
    return found


def _no_association() -> Finding:
    return Finding(
        "FAIL",
        "account",
        "you have no account on this cluster, and it enforces them",
        "ask the administrators for an association (`sacctmgr add user`)",
    )


def names(requests: Sequence[Request], cluster: Cluster, profile: Profile) -> list[Finding]:
    """Judge partitions, QOS and features that requests name."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    findings: dict[tuple[str, str], Finding] = {}
    for request in requests:
        for finding in (
            *_partition(request, cluster, profile),
            *_qos(request, cluster, profile),
            *_features(request, cluster, profile),
        ):
            key = finding.check, f"{finding.found}{finding.todo}"
            findings.setdefault(key, finding)
            if request.rule not in found[key]:
                found[key].append(request.rule)
    return [
        Finding(each.level, each.check, f"{each.found} ({_some(found[key])})", each.todo)
        for key, each in findings.items()
    ]


def partition_names(request: Request, cluster: Cluster) -> list[str]:
    """Return the partitions that a request may run in."""
    if request.partition:
        return request.partition.split(",")
    return [cluster.default_partition] if cluster.default_partition else []


def _partition(request: Request, cluster: Cluster, profile: Profile) -> list[Finding]:
    known = cluster.partitions
    if known is None or PLACEHOLDER in (request.partition or ""):
        return []
    where = profile.where_resource(request, "slurm_partition", request.partition)
    if not partition_names(request, cluster):
        text = "no partition is named, and the cluster has no default"
        return [Finding("FAIL", "partition", text, f"set {where} (here: {_some(sorted(known))})")]
    found = []
    for name in partition_names(request, cluster):
        if name not in known:
            todo = f"edit {where} (here: {_some(sorted(known))})"
            found.append(Finding("FAIL", "partition", f"{name} does not exist", todo))
            continue
        one = known[name]
        if one.state != "UP":
            up = sorted(p.name for p in known.values() if p.state == "UP")
            found.append(
                Finding(
                    "FAIL",
                    "partition",
                    f"{name} is {one.state}: jobs would not start",
                    f"wait, or edit {where} (up: {_some(up)})",
                )
            )
        if refused := _refusal(request, cluster, name):
            todo = f"edit {where}, or ask for access to the partition"
            found.append(Finding("FAIL", "partition", f"{name} {refused}", todo))
    return found


def _refusal(request: Request, cluster: Cluster, name: str) -> str:
    """Return why a partition does not take a request, or nothing."""
    assert cluster.partitions is not None
    one = cluster.partitions[name]
    account, qos = request.account, request.qos
    allowed = [each.lower() for each in one.allow_accounts]
    if allowed and account and account.lower() not in allowed:
        return f"takes only jobs of the accounts {_some(one.allow_accounts)}, not {account}"
    if account and account.lower() in [each.lower() for each in one.deny_accounts]:
        return f"takes no jobs of the account {account}"
    if one.allow_qos and qos and qos not in one.allow_qos:
        return f"takes only jobs with the QOS {_some(one.allow_qos)}, not {qos}"
    if qos and qos in one.deny_qos:
        return f"takes no jobs with the QOS {qos}"
    if one.allow_groups and cluster.groups and not cluster.groups & {*one.allow_groups, "root"}:
        return f"takes only jobs of the groups {_some(one.allow_groups)}; you are in none of them"
    return ""


def _qos(request: Request, cluster: Cluster, profile: Profile) -> list[Finding]:
    in_settings = profile.get("slurm-qos")
    name = in_settings or request.qos
    if not name or PLACEHOLDER in name:
        return []
    where = (
        profile.where("slurm-qos")
        if in_settings
        else profile.where_resource(request, "qos", request.qos)
    )
    if cluster.qos is not None and name not in cluster.qos:
        # A cluster without QOS takes any name.
        level: tuple[str, str] = ("FAIL", "edit") if cluster.enforces("qos") else ("warn", "see")
        todo = f"{level[1]} {where} (here: {_some(sorted(cluster.qos))})"
        found = f"{name} does not exist"
        return [Finding("FAIL" if level[0] == "FAIL" else "warn", "qos", found, todo)]
    mine = {
        each
        for association in cluster.associations or ()
        if not request.account or association.account.lower() == request.account.lower()
        for each in association.qos
    }
    if cluster.enforces("qos") and mine and name not in mine:
        todo = f"edit {where} (yours: {_some(sorted(mine))})"
        return [Finding("FAIL", "qos", f"{name} is not open to your account", todo)]
    return []


def _features(request: Request, cluster: Cluster, profile: Profile) -> list[Finding]:
    if not request.constraint or PLACEHOLDER in request.constraint or cluster.nodes is None:
        return []
    names = partition_names(request, cluster)
    nodes = [node for node in cluster.nodes if not names or node.partitions & set(names)]
    there = {feature for node in nodes for feature in node.features}
    missing = [name for name in feature_names(request.constraint) if name not in there]
    if not missing or not nodes:
        return []
    where = profile.where_resource(request, "constraint", request.constraint)
    has = f"has: {_some(sorted(there))}" if there else "has none"
    todo = f"edit {where} ({'/'.join(names)} {has})"
    return [Finding("FAIL", "constraint", f"no node has the feature {', '.join(missing)}", todo)]


def feature_names(constraint: str) -> list[str]:
    """Return the features that a constraint such as `[a*2&b]|c` names."""
    return re.findall(r"[A-Za-z_][\w.:+-]*", re.sub(r"\*\d+", "", constraint))


def _some(values: Sequence[str], most: int = 8) -> str:
    more = f" and {len(values) - most} more" if len(values) > most else ""
    return ", ".join(values[:most]) + more
