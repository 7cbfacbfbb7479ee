"""A user's clone of the project on the test cluster, and one start of its workflow."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from nt_pkg.files.json_files import read_json
from tests.slurm import cluster
from tests.workflow.kill_check import digests
from tests.workflow.sandbox import command, copy_repository, environment, run

FAULTS = "tests/slurm/faults.yaml"
RUN = "results/sft/faults-llama/faults-random/system2/seed0/run.json"
LOG = "logs/train/faults-llama/faults-random/system2/seed0.log"
INTERVAL = 20  # optimiser steps between two checkpoints of that study


@dataclass
class Clone:
    """A copy of the repository in which the site's facts were filled in."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> "Clone":
        """Copy the repository and edit the profile as its comments say."""
        copy_repository(folder)
        profile = folder / "profiles/slurm/profile.yaml"
        text = profile.read_text()
        facts = {
            "slurm_account": cluster.ACCOUNT,
            "slurm_partition": cluster.PARTITION,
            "gpu_partition": cluster.GPU_PARTITION,
        }
        for name, value in facts.items():
            text, count = re.subn(rf"(?m)^(  {name}): CHANGE_ME", rf"\1: {value}", text)
            assert count == 1, name
        text = text.replace("  # gpu_type: h100", f"  gpu_type: {cluster.GPU}")
        text = re.sub(r"(?m)^jobs: \d+", "jobs: 8", text)  # the machine has few cores
        profile.write_text(text)
        return cls(folder)

    @classmethod
    def copy(cls, other: "Clone", folder: Path) -> "Clone":
        """Copy a clone with all that was made in it."""
        shutil.copytree(other.folder, folder, symlinks=True, dirs_exist_ok=True)
        return cls(folder)

    def local(self, *arguments: str) -> str:
        """Run the study on this machine, without Slurm, and return what it printed."""
        return run(self.folder, command("scripts.study", *arguments))

    def digests(self) -> dict[str, str]:
        """Return relative path -> digest of every result that does not measure time."""
        return digests(self.folder / "results")


