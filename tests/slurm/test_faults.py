"""What goes wrong on a cluster, done to a real one: what a user sees, what is lost, what it costs.

Every test ends with the results of an undisturbed training, digest by digest.
"""

import subprocess
import time

from tests.slurm import cluster
from tests.slurm.conftest import Note
from tests.slurm.site import (
    FAULTS,
    INTERVAL,
    LOG,
    RUN,
    Clone,
    Job,
    Start,
    accounted,
    frozen,
    overlaps,
    resumed_at,
    wait_for_checkpoint,
    wait_for_job,
    wait_until_stopped,
)
from tests.workflow.sandbox import plan

TRAINING = (RUN, "--configfile", FAULTS)
Digests = dict[str, str]


def _states(jobs: list[Job]) -> str:
    return ", then ".join(job.state for job in jobs)


def _until_resumed(clone: Clone, since: float) -> float:
    """Return the seconds from a moment until the training has gone on."""
    log = clone.folder / LOG

    def is_on() -> bool:
        return log.exists() and log.stat().st_mtime > since and resumed_at(clone) > 0

    cluster.wait_until("the training to go on", 180, is_on)
    return time.time() - since


def test_undisturbed(clone: Clone, undisturbed: Digests) -> None:
    """On Slurm the training gives what it gives without; its job asked for two GPUs."""
    since = time.time()
    with Start(clone, TRAINING) as start:
        start.finish()
    (job,) = accounted(since)
    assert (job.state, job.rule, job.gpus) == ("COMPLETED", "train", 2)
    assert clone.digests() == undisturbed


def test_time_limit(clone: Clone, undisturbed: Digests, note: Note) -> None:
    """A minute is not enough: a checkpoint before its end, and Slurm starts the job again."""
    since = time.time()
    limit = ("--set-resources", "train:runtime=1")
    with Start(clone, (*TRAINING, *limit)) as start:
        job = wait_for_job("train")
        wait_for_checkpoint(clone)
        with frozen(job):  # the test's training is too short to be over its time by itself
            cluster.wait_until("a time near the limit", 90, lambda: _seconds_left(job) < 14)
        before = wait_until_stopped(clone)
        seconds = _until_resumed(clone, time.time())
        assert resumed_at(clone) == before
        start.finish()
        assert "Trying to restart job" not in start.text()  # Snakemake did not notice
    jobs = accounted(since)
    assert len({job.id for job in jobs}) == 1
    assert len(jobs) > 1
    assert clone.digests() == undisturbed
    note("over its time limit", _states(jobs), "nothing", "not needed", seconds)


def test_scancel(clone: Clone, undisturbed: Digests, note: Note) -> None:
    """The job writes a checkpoint and ends; it is not requeued; Snakemake starts it once more."""
    since = time.time()
    with Start(clone, TRAINING) as start:
        job = wait_for_job("train")
        wait_for_checkpoint(clone)
        hit = time.time()
        cluster.ask("scancel", job)
        before = wait_until_stopped(clone)
        seconds = _until_resumed(clone, hit)
        assert resumed_at(clone) == before
        start.finish()
        assert "CANCELLED" in start.text()
    jobs = accounted(since)
    assert [job.state for job in jobs] == ["CANCELLED", "COMPLETED"]
    assert not overlaps(jobs)
    assert clone.digests() == undisturbed
    note("scancel", _states(jobs), "nothing", "not needed (retries: 1)", seconds)


def test_preemption(clone: Clone, undisturbed: Digests, note: Note) -> None:
    """Slurm takes the nodes away, and gives them back to the same job."""
    since = time.time()
    with Start(clone, TRAINING) as start:
        job = wait_for_job("train")
        wait_for_checkpoint(clone)
        hit = time.time()
        urgent = subprocess.Popen(
            ["srun", "-p", cluster.URGENT, "-N", str(cluster.NODES), "--exclusive", "sleep", "5"],
            env=cluster.environment(),
        )
        before = wait_until_stopped(clone)
        seconds = _until_resumed(clone, hit)
        assert resumed_at(clone) == before
        assert urgent.wait(60) == 0
        start.finish()
        assert "Trying to restart job" not in start.text()
    jobs = accounted(since)
    assert {job.id for job in jobs} == {job}
    assert clone.digests() == undisturbed
    note("preemption", _states(jobs), "nothing", "not needed", seconds)


def test_out_of_memory(clone: Clone, undisturbed: Digests, note: Note) -> None:
    """Slurm kills the job; the retry asks for twice the memory and time."""
    since = time.time()
    (clone.folder / "small.yaml").write_text("students: {faults-llama: {runtime: {mem_mb: 900}}}\n")
    with Start(clone, (*TRAINING, "small.yaml")) as start:
        cluster.wait_until(
            "the job to fail", 120, lambda: any(j.state == "FAILED" for j in accounted(since))
        )
        hit = time.time()
        wait_for_job("train", 60)
        seconds = time.time() - hit
        start.finish()
        assert "exceeded memory limit" in start.text()  # show-failed-logs
    first, second = accounted(since)
    assert (first.state, second.state) == ("FAILED", "COMPLETED")
    assert (first.memory, second.memory) == ("900M", "1800M")
    assert second.minutes == 2 * first.minutes
    assert clone.digests() == undisturbed
    lost = f"up to {INTERVAL} steps"
    note("out of memory", _states([first, second]), lost, "not needed (retries: 1)", seconds)


