"""What jobs ask of Slurm and what they make of its answers; the answers were recorded."""

import os
import threading
from pathlib import Path

import pytest

from nt_pkg.config.engines import EngineRuntime
from nt_pkg.config.load import read_study
from nt_pkg.config.students import Runtime
from nt_pkg.plan.validate import load_study
from nt_pkg.slurm import jobs as slurm

# Of Slurm 22.05, with another user, times and paths.
SHOWN = """JobId=42 JobName=nt_50adb347-ea7a-483b-86ec-5136b8cf2aeb
   UserId=ann(1001) GroupId=ann(1001) MCS_label=N/A
   Priority=4294901744 Nice=0 Account=lab QOS=normal
   JobState=RUNNING Reason=None Dependency=(null)
   Requeue=1 Restarts=2 BatchFlag=1 Reboot=0 ExitCode=0:0
   RunTime=22:55:30 TimeLimit=1-00:00:00 TimeMin=N/A
   SubmitTime=2026-11-25T13:19:03 EligibleTime=2026-11-25T13:19:03
   AccrueTime=2026-11-25T13:19:03
   StartTime=2026-11-25T13:19:03 EndTime=2026-11-26T13:19:03 Deadline=N/A
   PreemptEligibleTime=2026-11-25T13:19:03 PreemptTime=None
   SuspendTime=None SecsPreSuspend=0 LastSchedEval=2026-11-25T13:19:03 Scheduler=Main
   Partition=cpu AllocNode:Sid=localhost:3891
   ReqNodeList=(null) ExcNodeList=(null)
   NodeList=n1
   BatchHost=n1
   NumNodes=1 NumCPUs=2 NumTasks=1 CPUs/Task=2 ReqB:S:C:T=0:0:*:*
   TRES=cpu=2,mem=3000M,node=1,billing=2,gres/gpu=2
   Socks/Node=* NtasksPerN:B:S:C=0:0:*:* CoreSpec=*
   MinCPUsNode=2 MinMemoryNode=3000M MinTmpDiskNode=0
   Features=(null) DelayBoot=00:00:00
   OverSubscribe=OK Contiguous=0 Licenses=(null) Network=(null)
   Command=/dev/stdin
   WorkDir=/work
   Comment=rule_train_wildcards_llama JobState=DONE
   StdErr=/shared/logs/slurm/rule_train/42.log
   StdIn=/dev/null
   StdOut=/shared/logs/slurm/rule_train/42.log
   Power=
   TresPerJob=gres:gpu:2
"""


def shown(**changes: str) -> slurm.JobFacts:
    """Return the facts of the recorded job with some fields changed."""
    text = SHOWN
    for key, value in changes.items():
        before = text.partition(f" {key}=")[2].split()[0]
        text = text.replace(f" {key}={before}", f" {key}={value}", 1)
    return slurm.job_facts(text)


def test_facts_of_a_job() -> None:
    assert shown() == slurm.JobFacts("RUNNING", True, True, 2, 86_400, 3870)
    assert shown(TimeLimit="UNLIMITED").left_seconds is None
    with pytest.raises(ValueError, match="not the output of scontrol"):
        slurm.job_facts("slurm_load_jobs error: Invalid job id specified")


@pytest.mark.parametrize(
    ("facts", "num_new", "reason"),
    [
        (shown(), 1, ""),
        (shown(), 0, "made no progress"),
        (shown(JobState="COMPLETING"), 9, "Slurm is ending the job, its state is COMPLETING"),
        (shown(JobState="CANCELLED"), 9, "its state is CANCELLED"),
        (shown(JobState="PREEMPTED"), 9, "its state is PREEMPTED"),
        (shown(Requeue="0"), 9, "without --requeue"),
        (shown(BatchFlag="0"), 9, "not submitted with sbatch"),
    ],
)
def test_job_that_was_only_warned_starts_again(
    facts: slurm.JobFacts, num_new: int, reason: str
) -> None:
    found = slurm.why_not_requeued(facts, num_new)

    assert reason in found
    assert bool(found) == bool(reason)