@dataclass
class Start:
    """One start of `snakemake --profile slurm`."""

    clone: Clone
    arguments: tuple[str, ...]
    more: dict[str, str] = field(default_factory=dict)  # environment

    def __enter__(self) -> "Start":
        self.output = self.clone.folder / f"start-{time.time_ns()}.out"
        self.begun = time.monotonic()
        with self.output.open("w") as file:
            self.process = subprocess.Popen(
                command("snakemake", "--profile", "slurm", *self.arguments),
                cwd=self.clone.folder,
                env={
                    **environment(self.clone.folder),
                    "GLOO_SOCKET_IFNAME": "lo",  # the nodes share the loopback
                    **self.more,
                },
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        return self

    def __exit__(self, *failed: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)  # cancels its jobs
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
        if failed[0]:
            print(self.text()[-6000:])

    def text(self) -> str:
        """Return what it has printed so far."""
        return self.output.read_text()

    def kill(self) -> None:
        """Kill Snakemake, not its jobs."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def finish(self, seconds: float = 300.0, say: Callable[[str], None] | None = None) -> float:
        """Wait until it has ended well; return the seconds since it began.

        Args:
            seconds: after which it is given up.
            say: shows once a minute how far it is.
        """
        while say and time.monotonic() - self.begun < seconds:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(60)
                break
            steps = re.findall(r"(\d+ of \d+ steps)", self.text()) or ["started"]
            say(f"{(time.monotonic() - self.begun) / 60:.0f} min: {steps[-1]}")
        status = self.process.wait(seconds)
        assert status == 0, f"status {status}:\n{self.text()[-6000:]}"
        return time.monotonic() - self.begun


@dataclass(frozen=True)
class Job:
    """A line of Slurm's accounting; a requeued job has several. Times are seconds since 1970."""

    id: str
    state: str
    begin: int
    end: int
    gpus: int
    rule: str
    memory: str
    minutes: int


def accounted(since: float = 0.0) -> list[Job]:
    """Return the jobs in Slurm's accounting that were submitted from a time on, in order."""
    text = cluster.ask(
        "sacct", "-a", "-X", "-D", "-n", "-P", "-S", "now-1day",
        "-o", "jobid,state,start,end,reqtres,reqmem,timelimitraw,submit,jobname,comment%200",
    )  # fmt: skip
    found = []
    for line in text.splitlines():
        job, state, begin, end, tres, memory, minutes, submit, name, comment = line.split("|")
        if _time(submit) < int(since) or not name.startswith("nt_"):
            continue
        gpus = re.search(r"gres/gpu=(\d+)", tres)
        found.append(
            Job(
                job, state.split()[0], _time(begin), _time(end), int(gpus[1]) if gpus else 0,
                rule_of(comment), memory, int(minutes),
            )
        )  # fmt: skip
    return sorted(found, key=lambda job: (int(job.id), job.begin))


def _time(text: str) -> int:
    try:
        return int(time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%S")))
    except ValueError:  # Unknown, None: not yet
        return 0


def rule_of(comment: str) -> str:
    """Return the rule or the group of rules that the plugin's comment of a job names."""
    found = re.match(r"(?:rule|group)_([a-z_]+?)(?:_wildcards_|$)", comment)
    return found[1] if found else ""


def job_of(rule: str, state: str = "RUNNING") -> str | None:
    """Return the id of a job of a rule that is in a state now."""
    for line in cluster.ask("squeue", "-h", "-t", state, "-o", "%i|%k").splitlines():
        job, _, comment = line.partition("|")
        if rule_of(comment) == rule:
            return job
    return None


def wait_for_job(rule: str, seconds: float = 90.0, state: str = "RUNNING") -> str:
    """Return the id of a job of a rule once it is in a state."""
    found: list[str] = []

    def look() -> bool:
        job = job_of(rule, state)
        found.extend([job] if job else [])
        return bool(job)

    cluster.wait_until(f"a job of {rule} {state}", seconds, look)
    return found[0]


@contextlib.contextmanager
def frozen(job: str) -> Iterator[None]:
    """Hold the ranks of a training for the time of the block."""
    ranks = []
    for process in psutil.process_iter(["cmdline", "ppid"]):
        with contextlib.suppress(psutil.Error):
            is_launcher = "scripts.train" in (process.info["cmdline"] or [])
            if is_launcher and process.environ().get("SLURM_JOB_ID") == job:
                ranks += process.children()
    ranks = [rank for rank in ranks if "scripts.train" in rank.cmdline()]
    assert ranks, job
    for rank in ranks:
        rank.suspend()
    try:
        yield
    finally:
        for rank in ranks:
            rank.resume()


def newest_checkpoint(clone: Clone) -> int:
    """Return the step of the newest complete checkpoint of a training under way, or 0."""
    steps = [0]
    for path in (clone.folder / "work").rglob("rank-0.json"):
        note = read_json(path)
        if all((path.with_name(f"rank-{n}.json")).exists() for n in range(note["num_ranks"])):
            steps.append(note["step"])
    return max(steps)


def wait_for_checkpoint(clone: Clone, beyond: int = 0, seconds: float = 120.0) -> int:
    """Return the step of the newest checkpoint once there is one beyond a step."""
    cluster.wait_until(
        f"a checkpoint beyond step {beyond}", seconds, lambda: newest_checkpoint(clone) > beyond
    )
    return newest_checkpoint(clone)


def resumed_at(clone: Clone) -> int:
    """Return the step at which the newest start of the training continued, or 0."""
    log = clone.folder / LOG
    found = re.search(r"(\d+) of \d+ were done before", log.read_text() if log.exists() else "")
    return int(found[1]) if found else 0


def wait_until_stopped(clone: Clone, seconds: float = 120.0) -> int:
    """Return the step after which a signal has stopped the training, once it has."""
    log, found = clone.folder / LOG, [0]

    def look() -> bool:
        match = re.search(r"stopped by \w+ after step (\d+)", log.read_text())
        found[0] = int(match[1]) if match else 0
        return bool(match)

    cluster.wait_until("the training to be stopped", seconds, look)
    return found[0]


def overlaps(jobs: list[Job]) -> list[tuple[Job, Job]]:
    """Return the pairs of runs of one rule that were under way at the same time."""
    ran = sorted((job for job in jobs if job.begin and job.end), key=lambda job: job.begin)
    return [(a, b) for at, a in enumerate(ran) for b in ran[at + 1 :] if b.begin < a.end]
