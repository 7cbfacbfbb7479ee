"""Stands in for `sbatch --test-only` on the cluster of `preflight_world`.

    python fake_sbatch.py ENFORCED --test-only ...

Says what Slurm 22.05 said on a real cluster (tests/slurm/cluster.py) with EnforcePartLimits=NO: a
partition that is DOWN, its limits and its accounts are not looked at.
"""

import argparse
import re
import sys
from typing import Any

# Partition -> nodes: (CPUs, MB, GPU model, GPUs, features, whether it is up).
_PLAIN = [(64, 256_000, "", 0, (), True)] * 2
NODES: dict[str, list[tuple[Any, ...]]] = {
    **dict.fromkeys(("cpu", "short", "closed", "off"), _PLAIN),
    "gpu": [(64, 512_000, "h100", 4, ("nvlink", "ib"), is_up) for is_up in (True, False)],
}
QOS = ("normal", "long")


def main(enforced: str, *arguments: str) -> int:
    """Print Slurm's answer and return its status."""
    parser = argparse.ArgumentParser()
    for short, name in (("-A", "account"), ("-p", "partition"), ("-t", "time"), ("-C", "features")):
        parser.add_argument(short, dest=name)
    for name in ("qos", "gres", "gpus", "gpus-per-node", "wrap", "reservation"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--mem", type=int, default=100)
    for name in ("nodes", "ntasks", "ntasks-per-node", "ntasks-per-gpu", "cpus-per-task"):
        parser.add_argument(f"--{name}", type=int, default=0)
    parser.add_argument("--cpus-per-gpu", type=int, default=0)
    parser.add_argument("--test-only", action="store_true")
    parser.add_argument("--exclusive", action="store_true")
    asked, others = parser.parse_known_args(arguments)
    if others:
        return _refuse(f"sbatch: unrecognized option '{others[0]}'", 'Try "sbatch --help"')
    partitions = (asked.partition or "cpu").split(",")
    if unknown := [name for name in partitions if name not in NODES]:
        return _refuse(
            f"sbatch: error: invalid partition specified: {unknown[0]}",
            "allocation failure: Invalid partition name specified",
        )
    if enforced != "none" and asked.account not in (None, "lab"):
        return _refuse(
            "allocation failure: Invalid account or account/partition combination specified"
        )
    if "qos" in enforced and asked.qos not in (None, *QOS):
        return _refuse("allocation failure: Invalid qos specification")
    nodes = [node for name in partitions for node in NODES[name]]
    wanted = set(re.split(r"[&|]", asked.features)) if asked.features else set()
    if not wanted <= {feature for node in nodes for feature in node[4]}:
        return _refuse("allocation failure: Invalid feature specification")
    return _place(asked, [node for node in nodes if wanted <= set(node[4])])


def _place(
    asked: argparse.Namespace, nodes: list[tuple[int, int, str, int, tuple[str], bool]]
) -> int:
    per_node = asked.gpus_per_node or (asked.gres or "").removeprefix("gpu:")
    total, model = _gpus(asked.gpus or "")
    each, named = _gpus(per_node)
    model = model or named
    num = asked.nodes or 1
    if total and not each:
        most = max(node[3] for node in nodes)
        num = asked.nodes or -(-total // max(1, most))
        each = -(-total // num)
    tasks = asked.ntasks_per_node or asked.ntasks_per_gpu * each or -(-asked.ntasks // num) or 1
    cpus = asked.cpus_per_gpu * each or tasks * max(1, asked.cpus_per_task)
    fitting = [
        node
        for node in nodes
        if node[5]
        and node[0] >= cpus
        and node[1] >= asked.mem
        and node[3] >= each
        and model in ("", node[2])
    ]
    if len(fitting) < num:
        return _refuse("allocation failure: Requested node configuration is not available")
    sys.stderr.write(
        f"sbatch: Job 7 to start at 2026-01-01T00:00:00 using {cpus * num} processors on nodes n1 "
        f"in partition {asked.partition}\n"
    )
    return 0


def _gpus(text: str) -> tuple[int, str]:
    *model, count = text.split(":")
    return int(count or 0), ":".join(model)


def _refuse(*lines: str) -> int:
    sys.stderr.write("\n".join(lines) + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
