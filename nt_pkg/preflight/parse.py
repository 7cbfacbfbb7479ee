"""Facts from what Slurm's commands print (20.11 to 25.x)."""

import re
from collections import defaultdict
from datetime import datetime

from nt_pkg.preflight.facts import Association, Gpus, Limits, Node, Partition

# What the parsers below read. The last field of a node may hold anything, and is left alone.
NODES = ("sinfo", "-a", "-h", "-N", "-o", "%N|%R|%c|%m|%G|%T|%f")
PARTITIONS = ("scontrol", "-a", "-o", "show", "partition")
CONFIG = ("scontrol", "show", "config")
ASSOCIATION_FIELDS = "cluster,account,partition,qos,defaultqos,maxwall,maxsubmit,maxtres,grptres"
QOS = (
    "sacctmgr",
    "-nP",
    "show",
    "qos",
    "format=name,maxwall,maxsubmitpu,maxtres,maxtrespu,grptres",
)

_NOTHING = ("", "(null)", "N/A", "NONE", "UNLIMITED", "INFINITE", "ALL", "None", "none")


def nodes(text: str) -> list[Node]:
    """Return the nodes that `sinfo` lists, each with all its partitions."""
    partitions: dict[str, set[str]] = defaultdict(set)
    rows: dict[str, list[str]] = {}
    for line in text.splitlines():
        fields = line.strip().split("|")
        if len(fields) >= 7:
            rows[fields[0]] = fields
            partitions[fields[0]].add(fields[1].rstrip("*"))
    return [
        Node(
            name=name,
            partitions=frozenset(partitions[name]),
            num_cpus=_number(row[2]) or 0,
            mem_mb=_number(row[3]) or 0,
            gpus=gpus(row[4]),
            features=frozenset(_list(row[6])),
            state=row[5],
        )
        for name, row in rows.items()
    ]


def gpus(text: str) -> tuple[Gpus, ...]:
    """Return the GPUs of a GRES string such as `gpu:a100:8(S:0-1),gpu:h100:2`."""
    found = []
    for part in re.sub(r"\([^)]*\)", "", text).split(","):
        fields = [field for field in part.strip().split(":") if field != "no_consume"]
        if fields[0] != "gpu":
            continue
        count = int(fields.pop()) if len(fields) > 1 and fields[-1].isdigit() else 1
        found.append(Gpus(fields[1] if len(fields) > 1 else None, count))
    return tuple(found)


def partitions(text: str) -> dict[str, Partition]:
    """Return the partitions of `scontrol -o show partition`."""
    found = {}
    for line in text.splitlines():
        row = dict(re.findall(r"(\w+)=(.*?)(?= \w+=|$)", line.strip()))
        if "PartitionName" not in row:
            continue
        found[row["PartitionName"]] = Partition(
            name=row["PartitionName"],
            state=row.get("State", "UP"),
            is_default=row.get("Default") == "YES",
            max_minutes=minutes(row.get("MaxTime", "")),
            max_nodes=_number(row.get("MaxNodes", "")),
            max_cpus_per_node=_number(row.get("MaxCPUsPerNode", "")),
            max_mem_per_node=_number(row.get("MaxMemPerNode", "")),
            qos=row["QoS"] if row.get("QoS", "") not in _NOTHING else None,
            allow_accounts=_list(row.get("AllowAccounts", "")),
            deny_accounts=_list(row.get("DenyAccounts", "")),
            allow_qos=_list(row.get("AllowQos", "")),
            deny_qos=_list(row.get("DenyQos", "")),
            allow_groups=_list(row.get("AllowGroups", "")),
        )
    return found


def config(text: str) -> dict[str, str]:
    """Return the settings of `scontrol show config`."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}


def controller_time(text: str) -> datetime | None:
    """Return the controller's clock when it answered `scontrol show config`."""
    found = re.search(r"Configuration data as of (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)", text)
    return datetime.fromisoformat(found[1]) if found else None


def associations(text: str, cluster: str | None) -> list[Association]:
    """Return the user's associations on one cluster, from `sacctmgr -nP show assoc`."""
    found = []
    for line in text.splitlines():
        row = [*line.split("|"), *[""] * 9][:9]
        if not row[1] or (cluster and row[0] and row[0] != cluster):
            continue
        found.append(
            Association(
                account=row[1],
                partition=row[2],
                qos=_list(row[3]),
                default_qos=row[4],
                limits=_limits(*row[5:]),
            )
        )
    return found


def qos(text: str) -> dict[str, Limits]:
    """Return the QOS of `sacctmgr -nP show qos` and the most that one job may ask for."""
    rows = ([*line.split("|"), *[""] * 6][:6] for line in text.splitlines() if line.strip())
    return {row[0]: _limits(*row[1:]) for row in rows}


def minutes(text: str) -> float | None:
    """Return a time limit of Slurm (`1-12:00:00`, `90:00`, `60`) in minutes; None: no limit."""
    text = text.strip()
    if text in _NOTHING:
        return None
    found = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text)
    if not found:
        return None
    days, first, second, third = (int(part) if part else None for part in found.groups())
    assert first is not None
    if days is not None:
        return days * 1440 + first * 60 + (second or 0) + (third or 0) / 60
    if third is not None:
        return first * 60 + (second or 0) + third / 60
    return first + (second or 0) / 60


def tres(text: str) -> dict[str, int]:
    """Return a TRES string such as `cpu=64,gres/gpu=8,mem=500G` as numbers, memory in MB."""
    found = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        amount = _megabytes(value) if name == "mem" else _number(value)
        if amount is not None:
            found[name] = amount
    return found


def _limits(max_wall: str, max_submit: str, *limits: str) -> Limits:
    least: dict[str, int] = {}
    for text in limits:
        for name, amount in tres(text).items():
            least[name] = min(amount, least.get(name, amount))
    return Limits(minutes(max_wall), _number(max_submit), least)


def _number(text: str) -> int | None:
    found = re.match(r"\d+", text.strip())
    return int(found[0]) if found else None


def _megabytes(text: str) -> int | None:
    found = re.match(r"([\d.]+)([KMGTP]?)", text.strip())
    if not found:
        return None
    factor = {"K": 1 / 1024, "": 1, "M": 1, "G": 1024, "T": 1024**2, "P": 1024**3}[found[2]]
    return int(float(found[1]) * factor)


def _list(text: str) -> tuple[str, ...]:
    if text.strip() in _NOTHING:
        return ()
    return tuple(part.strip() for part in text.split(",") if part.strip())
