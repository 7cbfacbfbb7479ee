"""Check that killing anything at any moment and starting again gives the same files.

    python -m tests.workflow.kill_check                    # ten kills of a tiny study
    python -m tests.workflow.kill_check --demo --kills 20  # of the demo
    python -m tests.workflow.kill_check --raw              # without the launcher

A study runs undisturbed in one copy of the repository. In another copy, `kill -9` hits Snakemake, a
job, a rank of a training, or the warm interpreter, at random moments; whenever the command ends, it
is started again. Then everything in the results is compared byte by byte, except what measures
time. Prints the kills and the comparison, and ends with status 1 if a file differs.
"""

import argparse
import hashlib
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from nt_pkg.launcher import STAGES
from nt_pkg.seeds import rng
from tests.workflow.sandbox import TINY, command, copy_repository, environment, run, table

KINDS = ("snakemake", "rank", "job", "warm")
TIMES = ("wall_seconds", "tokens_per_second")  # of run.json
_MOST_SECONDS = 3600.0  # for one start
_POLL_SECONDS = 0.02


@dataclass
class Kill:
    """One kill; `status` and `ended_after` are those of the command it hit, once that ended."""

    start: int
    at_seconds: float
    what: str
    num_done: int
    status: str = ""
    ended_after: str = ""


