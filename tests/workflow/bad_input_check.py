"""Damage every artifact of a small study in every way, and see what its readers say.

    python -m tests.workflow.bad_input_check            # all of them
    python -m tests.workflow.bad_input_check --quick    # for CI: each artifact once, in a minute
    python -m tests.workflow.bad_input_check -k subset  # artifacts whose rule or path has this word

The cases come from the plan of the study: every output that a rule declares, cut, with a flipped
bit, empty, with another schema, with the content of another artifact, and missing. A new artifact
joins by itself. One job of each rule that reads it is run on it. Then come configurations with a
defect. Each case ends in one of these ways:

    clear   the job failed, and its last line says which file is wrong and what to do
    same    the job made what it had made before, so what was damaged is nothing that it reads
    raw     it failed in another way, such as with a trace of Python
    silent  it made something else and said nothing

Prints the counts, and what was raw or silent; status 1 if anything was.
"""

import argparse
import contextlib
import hashlib
import importlib
import os
import re
import runpy
import shlex
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nt_pkg.jobs.command import ERROR
from nt_pkg.jobs.warm_interpreter import _LIBRARIES
from tests.workflow.sandbox import ROOT, TINY, environment, plan, run, table

_MOST_SECONDS = 120.0  # for one job
_QUICK_SECONDS = 30.0  # with the study before, a minute
_SLOW = {"train"}  # not in the quick form
_TIMES = {"run.json"}  # they hold the time that something took
COUNTED = ("clear", "same", "raw", "silent")


@dataclass(frozen=True)
class Reader:
    """A job that reads an artifact: its rule and its command."""

    rule: str
    command: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """One damaged file and one job that reads it."""

    artifact: str
    path: Path
    damage: str
    reader: Reader

    def __str__(self) -> str:
        """Return its name."""
        return f"{self.artifact} {self.path} {self.damage} -> {self.reader.rule}"


# What is done to a file: (its bytes, bytes of another artifact of the same form) -> its bytes.


def _cut(content: bytes, _: bytes) -> bytes:
    return content[: len(content) // 2]


def _flipped(content: bytes, _: bytes) -> bytes:
    at = len(content) // 2
    return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :] if content else b"?"


def _empty(*_: bytes) -> bytes:
    return b""


def _other_schema(content: bytes, _: bytes) -> bytes:
    if content[:4] == b"PAR1":
        import pyarrow as pa
        import pyarrow.parquet as pq

        sink = pa.BufferOutputStream()
        pq.write_table(pa.table({"other": [1, 2]}), sink)
        return bytes(sink.getvalue().to_pybytes())
    return b'{"other": [1, null]}'


def _foreign(_: bytes, other: bytes) -> bytes:
    return other


def _missing(*_: bytes) -> None:
    return None


DAMAGES: dict[str, Callable[[bytes, bytes], bytes | None]] = {
    "cut": _cut,
    "flipped": _flipped,
    "empty": _empty,
    "other schema": _other_schema,
    "foreign": _foreign,
    "missing": _missing,
}

CONFIGURATIONS = [
    "subsets: {tiny-long: {size: true}}",
    "subsets: {tiny-long: {size: 0100}}",
    "subsets: {tiny-long: {size: .inf}}",
    "subsets: {tiny-long: {sise: 3}}",
    "subsets: {tiny-long: {size: 3, size: 4}}",
    "subsets: {tiny-long: {selector: strategies, params: {r_min: 9, r_max: 2}}}",
    "subsets: {tiny-long: {teacher: nobody}}",
    "runs: [{students: [tiny-llama], subsets: [tiny-long], formats: [system2], seeds: [yes], "
    "benchmarks: [tiny_free], modes: [think]}]",
    "runs: []",
    "runs: [{students: []}]",
    "students: {tiny-llama: {training: {learning_rate: .nan}}}",
    "students: {tiny-llama: {source: {builtin: null, path: ''}}}",
    "students: {tiny-llama: {source: {builtin: null, path: /nowhere}}}",
    "pools: {tiny: {num_shards: 0}}",
    "pools: {tiny: {params: {num_rows: -1}}}",
    "benchmarks: {tiny_free: {kind: micro_fre}}",
    "report: {comparisons: [{name: x, kind: difference, a: {subset: tiny-lng}, b: {}}]}",
    "report: {comparisons: [{name: x, kind: difference, a: {sub: tiny-long}, b: {}}]}",
    "report: {comparisons: [{name: x, kind: scaling, groups: []}]}",
    "report: {published: [{table: '1', row: R, accuracy: {tiny_fre: 1}}]}",
    "report: {earlier: ''}",
    "include: [nowhere.yaml]",
    "a: [1",
    "- 1",
    "[" * 3000,
]


