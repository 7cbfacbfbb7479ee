"""Where a fault is done: a copy of a study, what its user sees, and what it has lost in the end."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.workflow.kill_check import Study, digests
from tests.workflow.one_run import ALL, CONFIG, copy_study, write_study
from tests.workflow.sandbox import command, copy_repository, environment, run

BOTH = ["tiny_free", "tiny_choice"]
_POLL_SECONDS = 0.05
_LONGEST = 110  # of what the user saw


@dataclass
class Seen:
    """What a fault led to.

    Attributes:
        happened: what became of the study.
        saw: the line that its user saw.
        lost: rows of results, and files of the user, that are gone.
        stale: results that are not those of what the study says.
    """

    happened: str
    saw: str
    lost: int = 0
    stale: int = 0


@dataclass
class Reference:
    """What the studies of faults are compared with.

    Attributes:
        finished: a clone with the study of one benchmark, from which faults begin.
        expected: file -> digest of the results of two benchmarks, with which they end.
        rows: file -> its rows.
    """

    finished: Path
    expected: dict[str, str]
    rows: dict[str, int]


def reference(folder: Path) -> Reference:
    """Run the study undisturbed, with one benchmark and then with two, or take what lies there."""
    finished, whole = folder / "finished", folder / "whole"
    copy_repository(finished)
    write_study(finished)
    run(finished, command("scripts.study", *CONFIG))
    if whole.exists():
        copy_repository(whole)
    else:
        copy_study(finished, whole, ALL)
    write_study(whole, benchmarks=BOTH)
    run(whole, command("scripts.study", *CONFIG))
    return Reference(finished, digests(whole / "results"), _rows(whole / "results"))


class Place:
    """A folder for one fault."""

    def __init__(self, at: Reference, folder: Path, last: ExitStack) -> None:
        """Make a folder; `last` is closed when nobody looks at it any more."""
        self.finished, self._at, self.last = at.finished, at, last
        self.aside = folder  # for what belongs in no clone
        self.clone = folder / "clone"
        self.said = ""
        folder.mkdir(parents=True)

    def copy(self, names: Sequence[str] = ALL, with_times: bool = True, **edits: Any) -> None:
        """Copy the finished study and ask for one more benchmark, or for what `edits` say."""
        copy_study(self.finished, self.clone, names, with_times)
        write_study(self.clone, **{"benchmarks": BOTH, **edits})

    def start(self, *options: str, **variables: str) -> int:
        """Run the study and return its status."""
        return self.run("scripts.study", *CONFIG, *options, **variables)

    def run(self, module: str, *arguments: str, **variables: str) -> int:
        """Run a command in the clone, keep what it prints, and return its status."""
        done = subprocess.run(
            command(module, *arguments),
            cwd=self.clone,
            env=environment(self.clone, **variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said = done.stdout
        return done.returncode

    def begin(self, until: Callable[[Study], bool]) -> Study:
        """Start the study, and return when something holds while it runs."""
        study = Study(self.clone, command("scripts.study", *CONFIG))
        study.log = self.aside / "begun.log"
        study.start()
        while not until(study):
            expect(study.is_running(), "the study ended too early for the fault")
            time.sleep(_POLL_SECONDS)
        return study

    def saw(self, part: str) -> str:
        """Return the line with a text, of what was printed, of the study's log, or of a job's.

        Raises:
            ValueError: nobody has said it.
        """
        texts = [self.said]
        logs = self.clone / "logs"
        for path in [logs / "study.log", *sorted(logs.glob("*/**/*.log"))]:
            texts += [path.read_text(errors="replace")] if path.is_file() else []
        for text in texts:
            for line in text.splitlines():
                if part in line:
                    return _around(line.strip(), part)
        raise ValueError(f"nothing says {part!r}; the end of what was printed: {self.said[-600:]}")

    def finish(self, happened: str, saw: str, *options: str, **variables: str) -> Seen:
        """Run the study to its end and compare its results with those of an undisturbed one."""
        status = self.start(*options, **variables)
        expect(status == 0, f"the same command does not continue: {self.said[-1500:]}")
        return self.compared(happened, saw)

    def compared(self, happened: str, saw: str) -> Seen:
        """Compare the results with those of an undisturbed study, and with their digests."""
        results = self.clone / "results"
        found, rows = digests(results), _rows(results)
        lost = sum(max(0, num - rows.get(name, 0)) for name, num in self._at.rows.items())
        stale = sum(found.get(name, digest) != digest for name, digest in self._at.expected.items())
        printed = self.said
        stale += self.run("scripts.verify", *CONFIG)
        self.said = printed
        return Seen(happened, saw, lost, stale)


def _rows(results: Path) -> dict[str, int]:
    """Return file -> its rows; a file that is no table counts as one."""
    import pyarrow.parquet as pq

    return {
        name: pq.read_metadata(results / name).num_rows if name.endswith(".parquet") else 1
        for name in digests(results)
    }


def _around(line: str, part: str) -> str:
    """Return a line, cut to what fits into a table and holds the part."""
    if len(line) <= _LONGEST:
        return line
    begin = max(0, min(line.index(part), len(line) - _LONGEST))
    return ("..." if begin else "") + line[begin : begin + _LONGEST] + "..."


def expect(holds: bool, otherwise: str) -> None:
    """Raise ValueError if something does not hold."""
    if not holds:
        raise ValueError(otherwise)


def progress(text: str) -> None:
    """Show a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def remove(folder: Path) -> None:
    """Remove a folder."""
    shutil.rmtree(folder)
