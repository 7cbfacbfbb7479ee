"""What the local launcher knows of a study: progress, time left, memory, and past starts."""

import re
import shlex
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence, Set
from itertools import pairwise
from pathlib import Path
from typing import Any

from nt_pkg.files.json_files import read_json, write_json

# Rule -> stage, in the order of the workflow.
STAGES = {
    "fetch_asset": "assets",
    "ingest_pool": "prompts",
    "shard_prompts": "prompts",
    "generate_traces": "traces",
    "summarise_traces": "traces",
    "annotate": "annotations",
    "annotate_questions": "annotations",
    "select_subset": "subsets",
    "build_examples": "sft",
    "train": "sft",
    "export_model": "sft",
    "sample_answers": "evals",
    "grade": "evals",
    "build_report": "report",
}
# Rule -> the rules whose files it reads; those that fetch by the kind of what they fetch.
READS = {
    "ingest_pool": ("fetch_asset/pools", "fetch_asset/benchmarks"),
    "shard_prompts": ("ingest_pool",),
    "generate_traces": ("shard_prompts", "fetch_asset/teachers"),
    "summarise_traces": ("generate_traces",),
    "annotate": ("shard_prompts", "generate_traces", "fetch_asset/annotators"),
    "annotate_questions": ("shard_prompts", "fetch_asset/annotators"),
    "select_subset": ("generate_traces", "annotate", "annotate_questions"),
    "build_examples": (
        *("ingest_pool", "generate_traces", "annotate", "select_subset"),
        "fetch_asset/students",
    ),
    "train": ("build_examples", "select_subset", "fetch_asset/students"),
    "export_model": ("train", "select_subset", "fetch_asset/students"),
    "sample_answers": (
        *("export_model", "select_subset", "fetch_asset/students"),
        "fetch_asset/benchmarks",
    ),
    "grade": ("sample_answers", "select_subset", "fetch_asset/benchmarks"),
    "build_report": (
        *("ingest_pool", "summarise_traces", "annotate", "annotate_questions", "select_subset"),
        *("build_examples", "train", "sample_answers", "grade"),
    ),
}
# Core-seconds of a demo job before any was timed; only the first minute's estimate rests on them.
_GUESS = {"train": 7.0, "sample_answers": 3.0, "build_report": 8.0}
_EVERY_SECONDS = 10.0
# Parts of a timing's path that name no entry of the catalogue.
_NOT_A_NAME = re.compile(
    r"seed\d+|\d+-of-\d+|think|no_think|adaptive|pools|teachers|annotators|students|benchmarks"
)


class Watcher:
    """Reads Snakemake's output, keeps it in a log, and says how far the study is."""

    def __init__(self, log: Path, num_cores: int) -> None:
        """Write the whole output to `log`; show progress on stdout."""
        self._log = log.open("w")
        self._log_path, self._cores = log, num_cores
        self._planned: Counter[str] = Counter()
        self._done: Counter[str] = Counter()
        self._seconds: dict[str, list[float]] = defaultdict(list)
        self._started: dict[str, tuple[str, float]] = {}
        self._rule, self._in_table, self._shown = "", False, 0.0
        self._begun = time.monotonic()
        self.first_job_after: float | None = None
        self._is_terminal = sys.stdout.isatty()
        self._failed, self._num_failures = "", 0

    @property
    def num_done(self) -> int:
        """Return the jobs that ended well, targets not counted."""
        return sum(count for rule, count in self._done.items() if rule in STAGES)

    def read(self, line: str) -> None:
        """Take one line of output."""
        self._log.write(line)
        self._log.flush()
        text = line.strip()
        if text.startswith("Job stats:"):
            self._in_table = True
            self._planned = Counter(self._done)
        elif self._in_table and (found := re.fullmatch(r"(\w+)\s+(\d+)", text)):
            if found[1] in STAGES:
                self._planned[found[1]] += int(found[2])
        elif self._in_table and not text:
            self._in_table = False
            self._show()
        elif found := re.match(r"(?:local)?(?:rule|checkpoint) (\w+):", text):
            self._rule = found[1]
            if self.first_job_after is None:
                self.first_job_after = time.monotonic() - self._begun
        elif found := re.fullmatch(r"jobid: (\d+)", text):
            self._started[found[1]] = self._rule, time.monotonic()
        elif found := re.match(r"Finished jobid: (\d+)", text):
            self._finish(found[1])
        elif found := re.match(r"Error in (?:rule|checkpoint) (\w+):", text):
            self._failed = found[1]
        elif self._failed and (found := re.match(r"log: (\S+)", text)):
            self._show_failure(Path(found[1]))
        elif text.startswith("Nothing to be done"):
            self._print("nothing to be done")

    def close(self, status: int) -> None:
        """Say where the log is if the study did not end well."""
        self._log.close()
        if self._is_terminal:
            sys.stdout.write("\n")
        if status and not self._num_failures:
            tail = self._log_path.read_text().splitlines()[-25:]
            sys.stdout.write("\n".join(tail) + "\n")
        if status:
            self._print(
                f"stopped with status {status}; Snakemake's output is in {self._log_path}. The "
                "same command continues where it stopped."
            )

    def _show_failure(self, log: Path) -> None:
        """Print the end of a failed job's log."""
        self._num_failures += 1
        self._print(f"rule {self._failed} failed; the end of {log}:")
        self._failed = ""
        for line in log.read_text().splitlines()[-12:] if log.exists() else []:
            self._print(f"    {line}")

    def _finish(self, job: str) -> None:
        rule, begun = self._started.pop(job, ("", 0.0))
        if rule not in STAGES:
            return
        self._done[rule] += 1
        self._seconds[rule].append(time.monotonic() - begun)
        if time.monotonic() - self._shown > (0.5 if self._is_terminal else _EVERY_SECONDS):
            self._show()

    def _show(self) -> None:
        self._shown = time.monotonic()
        total, done = sum(self._planned.values()), self.num_done
        busy = [stage for stage in dict.fromkeys(STAGES.values()) if self._left(stage)]
        parts = [
            f"{self._count(stage, self._done)}/{self._count(stage, self._planned)} {stage}"
            for stage in busy
        ]
        text = (
            f"[{_clock(self._shown - self._begun)}] {done}/{total} jobs, about "
            f"{_clock(self._seconds_left())} left: {', '.join(parts) or 'finishing'}"
        )
        self._print(text, stays=False)

    def _left(self, stage: str) -> int:
        return self._count(stage, self._planned) - self._count(stage, self._done)

    @staticmethod
    def _count(stage: str, counts: Counter[str]) -> int:
        return sum(count for rule, count in counts.items() if STAGES[rule] == stage)

    def _seconds_left(self) -> float:
        total = 0.0
        for rule, planned in self._planned.items():
            known = self._seconds[rule]
            seconds = sum(known) / len(known) if known else _GUESS.get(rule, 0.5)
            # Training holds every core; of the rest, one job runs on each.
            side_by_side = 1 if rule == "train" else self._cores
            total += (planned - self._done[rule]) * seconds / side_by_side
        return total

    def _print(self, text: str, stays: bool = True) -> None:
        if self._is_terminal:
            sys.stdout.write(f"\r\x1b[K{text}" + ("\n" if stays else ""))
        else:
            sys.stdout.write(text + "\n")
        sys.stdout.flush()