class Study:
    """A finished study, and the jobs that made it."""

    def __init__(self, folder: Path) -> None:
        """Run the study, if it has not run there before, and read its plan."""
        self.folder = folder
        self.arguments = [
            *("-s", str(ROOT / "Snakefile"), "--profile", str(ROOT / "profiles/local")),
            *("--configfile", str(ROOT / TINY)),
        ]
        run(
            folder,
            [sys.executable, "-m", "scripts.study", *self.arguments[4:]],
            PYTHONPATH=str(ROOT),
        )
        forced = [*self.arguments, "--forceall"]
        jobs = [job for job in plan(folder, forced, PYTHONPATH=str(ROOT)) if job.outputs]
        said = run(
            folder,
            [sys.executable, "-m", "snakemake", "-n", "-p", *forced],
            PYTHONPATH=str(ROOT),
        )
        commands = [shlex.split(line) for line in said.splitlines() if " -m scripts." in line]
        self.readers = []
        for job in jobs:
            named = set(job.outputs)
            for command in commands:
                if named & set(command):
                    self.readers.append(Reader(job.rule, _bare(command), job.outputs))
                    break

    def cases(self, word: str) -> Iterator[Case]:
        """Yield a case for each artifact, each way of damage, and each rule that reads it."""
        seen: set[tuple[str, str, str]] = set()
        for made_by in self.readers:
            for output in made_by.outputs:
                for reader in self._reading(output, made_by):
                    artifact = f"{made_by.rule}: {re.sub(r'[0-9]+', 'N', Path(output).name)}"
                    if word not in f"{artifact} {output}":
                        continue
                    for path in _files(self.folder / output):
                        key = artifact, path.name if path.is_dir() else path.suffix, reader.rule
                        if key in seen:
                            continue
                        seen.add(key)
                        for damage in DAMAGES:
                            place = path.relative_to(self.folder)
                            yield Case(artifact, place, damage, reader)

    def _reading(self, output: str, made_by: Reader) -> list[Reader]:
        """Return a job of each rule that reads an output, or for a folder one of its neighbours."""
        found: dict[str, Reader] = {}
        for names in ({output}, set(made_by.outputs)):
            for reader in self.readers:
                if reader != made_by and names & set(reader.command) - set(reader.outputs):
                    found.setdefault(reader.rule, reader)
            if found or not (self.folder / output).is_dir():
                break
        return list(found.values())

    def other(self, path: Path) -> bytes:
        """Return the content of another artifact of the same form."""
        own = (self.folder / path).read_bytes()
        for reader in self.readers:
            for output in reader.outputs:
                found = self.folder / output
                if found.suffix == path.suffix and found.is_file() and found.parent != path.parent:
                    content = found.read_bytes()
                    if content[:64] != own[:64] or len(content) != len(own):
                        return content
        return b"[1, 2]"


