"""Checks of a cluster and of requests, one defect at a time."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from nt_pkg.preflight import cluster, fit, limits, names, parse, requests
from nt_pkg.preflight.facts import Answer, Cluster, Limits, Partition, Request
from tests.unit.preflight_world import CONFIG, PROFILE, asked, enforcing, facts, only, profile
from tests.unit.preflight_world import elsewhere as elsewhere


def test_controller_that_is_silent() -> None:
    found = cluster.controller({"sinfo": Answer(None, "", "no answer within 10 s", 10.0)})

    assert "`sinfo` gave no answer: no answer within 10 s" in only(found, "FAIL")
    assert "busy" in only(cluster.controller({"sinfo": Answer(0, "", "", 5.0)}), "warn")


def test_clock() -> None:
    now = datetime(2026, 1, 1)

    assert only(cluster.clock(now, now + timedelta(seconds=90)), "warn").startswith("clock: 90 s")
    assert cluster.clock(now, now)[0].level == "ok"
    assert parse.controller_time(CONFIG.format(now="2026-01-01T00:00:00", enforce="", age=1)) == now


def test_no_accounting() -> None:
    off = Answer(1, "", "Slurm accounting storage is disabled\n")
    by_squeue = cluster.accounting(facts(), off, profile())
    by_sacct = cluster.accounting(facts(), off, profile("jobs: 1"))

    assert "no GPU or memory accounting" in only(by_squeue, "warn") and not only(by_squeue, "FAIL")
    assert "set profile.yaml slurm-status-command: squeue" in only(by_sacct, "FAIL")
    works = cluster.accounting(facts(), Answer(0, "", ""), profile("jobs: 1"))
    assert "cancelled jobs are then waited for" in only(works, "warn")


def test_squeue_needs_a_controller_that_remembers() -> None:
    config = {"MinJobAge": "120 sec", "AccountingStorageType": "accounting_storage/slurmdbd"}
    found = cluster.accounting(facts(config=config), Answer(0, "", ""), profile())

    assert "120 s: squeue forgets" in only(found, "FAIL") and "MinJobAge=600" in only(found, "FAIL")


def test_accounts() -> None:
    read = profile()
    mine, other = [Request("grade", account="LAB")], [Request("grade", account="other")]
    none = facts(associations=[])

    assert names.accounts(mine, facts(), read, "")[0].level == "ok"
    wrong = only(names.accounts(other, facts(), read, ""), "FAIL")
    assert "other is not yours" in wrong and "(yours: lab)" in wrong
    assert "cannot be checked" in only(names.accounts(mine, none, read, ""), "warn")
    enforced = replace(none, config=enforcing("associations"))
    assert "you have no account" in only(names.accounts(mine, enforced, read, ""), "FAIL")
    unknown = names.accounts(mine, facts(associations=None), read, "no slurmdbd")
    assert "slurm_account" in only(unknown, "FAIL") and "delete" in only(unknown, "FAIL")
    assert names.accounts([Request("grade")], facts(), read, "") == []


def test_no_partition_and_no_default() -> None:
    partitions = {"gpu": Partition("gpu")}
    found = names.names([Request("grade")], facts(partitions=partitions), profile("jobs: 1"))

    assert "set-resources.grade.slurm_partition (to be added) (here: gpu)" in only(found, "FAIL")


def test_access_to_a_partition() -> None:
    def refused(one: Partition, **request: str) -> str:
        there = facts(partitions={"p": one}, groups=frozenset({"staff"}))
        asking = [Request("grade", partition="p", **request)]  # type: ignore[arg-type]
        return only(names.names(asking, there, profile()), "FAIL")

    assert "accounts physics, not lab" in refused(
        Partition("p", allow_accounts=("physics",)), account="lab"
    )
    assert "no jobs of the account lab" in refused(
        Partition("p", deny_accounts=("lab",)), account="lab"
    )
    assert "QOS long, not normal" in refused(Partition("p", allow_qos=("long",)), qos="normal")
    assert "groups wheel" in refused(Partition("p", allow_groups=("wheel",)))
    assert refused(Partition("p", allow_groups=("staff",))) == ""


def test_qos() -> None:
    asking = [Request("train", account="lab", qos="night")]
    strict = facts(config=enforcing("qos"))

    assert "night does not exist" in only(names.names(asking, strict, profile()), "FAIL")
    assert "night does not exist" in only(names.names(asking, facts(), profile()), "warn")
    closed = replace(strict, qos={"night": Limits()})
    found = only(names.names(asking, closed, profile()), "FAIL")
    assert "not open to your account (train)" in found and "set-resources.train.qos" in found


@pytest.mark.parametrize(
    ("constraint", "names_of"),
    [("a&b", ["a", "b"]), ("[rack1*2&rack2]|c", ["rack1", "rack2", "c"]), ("gen-3", ["gen-3"])],
)
def test_features_that_a_constraint_names(constraint: str, names_of: list[str]) -> None:
    assert names.feature_names(constraint) == names_of


def misfit(level: str = "FAIL", there: Cluster | None = None, **changes: object) -> str:
    """Return what is said of a training whose request was changed."""
    request = replace(asked()[0], **changes)  # type: ignore[arg-type]
    return only(fit.fit([request], there or facts(), profile()), level)


def test_good_requests_fit() -> None:
    found = fit.fit(asked(), facts(), profile())

    assert only(found, "FAIL") == only(found, "warn") == ""
    assert "3 jobs of 2 rules can start" in only(found, "ok")


@pytest.mark.parametrize(
    ("changes", "says", "edit"),
    [
        ({"gpus": 8}, "8 GPUs per node are asked for", "set-resources.train.nodes"),
        ({"gpus": 8}, "have at most 4", "students.llama.runtime.gpu of the configuration"),
        ({"gpu_model": "a100"}, "GPU model a100 is not in partition gpu (has: h100)", "gpu_model"),
        (
            {"gpu_model": "H100"},
            "upper and lower case count: h100",
            "set-resources.train.gpu_model",
        ),
        ({"partition": "cpu"}, "partition cpu has none", "set-resources.train.slurm_partition"),
        ({"mem_mb": 600_000}, "600000 MB per node", "students.llama.runtime.mem_mb"),
        ({"cpus_per_task": 65}, "65 CPUs per node", "set-resources.train.cpus_per_task"),
        ({"cpus_per_gpu": 20}, "80 CPUs per node", "set-resources.train.cpus_per_gpu"),
        ({"nodes": 3, "gpus": 12}, "3 nodes are needed, partition gpu has 2", "train.nodes"),
        ({"constraint": "nvlink&slow"}, "no node has all features", "train.constraint"),
        (
            {"partition": "short", "gpus": 0},
            "runtime 1440 min is above MaxTime 30 min of partition short: the job would wait",
            "set-resources.train.runtime",
        ),
    ],
)
def test_requests_that_never_start(changes: dict[str, object], says: str, edit: str) -> None:
    found = misfit(**changes)

    assert says in found and edit in found
    assert found.startswith("resources: train (2 jobs of llama, qwen): ")


def test_nodes_that_are_down_now_only_delay() -> None:
    assert misfit(nodes=2, gpus=8, is_mpi=True, tasks=2, tasks_per_gpu=0) == ""
    assert "only 1 are up (drained)" in misfit("warn", nodes=2, gpus=8, is_mpi=True)


def test_retries_of_rules_that_scale() -> None:
    request = replace(
        asked()[0], own={"mem_mb": "lambda wc, attempt: attempt * runtime(wc).mem_mb"}
    )

    assert [each.mem_mb for each in requests.last_attempts([request], profile())] == [200_000]
    assert requests.last_attempts(asked(), profile()) == []


def test_shapes_that_surprise() -> None:
    assert "Slurm may spread them" in misfit("warn", nodes=None)
    assert "tasks_per_gpu" in misfit("warn", tasks=2)
    assert "2 nodes without `mpi`" in misfit("warn", nodes=2, gpus=2)


def test_one_of_several_partitions_is_enough() -> None:
    assert misfit(partition="cpu,gpu") == ""


def test_limits_of_partition_qos_and_account() -> None:
    enforced = replace(facts(), config=enforcing("limits"))
    partition = Partition("gpu", max_nodes=1, qos="gpu-limits")
    there = replace(
        enforced,
        partitions={"gpu": partition},
        qos={"normal": Limits(720), "gpu-limits": Limits(tres={"gres/gpu": 2})},
    )

    assert "2 nodes are above the 1" in misfit(there=there, nodes=2, is_mpi=True)
    assert "above MaxWall 720 min of QOS normal" in misfit(there=there)
    assert "4 gres/gpu are above the 2 that the partition's QOS gpu-limits" in misfit(there=there)
    assert "MaxWall" not in misfit(there=replace(there, config={}))


def test_jobs_in_the_queue() -> None:
    there = replace(facts(), config=enforcing("limits"), qos={"normal": Limits(max_submit=50)})
    found = only(limits.queue(asked(), there, profile()), "warn")

    assert "up to 100 jobs in the queue, QOS normal takes 50" in found
    assert "profile.yaml:8 jobs" in found


def test_retries_that_ask_for_too_much_are_a_warning() -> None:
    read = profile(PROFILE.replace("nodes: 1}", "nodes: 1, mem_mb: 300000 * attempt}"))
    request = replace(asked()[0], mem_mb=300_000)
    again = requests.last_attempts([request], read)
    found = fit.fit([request, *again], facts(), read)

    assert only(found, "FAIL") == ""
    assert "attempt 2): 600000 MB per node" in only(found, "warn")
