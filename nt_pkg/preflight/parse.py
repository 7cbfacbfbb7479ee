"""Facts from the output of Slurm's commands (20.11 to 25.x)."""

import re
from collections.abc import Mapping

from nt_pkg.preflight.facts import Association, Limits, Nodes

# The formats that the parsers below read. The last field of a node may hold anything.
NODES = ("sinfo", "-a", "-h", "-e", "-o", "%R|%D|%T|%c|%m|%G|%f")
PARTITIONS = ("scontrol", "-a", "-o", "show", "partition")
CONFIG = ("scontrol", "show", "config")
ASSOCIATION_FIELDS = "cluster,account,partition,defaultqos,maxwall,maxsubmit,maxtres,grptres"
QOS = (
    "sacctmgr",
    "-nP",
    "show",
    "qos",
    "format=name,maxwall,maxsubmitpu,maxtres,maxtrespu,grptres",
)
_NOTHING = ("", "(null)", "N/A", "NONE", "UNLIMITED", "INFINITE", "ALL")


def nodes(text: str) -> list[Nodes]:
    """Return the nodes that `sinfo` lists."""
    rows = [line.strip().split("|", 6) for line in text.splitlines()]
    return [
        Nodes(row[0].rstrip("*"), int(row[1]), row[2], tuple(row[3:]))
        for row in rows
        if len(row) == 7
    ]


def partitions(text: str) -> dict[str, Mapping[str, str]]:
    """Return the partitions of `scontrol -o show partition`, without values that set no limit."""
    rows = [dict(re.findall(r"(\w+)=(.*?)(?= \w+=|$)", line.strip())) for line in text.splitlines()]
    return {
        row["PartitionName"]: {key: value for key, value in row.items() if value not in _NOTHING}
        for row in rows
        if "PartitionName" in row
    }


def config(text: str) -> dict[str, str]:
    """Return the settings of `scontrol show config`."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}


def associations(text: str, cluster: str | None) -> list[Association]:
    """Return the user's associations on one cluster, from `sacctmgr -nP show assoc`."""
    rows = ([*line.split("|"), *[""] * 8][:8] for line in text.splitlines())
    return [
        Association(row[1], row[2], row[3], _limits(*row[4:]))
        for row in rows
        if row[1] and (not cluster or row[0] in ("", cluster))
    ]


def qos(text: str) -> dict[str, Limits]:
    """Return the QOS of `sacctmgr -nP show qos` and the most that one job may request."""
    rows = ([*line.split("|"), *[""] * 6][:6] for line in text.splitlines() if line.strip())
    return {row[0]: _limits(*row[1:]) for row in rows}


def minutes(text: str) -> float | None:
    """Return a time limit of Slurm (`1-12:00:00`, `90:00`, `60`) in minutes; None: no limit."""
    found = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text.strip())
    if not found:
        return None
    days, first, second, third = (int(part or 0) for part in found.groups())
    if found[1]:
        return days * 1440 + first * 60 + second + third / 60
    return first * 60 + second + third / 60 if found[4] else first + second / 60


def amounts(text: str) -> dict[str, int]:
    """Return a TRES string such as `cpu=64,gres/gpu=8,mem=500G` as numbers, memory in MB."""
    sizes = {"K": 1 / 1024, "": 1, "M": 1, "G": 1024, "T": 1024**2, "P": 1024**3}
    return {
        name: int(float(number) * sizes[size])
        for name, number, size in re.findall(r"([\w/:.]+)=([\d.]+)([KMGTP]?)", text)
    }


def _limits(max_wall: str, max_submit: str, *most: str) -> Limits:
    least: dict[str, int] = {}
    for text in most:
        for name, amount in amounts(text).items():
            least[name] = min(amount, least.get(name, amount))
    return Limits(minutes(max_wall), int(max_submit) if max_submit.isdecimal() else None, least)
