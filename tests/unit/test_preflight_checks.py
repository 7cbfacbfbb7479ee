"""Checks of a cluster and of requests, one defect at a time."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from nt_pkg.preflight import cluster, limits, requests, sbatch
from nt_pkg.preflight.facts import Answer, Cluster, Finding, Limits, Nodes, SlurmRequest
from tests.unit.preflight_world import (
    PROFILE,
    asked,
    enforcing,
    facts,
    only,
    profile,
    request,
    with_sbatch,
)
from tests.unit.preflight_world import elsewhere as elsewhere


def test_controller_that_is_silent() -> None:
    found = cluster.controller({"sinfo": Answer(None, "", "no answer within 10 s", 10.0)})

    assert "`sinfo` gave no answer: no answer within 10 s" in only(found, "FAIL")
    assert "busy" in only(cluster.controller({"sinfo": Answer(0, "", "", 5.0)}), "warn")


def test_no_accounting() -> None:
    off = Answer(1, "", "Slurm accounting storage is disabled\n")
    by_squeue = cluster.accounting(facts(), off, profile())
    by_sacct = cluster.accounting(facts(), off, profile("jobs: 1"))

    assert "no GPU or memory accounting" in only(by_squeue, "warn") and not only(by_squeue, "FAIL")
    assert "set profile.yaml slurm-status-command: squeue" in only(by_sacct, "FAIL")
    works = cluster.accounting(facts(), Answer(0, "", ""), profile("jobs: 1"))
    assert "waits forever for cancelled jobs" in only(works, "warn")


def test_squeue_needs_a_controller_that_remembers() -> None:
    config = {"MinJobAge": "120 sec", "AccountingStorageType": "accounting_storage/slurmdbd"}
    found = cluster.accounting(facts(config=config), Answer(0, "", ""), profile())

    assert "120 s: squeue forgets" in only(found, "FAIL") and "MinJobAge=600" in only(found, "FAIL")


def test_accounts() -> None:
    read = profile()
    mine, other = [request("grade", slurm_account="LAB")], [request("grade", slurm_account="other")]
    none = facts(associations=[])

    assert limits.accounts(mine, facts(), read, "")[0].level == "ok"
    wrong = only(limits.accounts(other, facts(), read, ""), "FAIL")
    assert "other is not yours" in wrong and "(yours: lab)" in wrong
    assert "cannot be checked" in only(limits.accounts(mine, none, read, ""), "warn")
    enforced = replace(none, config=enforcing("associations"))
    assert "you have no account" in only(limits.accounts(mine, enforced, read, ""), "FAIL")
    unknown = limits.accounts(mine, facts(associations=None), read, "no slurmdbd")
    assert "slurm_account" in only(unknown, "FAIL") and "delete" in only(unknown, "FAIL")
    assert limits.accounts([request("grade")], facts(), read, "") == []


# Slurm's own answers; the stand-in says what a real Slurm 22.05 said.


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Finding]]:
    """Return a function that asks about a training whose resources were changed."""
    with_sbatch(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    def judged(
        train: SlurmRequest | None = None, there: Cluster | None = None, **changes: object
    ) -> list[Finding]:
        train = train or asked()[0]
        resources = {**dict(train.resources), **{k: str(v) for k, v in changes.items()}}
        kept = tuple((name, value) for name, value in resources.items() if value)
        threads = int(str(changes.get("threads", train.threads)))
        changed = replace(
            train, threads=threads, resources=kept, gpus=int(str(changes.get("gpu") or 4))
        )
        known = there or facts()
        with ThreadPoolExecutor(4) as pool:
            found, refused = sbatch.ask_about([changed], profile(), pool)
            return [*refused, *sbatch.refusals(found, known, profile(), pool)]

    return judged


def test_good_requests_are_accepted(answers: Callable[..., list[Finding]]) -> None:
    assert only(answers(), "ok") == (
        "sbatch --test-only: 1 different requests of 2 jobs are accepted -> "
    )
    assert only(answers(slurm_partition="cpu,gpu"), "FAIL") == ""


@pytest.mark.parametrize(
    ("changes", "says", "edit"),
    [
        ({"gpu": 8}, "accepted without gpu 8;", "lower students.llama.runtime.gpu of the conf"),
        ({"gpu_model": "a100"}, "accepted without gpu_model a100;", "train.gpu_model"),
        ({"gpu_model": "H100"}, "gpu_model H100; partition gpu has 1 idle with 64 CPUs", "gpu_m"),
        ({"slurm_partition": "cpu"}, "accepted without gpu 4; partition cpu has 1 idle", "train"),
        ({"mem_mb": 600_000}, "accepted without mem_mb 600000", "students.llama.runtime.mem_mb"),
        ({"cpus_per_task": 65}, "without cpus_per_task 65", "set-resources.train.cpus_per_task"),
        ({"cpus_per_gpu": 20}, "without cpus_per_task", "set-resources.train.cpus_per_task"),
        (
            {"nodes": 3, "gpu": "", "gres": "gpu:4", "mpi": "srun", "tasks": 3, "tasks_per_gpu": 0},
            "accepted without nodes 3",
            "set-resources.train.nodes",
        ),
        ({"gpu": 8, "mem_mb": 600_000}, "not available; partition gpu has", "resources.train in"),
        ({"constraint": "nvlink&slow"}, "Invalid feature specification", "train.constraint"),
        ({"slurm_extra": "--exlusive"}, "unrecognized option '--exlusive'", "train.slurm_extra"),
        ({"slurm_partition": "gpux"}, "invalid partition specified: gpux", "slurm_partition (here"),
        ({"gres": "gpu::4", "gpu": ""}, "the plugin: Invalid GRES format: gpu::4", "train"),
        ({"mpi": "srun"}, "the plugin: For MPI jobs, please specify either", "resources.train"),
    ],
)
def test_requests_that_never_start(
    answers: Callable[..., list[Finding]], changes: dict[str, object], says: str, edit: str
) -> None:
    found = only(answers(**changes), "FAIL")

    assert says in found and edit in found
    assert found.startswith("sbatch --test-only: train (2 jobs of llama, qwen): ")


def test_nodes_that_are_down_now_only_delay(answers: Callable[..., list[Finding]]) -> None:
    two = {"nodes": 2, "gpu": "", "gres": "gpu:h100:4", "mpi": "srun", "tasks": 2}
    found = answers(**two, tasks_per_gpu=0)

    assert only(found, "FAIL") == "" and "1 drained with 64 CPUs" in only(found, "warn")
    large = Nodes("gpu", 1, "down*", ("64", "999000", "gpu:h100:8(S:0-1)", "nvlink"))
    there = replace(facts(), nodes=[*(facts().nodes or ()), large])
    assert "jobs wait until they come back" in only(answers(there=there, gpu=8), "warn")
    assert "jobs wait until they come back" in only(answers(there=there, mem_mb=600_000), "warn")
    # One that would not do either changes nothing.
    assert "lower" in only(answers(there=there, gpu=16), "FAIL")
    assert "lower" in only(answers(there=there, mem_mb=1_200_000), "FAIL")
    assert "lower" in only(answers(there=there, threads=80), "FAIL")
    all_away = replace(there, nodes=[replace(each, state="drained") for each in there.nodes or ()])
    assert "come back" in only(answers(there=all_away, gpu=16), "warn")


def test_an_answer_that_passes_is_a_warning(
    answers: Callable[..., list[Finding]], tmp_path: Path
) -> None:
    (tmp_path / "bin" / "sbatch").write_text("#!/bin/sh\necho Slurm is busy >&2; exit 1\n")

    assert "Slurm is busy -> try it by hand: sbatch" in only(answers(), "warn")


def test_retries_of_rules_that_grow() -> None:
    growing = replace(asked()[0], own={"mem_mb": "memory(lambda wc: runtime(wc).mem_mb)"})
    capped = profile(PROFILE.replace("runtime: 60", "runtime: 60\n  most_mem_mb: 150000"))

    [later] = requests.last_attempts([growing], profile())
    assert (later.get("mem_mb"), later.attempt) == ("200000", 2)
    assert requests.last_attempts([growing], capped)[0].get("mem_mb") == "150000"
    assert requests.last_attempts(asked(), profile()) == []
    in_profile = PROFILE.replace("nodes: 1}", "nodes: 1, mem_mb: 100000 * attempt}")
    assert requests.last_attempts(asked(), profile(in_profile))[0].get("mem_mb") == "200000"


def test_retries_that_ask_for_too_much_are_a_warning(
    answers: Callable[..., list[Finding]],
) -> None:
    again = replace(asked()[0], attempt=2)

    assert "attempt 2): Requested node" in only(answers(again, mem_mb=600_000), "warn")


# What Slurm does not say.


def waiting(there: Cluster | None = None, gpus: int = 4, **changes: object) -> str:
    """Return what is said of a training whose resources were changed."""
    train = asked()[0]
    resources = {**dict(train.resources), **{name: str(value) for name, value in changes.items()}}
    changed = replace(train, resources=tuple(resources.items()), gpus=gpus)
    return only(limits.never_starting([changed], [], there or facts(), profile()), "FAIL")


@pytest.mark.parametrize(
    ("changes", "row", "says"),
    [
        ({"slurm_partition": "off"}, {}, "partition off is DOWN"),
        ({"slurm_partition": "short"}, {}, "1440 min is above MaxTime 30 min of partition short"),
        ({"slurm_partition": "closed"}, {}, "closed accepts only accounts physics, not lab"),
        ({}, {"DenyAccounts": "Lab,x"}, "gpu does not accept lab"),
        ({"qos": "normal"}, {"AllowQos": "long"}, "gpu accepts only qos long, not normal"),
        ({"qos": "normal"}, {"DenyQos": "normal"}, "gpu does not accept normal"),
        ({}, {"MaxMemPerNode": "4000"}, "mem_mb 100000 is above MaxMemPerNode 4000 of gpu"),
    ],
)
def test_jobs_that_would_wait_for_ever(
    changes: dict[str, object], row: dict[str, str], says: str
) -> None:
    there = facts()
    known = {**(there.partitions or {})}
    there = replace(there, partitions={**known, "gpu": {**known["gpu"], **row}})

    assert says in waiting(there, **changes)
    # One partition of several is enough.
    partition = changes.get("slurm_partition")
    assert (
        not partition or waiting(there, **{**changes, "slurm_partition": f"{partition},gpu"}) == ""
    )
    strict = replace(there, config={"EnforcePartLimits": "ANY"})
    assert "DOWN" in says or waiting(strict, **changes) == ""  # Slurm says it then


def test_limits_of_qos_and_account() -> None:
    there = replace(
        facts(),
        config=enforcing("limits"),
        partitions={"gpu": {"State": "UP", "QoS": "gpu-limits"}},
        qos={"normal": Limits(720), "gpu-limits": Limits(tres={"gres/gpu": 2, "cpu": 4})},
    )

    assert "above MaxWall 720 min of QOS normal" in waiting(there)
    assert "4 gres/gpu are above the 2 that the partition's QOS gpu-limits" in waiting(there)
    assert "MaxWall" not in waiting(replace(there, config={}))
    train = asked()[0]
    answer = Answer(
        0, "", "sbatch: Job 1 to start at 1 using 8 processors on nodes g1 in partition"
    )
    found = limits.never_starting([train], [sbatch.Asked((train,), (), answer)], there, profile())
    assert "8 cpu are above the 4" in only(found, "FAIL")


def test_jobs_in_the_queue() -> None:
    there = replace(facts(), config=enforcing("limits"), qos={"normal": Limits(max_submit=50)})
    found = only(limits.queue(asked(), there, profile()), "warn")

    assert "up to 100 jobs in the queue, but QOS normal allows 50" in found
    assert "profile.yaml:8 jobs" in found
