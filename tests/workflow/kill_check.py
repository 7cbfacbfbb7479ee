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
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from nt_pkg.files.beside import is_beside
from nt_pkg.identity.seeds import rng
from nt_pkg.snakemake_io.events import Tail, asking
from nt_pkg.snakemake_io.events import environment as with_plugin
from nt_pkg.snakemake_io.stages import STAGES
from tests.workflow.sandbox import TINY, command, copy_repository, environment, run, table

EVENTS = Path("logs/study.events.jsonl")
KINDS = ("snakemake", "rank", "job", "warm")
# Of run.json; memory is the machine's matter as well.
TIMES = ("wall_seconds", "tokens_per_second", "tokens_per_second_curve", "mfu", "peak_memory_mb")
_MOST_SECONDS = 3600.0  # for one start
_POLL_SECONDS = 0.02
_MOST_DELAY_SECONDS = 2.0


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
        self.folder, self._arguments = folder, arguments
        self.log = folder / "kill_check.log"
        self.num_starts = 0

    def start(self) -> None:
        """Start the command."""
        self.num_starts += 1
        self.begun = time.monotonic()
        (self.folder / EVENTS).unlink(missing_ok=True)  # of an earlier start
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                self._arguments,
                cwd=self.folder,
                env=with_plugin(environment(self.folder)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def is_running(self) -> bool:
        """Return whether the command has not ended; stop a start that hangs."""
        if time.monotonic() - self.begun > _MOST_SECONDS:
            self.process.kill()
            raise RuntimeError(f"{self.folder}: the command hangs")
        return self.process.poll() is None

    def num_done(self) -> int:
        """Return the jobs that this start has finished."""
        return num_done(self.folder / EVENTS)

    def find(self, kind: str, pick: float) -> tuple[psutil.Process, str] | None:
        """Return a process of a kind and its name, chosen by a number in [0, 1), if any."""
        try:
            found = self._processes()[kind]
        except (psutil.Error, OSError):  # one of them ended meanwhile
            return None
        return found[int(pick * len(found))] if found else None

    def _processes(self) -> dict[str, list[tuple[psutil.Process, str]]]:
        found: dict[str, list[tuple[psutil.Process, str]]] = {kind: [] for kind in KINDS}
        root = psutil.Process(self.process.pid)
        rules: dict[int, str] = {}  # of jobs, by process
        for process in [root, *root.children(recursive=True)]:
            line, parent = " ".join(process.cmdline()), process.ppid()
            if "python" not in process.name():
                continue
            if "-m snakemake" in line and root.pid in (process.pid, parent):
                found["snakemake"].append((process, "snakemake"))
            elif "-m nt_pkg.jobs.warm_interpreter serve" in line and parent == root.pid:
                found["warm"].append((process, "warm interpreter"))
            elif parent in rules:
                found["rank"].append((process, f"rank of {rules[parent]}"))
            elif rule := self._rule(process, line):
                rules[process.pid] = rule
                found["job"].append((process, f"job {rule}"))
        return found

    def _rule(self, process: psutil.Process, line: str) -> str | None:
        """Return the rule whose job a process is: it writes to the log of that rule."""
        if "nt_pkg/jobs/warm_interpreter.py run" in line:
            return None  # only waits for the job, which the warm interpreter has forked
        target, logs = Path(f"/proc/{process.pid}/fd/1").readlink(), self.folder / "logs"
        return target.relative_to(logs).parts[0] if logs in target.parent.parents else None


def num_done(path: Path) -> int:
    """Return the jobs that a start has finished, from its events; targets do not count."""
    events = Tail(path).new()
    rules = {event["id"]: event["rule"] for event in events if event["event"] == "started"}
    return sum(rules[e["id"]] in STAGES for e in events if e["event"] == "finished")


def kill_study(study: Study, waiting: list[str], num_jobs: int, draw: random.Random) -> list[Kill]:
    """Run a study to its end, killing something now and then, and return the kills.

    Args:
        study: the study.
        waiting: kinds to kill, in order; what was killed is taken from its front.
        num_jobs: jobs between two kills, at most.
        draw: source of the moments.

    Raises:
        RuntimeError: the study fails without having been hit.
    """
    kills: list[Kill] = []
    while True:
        study.start()
        hit: list[Kill] = []
        while study.is_running() and waiting:
            before = hit[-1].num_done if hit else 0
            if kill := _hit(study, waiting[0], before + draw.randint(0, num_jobs), draw):
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
            raise RuntimeError(f"status {status} without a kill: see {study.log}")


def _hit(study: Study, kind: str, num_jobs: int, draw: random.Random) -> Kill | None:
    """Kill a process of a kind once it is there and `num_jobs` jobs and a delay are over.

    Ranks are there in a part of the study only, so they are not made to wait for other jobs.
    """
    while study.is_running() and kind != "rank" and study.num_done() < num_jobs:
        time.sleep(_POLL_SECONDS)
    delay, pick = draw.uniform(0, _MOST_DELAY_SECONDS), draw.random()
    seen = None
    while study.is_running():
        target = study.find(kind, pick)
        # Before the first job there is nothing to lose.
        if target and (kind in ("job", "rank") or study.find("job", 0.0) or study.num_done()):
            seen = seen or time.monotonic()
            if time.monotonic() - seen >= delay:
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

    Left out are the report, which shows times, the events for TensorBoard, which hold some, the
    checkpoints, whose exported models are compared, notes beside artifacts, and the lock file.
    """
    found = {}
    for path in sorted(results.rglob("*")):
        name = path.relative_to(results)
        if path.is_dir() or is_beside(path) or name.parts[0] in ("report", ".lock"):
            continue
        if not {"checkpoint", "tensorboard"}.isdisjoint(name.parts):
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
    parser.add_argument("--configfile", nargs="+", default=[str(TINY)], help="as Snakemake's")
    parser.add_argument("--demo", action="store_true", help="the demo instead")
    parser.add_argument("--raw", action="store_true", help="plain snakemake, no launcher")
    parser.add_argument("--keep", type=Path, help="work in this new folder and leave it")
    args = parser.parse_args(argv)
    config = ["--configfile", *(["config/demo.yaml"] if args.demo else args.configfile)]
    kinds = [kind for kind in args.kinds if not (args.raw and kind == "warm")]
    if args.raw:
        profile = ["-s", "Snakefile", "--profile", "profiles/local"]
        arguments = command("snakemake", *asking([*profile, *config], EVENTS))
    else:
        arguments = command("scripts.study", *config)
    with tempfile.TemporaryDirectory(prefix="nt-kill-") as temporary:
        folder = (args.keep or Path(temporary)).resolve()
        copy_repository(folder / "undisturbed")
        run(folder / "undisturbed", command("scripts.study", *config))
        num_jobs = num_done(folder / "undisturbed" / EVENTS) // (args.kills + 2)
        expected = digests(folder / "undisturbed/results")
        draw = rng("kill_check", args.seed)
        waiting = [kinds[at % len(kinds)] for at in range(args.kills)]
        draw.shuffle(waiting)
        number = 0
        while True:  # a study that ends before all kills is done once more
            number += 1
            study = Study(folder / f"killed{number}", arguments)
            copy_repository(study.folder)
            kills = kill_study(study, waiting, num_jobs, draw)
            is_same = _show(kills, expected, digests(study.folder / "results"))
            if not is_same or not kills or not waiting:
                return int(not is_same or bool(waiting))


def _show(kills: Sequence[Kill], expected: dict[str, str], found: dict[str, str]) -> bool:
    """Print one study's kills and comparison, and return whether all files are the same."""
    head = ("start", "second", "killed", "jobs done", "exit status", "ended after s")
    rows = [
        (k.start, f"{k.at_seconds:.1f}", k.what, k.num_done, k.status, k.ended_after) for k in kills
    ]
    sys.stdout.write(table(head, rows))
    wrong = sorted(
        name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)
    )
    if wrong:
        shown = [(n, expected.get(n, "missing"), found.get(n, "missing")) for n in wrong]
        sys.stdout.write(table(("file", "undisturbed", "killed"), shown))
    sys.stdout.write(f"{len(kills)} kills; {len(wrong)} of {len(expected)} files differ\n\n")
    sys.stdout.flush()
    return not wrong


if __name__ == "__main__":
    sys.exit(main())