class Study:
    """A study in one folder that can be started, watched and hit."""

    def __init__(self, folder: Path, arguments: Sequence[str]) -> None:
        """Prepare; `start` begins."""
        self._folder, self._arguments = folder, arguments
        self._log = folder / "kill_check.log"
        self.num_starts = 0

    def start(self) -> None:
        """Start the command."""
        self.num_starts += 1
        self.begun = time.monotonic()
        (self._folder / "logs/study.log").unlink(missing_ok=True)  # of an earlier start
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                self._arguments,
                cwd=self._folder,
                env=environment(self._folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def is_running(self) -> bool:
        """Return whether the command has not ended; stop a start that hangs."""
        if time.monotonic() - self.begun > _MOST_SECONDS:
            self.process.kill()
            raise RuntimeError(f"{self._folder}: the command hangs")
        return self.process.poll() is None

    def num_done(self) -> int:
        """Return the jobs that this start has finished."""
        log = self._log if "snakemake" in self._arguments else self._folder / "logs/study.log"
        text = log.read_text() if log.exists() else ""
        rules = re.findall(r"^Finished jobid: \d+ \(Rule: (\w+)\)", text, re.M)
        return sum(rule in STAGES for rule in rules)

    def find(self, kind: str, pick: float) -> tuple[psutil.Process, str] | None:
        """Return a process of a kind and its name, chosen by a number in [0, 1), if any."""
        try:
            found = self._processes()[kind]
        except psutil.Error:
            return None
        return found[int(pick * len(found))] if found else None

    def _processes(self) -> dict[str, list[tuple[psutil.Process, str]]]:
        found: dict[str, list[tuple[psutil.Process, str]]] = {kind: [] for kind in KINDS}
        root = psutil.Process(self.process.pid)
        parents = [root, *root.children(recursive=True)]
        is_job = {}
        for process in parents:
            line = " ".join(process.cmdline())
            parent = process.ppid()
            is_python = "python" in process.name()
            if "-m snakemake" in line and process.pid in (root.pid, *_children(root)):
                found["snakemake"].append((process, "snakemake"))
            elif "-m nt_pkg.warm serve" in line and parent == root.pid:
                found["warm"].append((process, "warm interpreter"))
            elif is_python and parent in is_job:
                found["rank"].append((process, f"rank of {is_job[parent]}"))
            elif is_python and (rule := self._rule(process, line)):
                is_job[process.pid] = rule
                found["job"].append((process, f"job {rule}"))
        return found

    def _rule(self, process: psutil.Process, line: str) -> str | None:
        """Return the rule whose job a process is: it writes to the log of that rule."""
        if "nt_pkg/warm.py run" in line:
            return None  # waits for the job that the warm interpreter has forked
        log = Path(f"/proc/{process.pid}/fd/1").readlink()
        return log.relative_to(self._folder / "logs").parts[0] if self._is_log(log) else None

    def _is_log(self, path: Path) -> bool:
        return (
            path.suffix == ".log"
            and len(path.relative_to("/").parts) > 1
            and (path.is_relative_to(self._folder / "logs") and path.name != "warm.log")
        )


def _children(process: psutil.Process) -> list[int]:
    return [child.pid for child in process.children()]


def kill_study(
    study: Study, kinds: Sequence[str], num_kills: int, num_jobs: int, seed: int
) -> list[Kill]:
    """Run a study to its end, killing something `num_kills` times, and return the kills.

    Raises:
        RuntimeError: the study fails without having been hit.
    """
    draw = rng("kill_check", seed)
    waiting = [kinds[at % len(kinds)] for at in range(num_kills)]
    draw.shuffle(waiting)
    kills: list[Kill] = []
    while True:
        study.start()
        hit: list[Kill] = []
        while study.is_running() and waiting:
            before = hit[-1].num_done if hit else 0
            jobs, delay = draw.randint(0, max(1, num_jobs // (num_kills + 2))), draw.random()
            kill = _hit(study, waiting[0], before + jobs, delay, draw.random())
            if kill:
                hit.append(kill)
                waiting.pop(0)
        status = _wait(study)
        ended = time.monotonic() - study.begun
        for kill in hit:
            kill.status, kill.ended_after = str(status), f"{ended - kill.at_seconds:.1f}"
        kills += hit
        if status == 0:
            return kills
        if not hit:
            raise RuntimeError(f"status {status} without a kill: see {study._log}")


def _hit(study: Study, kind: str, num_jobs: int, delay: float, pick: float) -> Kill | None:
    """Kill a process of a kind once `num_jobs` jobs and a delay are over, if there is one."""
    while study.is_running() and study.num_done() < num_jobs:
        time.sleep(_POLL_SECONDS)
    time.sleep(delay)
    while study.is_running():
        target = study.find(kind, pick)
        # Before the first job there is nothing to lose.
        if target and (kind in ("job", "rank") or study.find("job", 0.0) or study.num_done()):
            num_done = study.num_done()
            target[0].send_signal(signal.SIGKILL)
            at = time.monotonic() - study.begun
            return Kill(study.num_starts, at, target[1], num_done)
        time.sleep(_POLL_SECONDS)
    return None


def _wait(study: Study) -> int:
    while study.is_running():
        time.sleep(_POLL_SECONDS)
    return study.process.wait()


def digests(results: Path) -> dict[str, str]:
    """Return relative path -> digest of every result that does not measure time.

    Left out are the report, which shows times, the checkpoints, whose exported models are
    compared, and the lock file.
    """
    found = {}
    for path in sorted(results.rglob("*")):
        name = path.relative_to(results)
        if path.is_dir() or name.parts[0] in ("report", ".lock") or "checkpoint" in name.parts:
            continue
        content = path.read_bytes()
        if path.name == "run.json":
            run_facts = {k: v for k, v in json.loads(content).items() if k not in TIMES}
            content = json.dumps(run_facts, sort_keys=True).encode()
        found[name.as_posix()] = hashlib.sha256(content).hexdigest()[:16]
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--configfile", default=str(TINY), help="overlay of the study")
    parser.add_argument("--demo", action="store_true", help="the demo instead")
    parser.add_argument("--raw", action="store_true", help="plain snakemake, no launcher")
    parser.add_argument("--keep", type=Path, help="work in this new folder and leave it")
    args = parser.parse_args(argv)
    config = [] if args.demo else ["--configfile", args.configfile]
    kinds = [kind for kind in args.kinds if not (args.raw and kind == "warm")]
    if args.raw:
        profile = ["-s", "Snakefile", "--profile", "profiles/local"]
        arguments = command("snakemake", *profile, *config)
    else:
        arguments = command("scripts.study", *config)
    with tempfile.TemporaryDirectory(prefix="nt-kill-") as temporary:
        folder = (args.keep or Path(temporary)).resolve()
        for name in ("undisturbed", "killed"):
            copy_repository(folder / name)
        run(folder / "undisturbed", command("scripts.study", *config))
        log = (folder / "undisturbed/logs/study.log").read_text()
        num_jobs = len(re.findall("^Finished jobid", log, re.M))
        study = Study(folder / "killed", arguments)
        kills = kill_study(study, kinds, args.kills, num_jobs, args.seed)
        expected, found = (digests(folder / n / "results") for n in ("undisturbed", "killed"))
    return _report(kills, args.kills, expected, found)


def _report(
    kills: Sequence[Kill], num_kills: int, expected: dict[str, str], found: dict[str, str]
) -> int:
    head = ("start", "second", "killed", "jobs done", "exit status", "ended after s")
    rows = [
        (k.start, f"{k.at_seconds:.1f}", k.what, k.num_done, k.status, k.ended_after) for k in kills
    ]
    sys.stdout.write(table(head, rows))
    wrong = sorted(
        name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)
    )
    sys.stdout.write(f"\n{len(kills)} of {num_kills} kills; {len(expected)} files compared\n")
    if wrong:
        shown = [(n, expected.get(n, "missing"), found.get(n, "missing")) for n in wrong]
        sys.stdout.write(table(("file", "undisturbed", "killed"), shown))
    sys.stdout.write(f"{len(wrong)} files differ\n")
    return int(bool(wrong) or len(kills) < num_kills)


if __name__ == "__main__":
    sys.exit(main())