class Meter:
    """Measures time, and the peak memory of all processes below this one."""

    def __init__(self) -> None:
        """Prepare; `start` begins to measure."""
        self._stop = threading.Event()
        self._peak_bytes = 0
        self._begun = time.monotonic()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        """Begin to sample memory every five seconds."""
        self._thread.start()

    def stop(self) -> dict[str, float]:
        """Return `wall_seconds` and `peak_mib`."""
        self._stop.set()
        self._thread.join()
        return {
            "wall_seconds": round(time.monotonic() - self._begun, 1),
            "peak_mib": round(self._peak_bytes / 2**20),
        }

    def _watch(self) -> None:
        import psutil

        root = psutil.Process()
        while not self._stop.wait(5.0):
            total = 0
            for process in [root, *root.children(recursive=True)]:
                try:
                    # Proportional share: forked processes have most pages in common.
                    info = process.memory_full_info()
                except psutil.Error:
                    continue
                total += getattr(info, "pss", info.rss)
            self._peak_bytes = max(self._peak_bytes, total)


class History:
    """What every start of a study took, until its first complete one."""

    def __init__(self, path: Path) -> None:
        """Read the starts so far; a folder without results begins anew."""
        self._path = path
        fresh = not Path("results").exists() or not any(Path("results").glob("*/"))
        self._starts: list[dict[str, Any]] = read_json(path) if path.exists() and not fresh else []

    def add(
        self,
        measured: dict[str, float],
        watcher: Watcher,
        startup: list[dict[str, Any]],
        is_complete: bool,
    ) -> None:
        """Append this start, unless it had nothing to do."""
        if not watcher.num_done:
            return
        self._starts.append(
            {
                **measured,
                "num_jobs": watcher.num_done,
                "is_complete": is_complete,
                "before_first_job_seconds": round(watcher.first_job_after or 0.0, 2),
                "startup_core_seconds": round(
                    sum(e["startup_s"] * e["threads"] for e in startup), 2
                ),
            }
        )
        write_json(self._path, self._starts)

    def complete(self, summary: Path) -> None:
        """Add to a report's summary what the study took from nothing to its first complete end.

        `startup_share` is the share of all core-seconds that went into launching processes, imports
        and setting up ranks, and into Snakemake before its first job.
        """
        import os

        found = read_json(summary)
        count = next((n for n, each in enumerate(self._starts, 1) if each["is_complete"]), 0)
        starts = self._starts[:count]
        if starts:
            wall = sum(each["wall_seconds"] for each in starts)
            cores = os.cpu_count() or 1
            lost = sum(
                e["startup_core_seconds"] + cores * e["before_first_job_seconds"] for e in starts
            )
            found.update(
                wall_seconds=round(wall, 1),
                peak_mib=max(each["peak_mib"] for each in starts),
                startup_share=round(lost / (cores * wall), 4),
                num_starts=len(starts),
            )
        # The report was written before its own time was known.
        own = seconds_per_stage(Path("timings/build_report"), {found["study"]})
        found["seconds_per_stage"]["report"] = own["report"]
        write_json(summary, found)