def _files(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    return sorted(each for each in place.rglob("*") if each.is_file() and each.stat().st_size)


def _bare(command: Sequence[str]) -> tuple[str, ...]:
    """Return module and arguments of a job, without its redirections."""
    at = command.index("-m")
    end = command.index(">") if ">" in command else len(command)
    return tuple(command[at + 1 : end])


def outcome(study: Study, case: Case) -> tuple[str, str]:
    """Return how a case ends, and the end of what the job said."""
    place = study.folder / case.path
    aside = place.with_name(f"{place.name}.aside")
    content = DAMAGES[case.damage](place.read_bytes(), study.other(case.path))
    place.rename(aside)
    try:
        if content is not None:
            place.write_bytes(content)
        with tempfile.TemporaryDirectory(prefix="nt-") as out:
            status, said = run_job(study.folder, case.reader, Path(out))
            if status == 0:
                is_same = made(Path(out)) == made_by_good(study, case.reader, aside, place)
                return ("same" if is_same else "silent"), said[-500:]
    finally:
        place.unlink(missing_ok=True)
        aside.rename(place)
    last = next((line for line in reversed(said.splitlines()) if line.startswith(ERROR)), "")
    names = {case.path.name, case.path.parent.name, case.path.parent.parent.name}
    is_clear = "Traceback" not in said and any(name in last for name in names if name)
    return ("clear" if is_clear else "raw"), said[-700:]


_good: dict[Reader, dict[str, str]] = {}


def made_by_good(study: Study, reader: Reader, aside: Path, place: Path) -> dict[str, str]:
    """Return digests of what a job makes of good files; each job is run once for it."""
    if reader not in _good:
        damaged = place.read_bytes() if place.exists() else None
        place.unlink(missing_ok=True)
        aside.rename(place)
        try:
            with tempfile.TemporaryDirectory(prefix="nt-") as out:
                status, said = run_job(study.folder, reader, Path(out))
                assert status == 0, f"{reader.rule} fails on good files:\n{said[-2000:]}"
                _good[reader] = made(Path(out))
        finally:
            place.rename(aside)
            if damaged is not None:
                place.write_bytes(damaged)
    return _good[reader]


def made(folder: Path) -> dict[str, str]:
    """Return file -> digest of what a job made; notes beside the files count for nothing."""
    return {
        each.relative_to(folder).as_posix(): hashlib.sha256(each.read_bytes()).hexdigest()
        for each in sorted(folder.rglob("*"))
        if each.is_file()
        and not each.name.startswith((".", "events.out"))
        and each.name not in _TIMES
        and "work" not in each.relative_to(folder).parts
    }


def run_job(folder: Path, reader: Reader, out: Path) -> tuple[int, str]:
    """Return the status of a job that writes below `out`, and what it said."""
    outputs = set(reader.outputs)
    argv = [str(out / each) if each in outputs else each for each in reader.command]
    return forked(argv, folder, out / ".log", NT_WORK=str(out / "work"), HF_HUB_OFFLINE="1")


def forked(argv: Sequence[str], folder: Path, log: Path, **variables: str) -> tuple[int, str]:
    """Return the status of a module in a fork of this process, and what it said.

    The fork has imported what jobs need, so a case takes no longer than its work.
    """
    pid = os.fork()
    if not pid:
        code = 1
        try:
            with log.open("w") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            os.chdir(folder)
            os.environ.update(environment(ROOT, **variables))
            sys.argv = list(argv)
            signal.alarm(int(_MOST_SECONDS))
            runpy.run_module(argv[0], run_name="__main__", alter_sys=True)
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            traceback.print_exc()
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), log.read_text(errors="replace")


def configured(folder: Path, text: str) -> tuple[str, str]:
    """Return how a start with a configuration ends, and what it said."""
    path = folder / "defect.yaml"
    path.write_text(text)
    argv = ["scripts.plan", "--configfile", str(ROOT / TINY), str(path)]
    status, said = forked(argv, folder, folder / "defect.log")
    if not status:
        return "silent", said[-500:]
    is_clear = "Traceback" not in said and ERROR in said
    return ("clear" if is_clear else "raw"), said[-700:]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one case of each artifact")
    parser.add_argument("-k", dest="word", default="", help="only these artifacts")
    parser.add_argument("--folder", type=Path, help="where the study lies, or is made")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="nt-") as temporary:
        folder = (args.folder or Path(temporary)).resolve()
        folder.mkdir(exist_ok=True)
        study = Study(folder)
        cases = list(study.cases(args.word))
        if args.quick:  # each artifact with another damage, in turn
            kinds = list(dict.fromkeys((case.artifact, case.path.suffix) for case in cases))
            chosen = {kind: list(DAMAGES)[at % len(DAMAGES)] for at, kind in enumerate(kinds)}
            cases = [c for c in cases if chosen[c.artifact, c.path.suffix] == c.damage]
            cases = [c for c in cases if c.reader.rule not in _SLOW]
        for name in _LIBRARIES:
            importlib.import_module(name)
        begun = time.monotonic()
        counts: dict[str, Counter[str]] = {}
        bad = []
        for number, case in enumerate(cases):
            how, said = outcome(study, case)
            counts.setdefault(case.artifact, Counter())[how] += 1
            if how in ("raw", "silent"):
                bad.append(f"{how}: {case}\n{said}\n")
            print(f"[{number + 1}/{len(cases)}] {how:6} {case}", flush=True)
            if args.quick and time.monotonic() - begun > _QUICK_SECONDS:
                print(f"stopped after {_QUICK_SECONDS:.0f} s: {number + 1} of {len(cases)} cases")
                break
        for text in [] if args.word else CONFIGURATIONS[:: 5 if args.quick else 1]:
            how, said = configured(folder, text)
            counts.setdefault("configurations", Counter())[how] += 1
            if how in ("raw", "silent"):
                bad.append(f"{how}: {text[:80]}\n{said}\n")
    total = sum(counts.values(), Counter[str]())
    rows = [[name, each.total(), *(each[how] for how in COUNTED)] for name, each in counts.items()]
    rows.append(["all", total.total(), *(total[how] for how in COUNTED)])
    print("\n".join(bad))
    print(table(["artifact", "tried", *COUNTED], rows))
    return int(bool(bad) or not total["clear"])


if __name__ == "__main__":
    sys.exit(main())