def test_node_dies(clone: Clone, undisturbed: Digests, note: Note) -> None:
    """The node's daemon and everything of the job on it is gone at once."""
    since = time.time()
    with Start(clone, TRAINING) as start:
        job = wait_for_job("train")
        before = wait_for_checkpoint(clone)
        node = cluster.ask("squeue", "-h", "-j", job, "-o", "%N").strip()
        hit = time.time()
        cluster.kill_node(node)
        try:
            seconds = _until_resumed(clone, hit)
            at = resumed_at(clone)
        finally:
            cluster.start(f"slurmd.{node}")
        start.finish()
        assert "Trying to restart job" not in start.text()
    jobs = accounted(since)
    assert {each.id for each in jobs} == {job}
    assert at >= before
    assert clone.digests() == undisturbed
    lost = f"up to {INTERVAL} steps"
    note("node and its slurmd die", _states(jobs), lost, "not needed", seconds)


def test_controller_restarts(clone: Clone, undisturbed: Digests, note: Note) -> None:
    """The job runs on, and Snakemake asks again."""
    since = time.time()
    with Start(clone, TRAINING) as start:
        wait_for_job("train")
        wait_for_checkpoint(clone)
        hit = time.time()
        cluster.stop("slurmctld")
        time.sleep(20)
        cluster.start("slurmctld")
        cluster.wait_until("the controller", 60, lambda: "UP" in cluster.ask("scontrol", "ping"))
        seconds = time.time() - hit
        start.finish()
    jobs = accounted(since)
    assert [job.state for job in jobs] == ["COMPLETED"]
    assert clone.digests() == undisturbed
    note("slurmctld away for 20 s", _states(jobs), "nothing", "not needed", seconds)


def test_accounting_fails(clone: Clone, undisturbed: Digests, note: Note) -> None:
    """Without slurmdbd sacct fails; squeue tells Snakemake what it needs."""
    since = time.time()
    with Start(clone, TRAINING) as start:
        wait_for_job("train")
        wait_for_checkpoint(clone)
        cluster.stop("slurmdbd")
        try:
            failed = subprocess.run(["sacct"], env=cluster.environment(), capture_output=True)
            assert failed.returncode != 0
            start.finish()
        finally:
            cluster.start("slurmdbd")
    cluster.wait_until("accounting", 60, lambda: accounted(since)[0].state == "COMPLETED")
    assert clone.digests() == undisturbed
    note("sacct fails until the end", "COMPLETED", "nothing", "not needed", 0)


def test_snakemake_killed(clone: Clone, undisturbed: Digests, note: Note) -> None:
    """The next start ends the running job, which writes a checkpoint, before it submits its own."""
    since = time.time()
    with Start(clone, TRAINING) as start:
        wait_for_job("train")
        wait_for_checkpoint(clone)
        start.kill()
    hit = time.time()
    with Start(clone, TRAINING) as start:
        before = wait_until_stopped(clone)
        seconds = _until_resumed(clone, hit)
        at = resumed_at(clone)
        start.finish()
        assert "ending 1 Slurm jobs of an earlier start" in start.text()
    jobs = accounted(since)
    assert [job.state for job in jobs] == ["CANCELLED", "COMPLETED"]
    assert not overlaps(jobs)
    assert at == before
    assert clone.digests() == undisturbed
    note("kill -9 of Snakemake", _states(jobs), "nothing", "continues", seconds)


def test_job_ends_while_nobody_looks(clone: Clone, undisturbed: Digests, note: Note) -> None:
    """Snakemake would train again; the job finds that it was finished before."""
    with Start(clone, TRAINING) as start:
        job = wait_for_job("train")
        start.kill()
    cluster.wait_until("the job to end", 180, lambda: _state(job) == "COMPLETED")
    for _ in range(2):  # a dry run changes nothing
        planned = plan(clone.folder, ("--profile", "slurm", *TRAINING))
        assert [job.rule for job in planned] == ["train"]
    since = time.time()
    with Start(clone, TRAINING) as start:
        seconds = start.finish()
    assert "was finished before; it is put back" in (clone.folder / LOG).read_text()
    (job_now,) = accounted(since)
    assert clone.digests() == undisturbed
    assert not list(clone.folder.rglob("*.finished"))
    assert start.text().count("Finished jobid") == 1
    ran = job_now.end - job_now.begin
    seen = f"COMPLETED, then a job of {ran} s"
    note("kill -9 of Snakemake, job ends alone", seen, "nothing", "takes what is there", seconds)


def _seconds_left(job: str) -> int:
    left = cluster.ask("squeue", "-h", "-j", job, "-o", "%L").strip()
    minutes, seconds = left.split(":")
    return 60 * int(minutes) + int(seconds)


def _state(job: str) -> str:
    return cluster.ask("squeue", "-h", "-t", "all", "-j", job, "-o", "%T").strip()