def seconds_per_stage(timings: Path, names: Set[str]) -> dict[str, float]:
    """Return the seconds that the jobs of each stage took, from Snakemake's benchmark files.

    Args:
        timings: folder of all rules, or of one.
        names: names of a study's catalogue entries; files of other studies' jobs do not count.
    """
    totals = dict.fromkeys(STAGES.values(), 0.0)
    for rule, _, seconds in _jobs(timings, names):
        totals[STAGES[rule]] += seconds
    return {stage: round(seconds, 1) for stage, seconds in totals.items()}


def rules_as_run(timings: Path, names: Set[str]) -> list[dict[str, Any]]:
    """Return rule, stage, num_jobs, seconds and reads of every rule that ran for a study.

    Args:
        timings: folder of all rules.
        names: as for `seconds_per_stage`. The report is counted as one job, which is under way.
    """
    jobs: Counter[str] = Counter()
    seconds: dict[str, float] = defaultdict(float)
    seen = set()
    for rule, kind, each in _jobs(timings, names):
        jobs[rule] += 1
        seconds[rule] += each
        seen.add(f"{rule}/{kind}")
    if not jobs:
        return []
    jobs["build_report"] = 1
    found = []
    for rule, stage in STAGES.items():
        if rule in jobs:
            reads = {
                read.split("/")[0]
                for read in READS.get(rule, ())
                if read in seen or ("/" not in read and read in jobs)
            }
            own = None if rule == "build_report" else round(seconds[rule], 1)
            found.append(
                {
                    **{"rule": rule, "stage": stage, "num_jobs": jobs[rule], "seconds": own},
                    "reads": sorted(reads),
                }
            )
    return found


def _jobs(timings: Path, names: Set[str]) -> Iterator[tuple[str, str, float]]:
    """Yield rule, kind of what it is about, and seconds of each job, from its benchmark file."""
    import json

    for path in sorted(timings.rglob("*.jsonl")):
        parts = path.with_suffix("").parts
        at = next((at for at, part in enumerate(parts) if part in STAGES), None)
        if at is None:  # a rule beside the study, such as the one that makes the base student
            continue
        if all(part in names or _NOT_A_NAME.fullmatch(part) for part in parts[at + 1 :]):
            lines = path.read_text().splitlines()
            spent = sum(json.loads(line)["s"] for line in lines)
            yield parts[at], parts[at + 1], spent


def remake_command(root: Path, arguments: Sequence[str], configfiles: Sequence[Path]) -> str:
    """Return the command that makes a file of the study anew; the file is to stand behind it.

    Args:
        root: folder of the Snakefile.
        arguments: those that Snakemake was started with.
        configfiles: what was laid over the configuration.
    """
    options = [each for argument in arguments for each in argument.split("=", 1)]
    named = (b for a, b in pairwise(options) if a == "--profile")
    command = ["snakemake"]
    if root.resolve() != Path.cwd():
        command += ["-s", _seen_from_here(root / "Snakefile")]
    profile = next(named, str(root / "profiles" / "local"))
    command += ["--profile", _seen_from_here(Path(profile))]
    if configfiles:
        command += ["--configfile", *map(_seen_from_here, configfiles)]
    return shlex.join([*command, "--force"])


def _seen_from_here(path: Path) -> str:
    is_below = path.is_absolute() and path.is_relative_to(Path.cwd())
    return (path.relative_to(Path.cwd()) if is_below else path).as_posix()


def headline(report: Path) -> str:
    """Return the effects of a report as a table for the terminal, and where the page is."""
    found = read_json(report / "summary.json")
    lines = ["", f"{'effect':32} {'difference':>10} {'s.e.':>7} {'seeds':>5}  verdict"]
    for effect in found["effects"]:
        numbers = [effect["difference"], effect["standard_error"]]
        shown = [f"{100 * n:+.1f}" if n is not None else "-" for n in numbers]
        if effect.get("tokens"):  # a claim about lengths, whose verdict is of their ratio
            numbers = [effect["tokens_ratio"], effect["tokens_error"]]
            shown = [f"{n:.2f}x" if n is not None else "-" for n in numbers]
        lines.append(
            f"{effect['name']:32} {shown[0]:>10} {shown[1].lstrip('+'):>7} {effect['num_seeds']:>5}"
            f"  {effect['verdict']}"
        )
    if "wall_seconds" in found:
        lines.append(
            f"(points of accuracy) {found['wall_seconds']:.0f} s, peak {found['peak_mib']} MiB, "
            f"start-up {100 * found['startup_share']:.0f} % of the time"
        )
    return "\n".join([*lines, "", f"report: {(report / 'index.html').resolve()}", ""])


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
