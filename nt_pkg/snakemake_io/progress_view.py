"""The progress of a study in the terminal, from Snakemake's events."""

import re
import shutil
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

from nt_pkg.files.foreign_text import printable, read_end, say, writable
from nt_pkg.jobs.command import ERROR
from nt_pkg.jobs.full_disk import full_places, say_full
from nt_pkg.snakemake_io.events import Event
from nt_pkg.snakemake_io.stages import STAGES

_EVERY_SECONDS = 10.0
_QUIET_SECONDS = 30.0  # without a finished job, until a log tells what runs
_MOST_NAMED = 2  # rules that were never timed


class ProgressView:
    """Shows the progress of a study, the end of a failed job's log, and how the study ended."""

    def __init__(
        self,
        output: Path,
        num_cores: int,
        begun: float | None = None,
        earlier: Mapping[str, float] | None = None,
        folder: Path = Path(),
    ) -> None:
        """Start to count.

        Args:
            output: file of Snakemake's own output.
            num_cores: cores for jobs.
            begun: when the start began; by default now.
            earlier: mean seconds of a job of each rule that ran in this folder before.
            folder: where the workflow runs; paths of logs start there.
        """
        self._folder = folder
        self._earlier = earlier or {}
        self._output, self._cores = output, num_cores
        self._planned: Counter[str] = Counter()
        self._done: Counter[str] = Counter()
        self._seconds: dict[str, list[float]] = defaultdict(list)
        self._started: dict[int, tuple[str, float]] = {}
        self._logs: dict[int, list[str]] = {}
        self._shown, self._begun = 0.0, time.time() if begun is None else begun
        self.first_job_after: float | None = None
        self._is_terminal = sys.stdout.isatty()
        self._is_begun, self._num_failures = False, 0
        self._errors: Counter[tuple[str, str]] = Counter()  # what jobs ended with, by their rule

    @property
    def num_done(self) -> int:
        """Return the jobs that succeeded, without targets."""
        return sum(count for rule, count in self._done.items() if rule in STAGES)

    def take(self, event: Event) -> None:
        """Handle one event."""
        kind = event["event"]
        if kind == "begun":
            self._is_begun = True
        elif kind == "planned":
            self._plan(Counter(job["rule"] for job in event["jobs"]))
        elif kind == "left":
            self._plan(Counter(event["rules"]))
        elif kind == "started":
            self._started[event["id"]] = event["rule"], event["time"]
            self._logs[event["id"]] = event.get("log", [])
            if self.first_job_after is None:
                self.first_job_after = event["time"] - self._begun
        elif kind == "finished":
            self._finish(event["id"], event["time"])
        elif kind == "failed":
            for log in event["log"]:
                self._show_failure(event["rule"], Path(log))

    def wait(self) -> None:
        """Show what runs if nothing was shown for a while."""
        if not any(rule in STAGES for rule, _ in self._started.values()):
            return
        if time.time() - self._shown > (1.0 if self._is_terminal else _QUIET_SECONDS):
            self._show()

    def close(self, status: int) -> None:
        """Print how far it came, and where the output is if it failed."""
        if self._planned:
            self._show()
        if self._is_terminal:
            sys.stdout.write("\n")
        if self._is_begun and not self._planned and not status:
            self._print("nothing to be done")
        if status and not self._num_failures:
            tail = self._output.read_text(errors="replace").splitlines()[-25:]
            say("\n".join(tail))
        for (rule, error), number in self._errors.items():
            times = f" ({number} jobs)" if number > 1 else ""
            self._print(f"{rule}{times}: {error}")
        if status and full_places(folder=self._folder):
            self._print(f"{ERROR}{say_full('the study has ended', self._folder)}")
        if status:
            self._print(
                f"stopped with status {status}; Snakemake's output is in {self._output}. The "
                "same command continues where it stopped."
            )

    def _plan(self, left: Counter[str]) -> None:
        """Set the remaining jobs, of which some may have started."""
        ours = Counter({rule: count for rule, count in left.items() if rule in STAGES})
        self._planned = ours + Counter({r: n for r, n in self._done.items() if r in STAGES})
        self._show()

    def _show_failure(self, rule: str, log: Path) -> None:
        """Print the end of a failed job's log."""
        self._num_failures += 1
        self._print(f"rule {rule} failed; the end of {self._folder / log}:")
        path = self._folder / log
        text = path.read_text(errors="replace") if path.exists() else ""
        lines = text.splitlines()
        for line in lines[-12:]:
            self._print(f"    {line}")
        if error := next((line for line in reversed(lines) if line.startswith(ERROR)), ""):
            self._errors[rule, error] += 1

    def _finish(self, job: int, at: float) -> None:
        rule, begun = self._started.pop(job, ("", 0.0))
        self._logs.pop(job, None)
        if rule not in STAGES:
            return
        self._done[rule] += 1
        self._seconds[rule].append(at - begun)
        if time.time() - self._shown > (0.5 if self._is_terminal else _EVERY_SECONDS):
            self._show()

    def _show(self) -> None:
        self._shown = time.time()
        total, done = sum(self._planned.values()), self.num_done
        if not total:
            return
        busy = [stage for stage in dict.fromkeys(STAGES.values()) if self._left(stage)]
        parts = [
            f"{self._count(stage, self._done)}/{self._count(stage, self._planned)} {stage}"
            for stage in busy
        ]
        text = (
            f"[{_clock(self._shown - self._begun)}] {done}/{total} jobs{self._running()}, "
            f"{self._time_left()}: {', '.join(parts) or 'finishing'}"
        )
        self._print(text, stays=False)

    def _running(self) -> str:
        """Return what the job that has run longest says of itself, if it has run for a while."""
        jobs = sorted(
            (begun, rule, job) for job, (rule, begun) in self._started.items() if rule in STAGES
        )
        if not jobs or time.time() - jobs[0][0] < _EVERY_SECONDS:
            return ""
        begun, rule, job = jobs[0]
        others = f" and {len(jobs) - 1} more" if len(jobs) > 1 else ""
        told = _last_line([self._folder / log for log in self._logs[job]])
        return f"; {rule}{others} for {_clock(time.time() - begun)}{told and f' ({told})'}"

    def _left(self, stage: str) -> int:
        return self._count(stage, self._planned) - self._count(stage, self._done)

    @staticmethod
    def _count(stage: str, counts: Counter[str]) -> int:
        return sum(count for rule, count in counts.items() if STAGES[rule] == stage)

    def _time_left(self) -> str:
        """Return the time left in words: a rule that was never timed here may take any time."""
        total, unknown = 0.0, []
        running = Counter(rule for rule, _ in self._started.values())
        for rule, planned in self._planned.items():
            if planned <= self._done[rule]:
                continue
            seconds = self._mean_seconds(rule)
            if seconds is None:
                unknown.append(rule)
                continue
            spent = sum(
                min(time.time() - begun, seconds)
                for other, begun in self._started.values()
                if other == rule
            )
            # Training uses all cores; other jobs use one core each, as far as there are as many.
            side_by_side = 1 if rule == "train" else self._cores
            total += max(0.0, (planned - self._done[rule]) * seconds - spent) / side_by_side
        if not unknown:
            return f"about {_clock(total)} left"
        # What runs is what a reader waits for.
        first = sorted(unknown, key=lambda rule: (not running[rule], list(STAGES).index(rule)))
        named = ", ".join(first[:_MOST_NAMED]) + (" ..." if len(first) > _MOST_NAMED else "")
        return f"more than {_clock(total)} left (not timed yet: {named})"

    def _mean_seconds(self, rule: str) -> float | None:
        known = self._seconds[rule]
        return sum(known) / len(known) if known else self._earlier.get(rule)

    def _print(self, text: str, stays: bool = True) -> None:
        text = writable(printable(text), sys.stdout)
        if self._is_terminal:
            if not stays:  # a line that wraps cannot be drawn over
                text = text[: shutil.get_terminal_size().columns - 1]
            sys.stdout.write(f"\r\x1b[K{text}" + ("\n" if stays else ""))
        else:
            sys.stdout.write(text + "\n")
        sys.stdout.flush()


def _last_line(logs: list[Path]) -> str:
    """Return the last line of a job's log, without its time."""
    for log in logs:
        try:
            lines = read_end(log).split("\n")[:-1]
        except OSError:
            continue
        if lines:
            return re.sub(r"^\d\d:\d\d:\d\d ", "", lines[-1])
    return ""


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