@pytest.fixture
def scontrol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a job; what it says to Slurm is noted in the returned file."""
    calls, script = tmp_path / "calls", tmp_path / "bin" / "scontrol"
    script.parent.mkdir()
    (tmp_path / "shown").write_text(SHOWN)
    script.write_text(
        f'#!/bin/sh\necho "$@" >> {calls}\n[ "$1" = requeue ] || cat {tmp_path}/shown\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "42")
    return calls


def test_slurm_is_asked_to_start_the_job_again(scontrol: Path) -> None:
    assert slurm.requeue(num_new=3)
    assert scontrol.read_text() == "show job 42\nrequeue 42\n"

    assert not slurm.requeue(num_new=0)
    assert scontrol.read_text().count("requeue") == 1


def test_without_slurm_nothing_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert not slurm.requeue(num_new=3)

    monkeypatch.setenv("SLURM_JOB_ID", "42")
    monkeypatch.setenv("PATH", str(tmp_path))  # no scontrol
    assert not slurm.requeue(num_new=3)


def test_end_of_the_time_is_told_once_and_in_time(scontrol: Path) -> None:
    told: list[str] = []
    over = threading.Event()

    slurm.warn_before_end(4000, lambda: told.append("soon"), over)  # at most a tenth: 8640

    assert told == ["soon"]

    watch = threading.Thread(
        target=slurm.warn_before_end, args=(300, lambda: told.append("wrong"), over)
    )
    watch.start()
    over.set()
    watch.join(10)
    assert not watch.is_alive()
    assert told == ["soon"]


def test_short_job_is_not_warned_at_its_start() -> None:
    assert slurm.lead_seconds(shown(), 300) == 300
    assert slurm.lead_seconds(shown(TimeLimit="00:05:00"), 300) == 30


@pytest.mark.parametrize(
    ("machines", "gpu_type", "expected"),
    [
        (Runtime(), None, {"nodes": 1}),
        (Runtime(num_ranks=8, gpu=8), None, {"nodes": 1, "gpu": 8}),
        (
            Runtime(num_ranks=8, gpu=8),
            "h100",
            {"nodes": 1, "gpu": 8, "gpu_model": "h100"},
        ),
        (
            Runtime(nodes=2, num_ranks=4),
            None,
            {"nodes": 2, "mpi": "srun", "tasks_per_node": 2},
        ),
        (Runtime(nodes=2, num_ranks=2), None, {"nodes": 2, "mpi": "srun", "tasks": 2}),
        (
            Runtime(nodes=2, num_ranks=2, gpu=2),
            None,
            {"nodes": 2, "mpi": "srun", "tasks": 2, "gres": "gpu:1", "tasks_per_gpu": 0},
        ),
        (
            EngineRuntime(nodes=2, gpu=16),
            "h100",
            {"nodes": 2, "mpi": "srun", "tasks": 2, "gres": "gpu:h100:8", "tasks_per_gpu": 0},
        ),
    ],
)
def test_placement(
    machines: slurm.Machines, gpu_type: str | None, expected: dict[str, object]
) -> None:
    site = {"gpu_type": gpu_type} if gpu_type else {}
    assert slurm.placement(machines, site) == expected

    resources = slurm.spread(lambda _: machines, site)
    assert set(resources) == set(slurm.PLACEMENT)
    given = {key: value(None) for key, value in resources.items()}
    assert {key: value for key, value in given.items() if value is not None} == expected


def test_jobs_with_gpus_go_where_the_profile_says() -> None:
    site = {
        "slurm_partition": "cpu",
        "gpu_partition": "gpu",
        "gpu_constraint": "nvlink",
        "qos": "normal",
    }
    on_cpus, on_gpus = Runtime(), Runtime(gpu=1)

    assert slurm.placement(on_cpus, site) == {
        "nodes": 1,
        "slurm_partition": "cpu",
        "qos": "normal",
    }
    assert slurm.placement(on_gpus, site) == {
        "nodes": 1,
        "gpu": 1,
        "slurm_partition": "gpu",
        "constraint": "nvlink",
        "qos": "normal",
    }


def test_retries_get_more_up_to_what_there_is() -> None:
    fixed, by_wildcards = slurm.growing(100, None), slurm.growing(lambda wc: wc["n"], "250")

    assert [fixed({}, attempt) for attempt in (1, 2, 3)] == [100, 200, 300]
    assert [by_wildcards({"n": 100}, attempt) for attempt in (1, 2, 3)] == [100, 200, 250]


class FakeJob:
    """What the plugin's functions look at."""

    def __init__(self, resources: dict[str, object], threads: int) -> None:
        self.resources = type("R", (dict,), {"__getattr__": dict.__getitem__})(resources)
        self.threads = threads


