"""A cluster, a profile and a study for the tests of the checks before a start."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import snakemake_executor_plugin_slurm  # noqa: F401 - it looks for commands when it is imported

from nt_pkg.preflight import parse, requests
from nt_pkg.preflight.facts import Cluster, Finding, SlurmRequest
from nt_pkg.preflight.profile import Profile, read_profile
from nt_pkg.snakemake_io.dry_run import planned_jobs
from nt_pkg.snakemake_io.events import events_in

ROOT = Path(__file__).parents[2]

# Recorded from Slurm 22.05; the second GRES is written as newer ones do.
CONFIG = """\
Configuration data as of {now}
AccountingStorageEnforce = {enforce}
AccountingStorageType   = accounting_storage/slurmdbd
ClusterName             = toy
EnforcePartLimits       = NO
MinJobAge               = {age} sec
PropagateResourceLimits = ALL
SLURM_VERSION           = 22.05.8
"""
_PARTITION = (
    "PartitionName={} AllowGroups=ALL AllowAccounts={} AllowQos=ALL AllocNodes=ALL Default={} "
    "QoS=N/A DefaultTime=00:10:00 ExclusiveUser=NO MaxNodes=UNLIMITED MaxTime={} MinNodes=0 "
    "MaxCPUsPerNode=UNLIMITED Nodes=n[1-4] OverTimeLimit=NONE State={} TotalCPUs=16 TotalNodes=4 "
    "JobDefaults=(null) MaxMemPerNode=UNLIMITED TRES=cpu=16,mem=256000M,node=4,billing=16\n"
)
PARTITIONS = (
    _PARTITION.format("cpu", "ALL", "YES", "2-00:00:00", "UP")
    + _PARTITION.format("gpu", "ALL", "NO", "UNLIMITED", "UP")
    + _PARTITION.format("short", "ALL", "NO", "00:30:00", "UP")
    + _PARTITION.format("closed", "physics", "NO", "UNLIMITED", "UP")
    + _PARTITION.format("off", "ALL", "NO", "UNLIMITED", "DOWN")
)
NODES = "".join(
    f"{partition}|1|{state}|64|256000|(null)|(null)\n"
    for state in ("idle", "mixed")
    for partition in ("cpu", "short", "closed", "off")
) + "".join(
    f"gpu|1|{state}|64|512000|gpu:h100:4(S:0-1)|nvlink,ib\n" for state in ("idle", "drained")
)
ASSOCIATIONS = "toy|lab||normal||||\nelsewhere|other||normal||||\n"
QOS = "normal||||||\nlong|7-00:00:00|||||\n"

PROFILE = """\
default-resources:
  slurm_account: lab
  slurm_partition: cpu
  mem_mb: 8000
  runtime: 60
set-resources:
  train: {slurm_partition: gpu, nodes: 1}
jobs: 100
executor: slurm
retries: 1
latency-wait: 60
slurm-status-command: squeue
"""
TRAIN: dict[str, object] = {
    "mem_mb": 100_000,
    "slurm_account": "lab",
    "slurm_partition": "gpu",
    "runtime": 1440,
    "gpu": 4,
    "knobs": '{"nodes":1,"gpu":4}',
    "nodes": 1,
}
GRADE: dict[str, object] = {
    "mem_mb": 8000,
    "slurm_account": "lab",
    "slurm_partition": "cpu",
    "runtime": 60,
}


RULES = """\
rule train:
    threads: 8
    resources:
        **placed(runtime),
        mem_mb=lambda wc: runtime(wc).mem_mb,
        runtime=1440,

    shell:
        "true"


rule grade:
    resources:
        mem_mb=8_000,
        gpu=lambda wc: runtime(wc).generation_gpu or None,
"""


def planned(train: dict[str, object], grade: dict[str, object]) -> str:
    """Return Snakemake's events of two trainings, a grading, a download and the target."""
    jobs = [
        {
            **{"rule": rule, "is_checkpoint": False, "wildcards": wildcards, "timing": None},
            **{"outputs": outputs, "threads": 8 if rule == "train" else 1, "reason": {}},
            "resources": {
                **{"tmpdir": "/tmp", "mem": "8 GB", "disk_mb": "<TBD>"},
                **{name: str(value) for name, value in resources.items()},
            },
        }
        for rule, resources, wildcards, outputs in (
            ("train", train, {"student": "llama", "seed": "0"}, ["results/train.json"]),
            ("train", train, {"student": "qwen", "seed": "0"}, ["results/train.json"]),
            ("grade", grade, {"student": "llama"}, ["results/grade.json"]),
            ("fetch_asset", grade, {"kind": "students", "name": "llama"}, ["assets/a.json"]),
            ("all", {}, {}, []),
        )
    ]
    return json.dumps({"event": "planned", "time": 0.0, "jobs": jobs}) + "\n"


def profile(text: str = PROFILE, path: Path = Path("profile.yaml")) -> Profile:
    """Return a profile from its text; the current folder is the test's."""
    path.write_text(text)
    return read_profile(path)


def facts(**changes: object) -> Cluster:
    config = parse.config(CONFIG.format(now="2026-01-01T00:00:00", enforce="none", age=600))
    good = Cluster(
        config=config,
        partitions=parse.partitions(PARTITIONS),
        nodes=parse.nodes(NODES),
        associations=parse.associations(ASSOCIATIONS, "toy"),
        qos=parse.qos(QOS),
    )
    return replace(good, **changes)  # type: ignore[arg-type]


def enforcing(what: str) -> dict[str, str]:
    return {"AccountingStorageEnforce": what, "AccountingStorageType": "a/slurmdbd"}


def only(findings: Sequence[Finding], level: str) -> str:
    """Return what findings of a level say, a line each."""
    return "\n".join(f"{f.check}: {f.found} -> {f.todo}" for f in findings if f.level == level)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("SLURM_", "XDG_CONFIG", "SNAKEMAKE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


def asked(train: dict[str, object] | None = None) -> list[SlurmRequest]:
    jobs = planned_jobs(list(events_in(planned(train or TRAIN, GRADE))))
    local = frozenset({"fetch_asset", "all"})
    return requests.from_jobs(jobs, local, requests.own_resources([RULES]))


def request(rule: str, gpus: int = 0, **resources: object) -> SlurmRequest:
    """Return a request with some resources."""
    return SlurmRequest(
        rule, tuple((name, str(value)) for name, value in resources.items()), gpus=gpus
    )


def with_sbatch(place: Path, enforced: str = "none") -> None:
    """Put a stand-in for `sbatch` into a folder."""
    fake = Path(__file__).with_name("fake_sbatch.py")
    place.mkdir(exist_ok=True)
    (place / "sbatch").write_text(f'#!/bin/sh\nexec {sys.executable} {fake} "{enforced}" "$@"\n')
    (place / "sbatch").chmod(0o755)