@pytest.mark.parametrize(
    ("runtime", "expected"),
    [
        (
            Runtime(nodes=2, num_ranks=4, gpu=4, threads_per_rank=3),
            ["--nodes=2", "--ntasks-per-node=2", "--cpus-per-task=3", "--gres=gpu:2"],
        ),
        (
            Runtime(nodes=2, num_ranks=2, gpu=2),
            ["--nodes=2", "--ntasks=2", "--cpus-per-task=1", "--gres=gpu:1"],
        ),
        (
            Runtime(nodes=2, num_ranks=4),
            ["--nodes=2", "--ntasks-per-node=2", "--cpus-per-task=1"],
        ),
        (
            Runtime(num_ranks=4, gpu=4, threads_per_rank=3),
            ["--nodes=1", "--cpus-per-task=12", "--gpus=4"],
        ),
    ],
)
def test_what_the_plugin_makes_of_it(runtime: Runtime, expected: list[str]) -> None:
    """The plugin's own functions write the command line that submits a training."""
    line = _submit(slurm.placement(runtime, {}), runtime.job_threads)

    options = [each for each in line if each.startswith(("--nodes", "--nt", "--cpu", "--g"))]
    assert options == expected


def _submit(resources: dict[str, int | str], threads: int) -> list[str]:
    from snakemake_executor_plugin_slurm.submit_string import get_submit_command
    from snakemake_executor_plugin_slurm.utils import set_gres_string

    job = FakeJob(dict(resources), threads)
    params = dict.fromkeys(("run_uuid", "slurm_logfile", "comment_str"), "x")
    params |= dict.fromkeys(("account", "partition", "workdir"), "")
    line: str = get_submit_command(job, params) + set_gres_string(job)
    return line.split()


def test_what_the_jobs_of_the_paper_ask_for() -> None:
    """The students of config/paper_models.yaml, as sbatch is asked; the golden text says it all."""
    root = Path(__file__).parents[2]
    study = load_study(read_study([root / "tests/study.yaml", root / "config/paper_models.yaml"]))
    site = {"slurm_partition": "cpu", "gpu_partition": "gpu", "gpu_type": "h100"}
    lines = []
    for name in ("llama-3.1-8b", "qwen-2.5-7b", "llama-3.3-70b"):
        runtime = study.students[name].runtime
        for rule, machines, threads in (
            ("train", runtime, runtime.job_threads),
            ("sample_answers", runtime.generation, runtime.generation.threads),
        ):
            resources = {
                **slurm.placement(machines, site),
                "mem_mb": machines.mem_mb,
                "runtime": machines.minutes,
            }
            asked = [each for each in _submit(resources, threads) if each not in ("sbatch", "x")]
            lines.append(f"{name} {rule}: {' '.join(asked)}")
    text = "\n".join(lines) + "\n"

    golden = root / "tests/golden/sbatch.txt"
    if os.environ.get("NT_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()
