"""Check what an edit reruns: each selector, size, format, grader ... only what hangs on it.

    python -m tests.workflow.rebuild_check            # make rebuild-check
    python -m tests.workflow.rebuild_check --keep /tmp/rebuild -k grader

A tiny study runs to its end in a copy of the repository. Then every case edits something, asks
Snakemake for a dry run (or runs), compares the number of jobs of each rule with the table below and
takes the edit back. Prints a table, and ends with status 1 if anything differs.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from nt_pkg.snakemake_io.events import Tail
from nt_pkg.snakemake_io.stages import STAGES
from tests.workflow.sandbox import TINY, command, copy_repository, plan, run, table

Study = dict[str, Any]
CONFIG = ("--configfile", str(TINY))
LONG, FREE = "nt_pkg/selectors/long.py", "nt_pkg/benchmarks/micro_free.py"
NEW_SELECTOR = '''"""Short: the shortest traces."""

from nt_pkg.config.base import NoParams
from nt_pkg.selectors._base import Candidates, Picks, Selector


def select_short(params: NoParams, candidates: Candidates, size: int, seed: int) -> Picks:
    """Return the shortest traces."""
    tokens = candidates.label("length", "num_tokens")
    positions = tokens.argsort(kind="stable")[:size]
    return Picks(positions, tokens[positions])


SELECTOR = Selector(params=NoParams, requires=("length",), select=select_short)
'''


@dataclass(frozen=True)
class Case:
    """One thing a user does, and the jobs that should run then; rules left out should not.

    Attributes:
        name: what is done.
        jobs: rule -> number of jobs.
        study: edits the configuration in place.
        files: path, old text, new text; no old text means a new file.
        act: does anything else in the copy, and returns how to take it back.
        environment: variables of the dry run.
        is_run: run instead of planning; what it cost to go back is checked in the same way.
    """

    name: str
    jobs: dict[str, int]
    study: Callable[[Study], object] | None = None
    files: tuple[tuple[str, str | None, str], ...] = ()
    act: Callable[[Path], Callable[[], object] | None] | None = None
    environment: dict[str, str] = field(default_factory=dict)
    is_run: bool = False


def branch(evals: int, **more: int) -> dict[str, int]:
    """Return the jobs of one run that trains, with its evaluations and the report."""
    train = dict.fromkeys(("build_examples", "train", "export_model"), 1)
    return {**more, **train, "sample_answers": evals, "grade": evals, "build_report": 1}


def set_runtime(study: Study) -> None:
    """Change how the student's jobs are spread over the machine."""
    study["students"]["tiny-llama"]["runtime"].update(
        generation_batch=3,
        generation_answers=4,
        num_ranks=1,
        gpu=1,
        zero_stage=3,
        micro_batch_tokens=512,
        mem_mb=1500,
    )


def reverse_keys(value: Any) -> None:
    """Reverse the order of the keys of every map, in place."""
    for inner in list(value.values()) if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            reverse_keys(inner)
    if isinstance(value, dict):
        items = list(value.items())[::-1]
        value.clear()
        value.update(items)


def move_student(folder: Path) -> Callable[[], object]:
    """Copy the untrained student to another place; the configuration is edited to match."""
    shutil.copytree(folder / "nt_pkg/microworld/base", folder / "moved")
    return lambda: shutil.rmtree(folder / "moved")


def touch_everything(folder: Path) -> None:
    """Give every file of the copy a new time, results in the order in which they were made."""
    for name in ("nt_pkg", "scripts", "config", "rules", "assets", "results"):
        found = [path for path in (folder / name).rglob("*") if path.is_file()]
        for path in sorted(found, key=lambda path: path.stat().st_mtime_ns):
            path.touch()


def keep_report(folder: Path) -> Callable[[], object]:
    """Copy the report away, as a user does before an edit."""
    reports = folder / "results/report"
    shutil.copytree(reports / "tiny", reports / "tiny-before")
    return lambda: shutil.rmtree(reports / "tiny-before")


def delete(name: str) -> Callable[[Path], Callable[[], object]]:
    """Return an action that deletes a file and can bring it back with its time."""

    def act(folder: Path) -> Callable[[], object]:
        kept = (folder / name).read_bytes(), (folder / name).stat()

        def undo() -> None:
            (folder / name).write_bytes(kept[0])
            os.utime(folder / name, ns=(kept[1].st_atime_ns, kept[1].st_mtime_ns))

        (folder / name).unlink()
        return undo

    return act


def add_subset(name: str, **entry: Any) -> Callable[[Study], object]:
    """Return an edit that adds a subset and trains on it."""

    def edit(study: Study) -> None:
        study["subsets"][name] = {"pool": "tiny", "teacher": "micro-teacher", **entry}
        study["runs"].append({**study["runs"][2], "subsets": [name], "formats": ["system2"]})

    return edit


def add_student(study: Study) -> None:
    """Add a student with another learning rate, trained on one subset."""
    student = study["students"]["tiny-llama"]
    training = {**student["training"], "learning_rate": 0.001}
    study["students"]["other-llama"] = {**student, "training": training}
    study["runs"].append({**study["runs"][2], "students": ["other-llama"]})


def add_benchmark(study: Study) -> None:
    """Add a benchmark to the two runs of the second block."""
    study["benchmarks"]["tiny_more"] = {"kind": "micro_free", "params": {"num_questions": 5}}
    study["runs"][1]["benchmarks"].append("tiny_more")


LONG_ALONE = branch(2, select_subset=1)
CASES = (
    Case("nothing", {}),
    Case(
        "parameter of a selector",
        LONG_ALONE,
        study=lambda s: s["subsets"]["tiny-long"]["params"].update(scale_tokens=55),
    ),
    Case(
        "code of a selector",
        LONG_ALONE,
        files=((LONG, "params.scale_tokens, params.power", "params.scale_tokens, 2.0"),),
    ),
    Case(
        "shared code that one selector in use calls",
        LONG_ALONE,  # the other one does not call this function
        files=(("nt_pkg/selectors/_base.py", '"keep", seed', '"kept", seed'),),
    ),
    Case(
        "comment and docstring of a selector",
        {},
        files=(
            (LONG, "    lengths = ", "    # A comment.\n    lengths = "),
            (LONG, '"""Return traces drawn', '"""Give traces drawn'),
        ),
    ),
    Case("order of keys in the configuration", {}, study=reverse_keys),
    Case("runtime of a student", {}, study=set_runtime),
    Case(
        "cores and resources of the profile, place of unfinished work",
        {},
        files=(
            (
                "profiles/local/profile.yaml",
                "cores: all",
                "cores: 1\nset-resources: [train:mem_mb=5]",
            ),
        ),
        environment={"NT_WORK": "/nowhere"},
    ),
    Case(
        "files of a student moved",
        {},
        study=lambda s: s["students"]["tiny-llama"].update(source={"path": "moved"}),
        act=move_student,
    ),
    Case("every file touched", {}, act=touch_everything),
    Case(
        "new selector",
        branch(1, select_subset=1),
        files=(("nt_pkg/selectors/short.py", None, NEW_SELECTOR),),
        study=add_subset("tiny-short", selector="short", size=12),
    ),
    Case(
        "new size",
        branch(1, select_subset=1),
        study=add_subset("tiny-random-20", selector="random", size=20),
    ),
    Case(
        "new seed",
        branch(1, select_subset=1),
        study=lambda s: s["runs"][2]["seeds"].append(1),
    ),
    Case("new format", branch(1), study=lambda s: s["runs"][2]["formats"].append("system1")),
    Case("new student", branch(1, fetch_asset=1), study=add_student),
    Case(
        "new benchmark",
        {"sample_answers": 2, "grade": 2, "build_report": 1},
        study=add_benchmark,
    ),
    Case("a run dropped", {"build_report": 1}, study=lambda s: s["runs"].pop(2)),
    Case(
        "prompt of a benchmark",
        {"sample_answers": 4, "grade": 4, "build_report": 1},
        files=((FREE, "return item.question", 'return item.question + " Tell me."'),),
    ),
    Case(
        "grader of a benchmark",
        {"grade": 4, "build_report": 1},
        files=((FREE, "words[-1]", "words[0]"),),
    ),
    Case(
        "score file deleted",
        {"grade": 1, "build_report": 1},
        act=delete("results/evals/tiny-llama/tiny-long/system2/seed0/tiny_free/think.json"),
    ),
    Case(
        "annotator that a selector needs",
        {**LONG_ALONE, "annotate": 2},
        files=(("nt_pkg/annotators/length.py", r"|\n+", r"|\n"),),
    ),
    Case(
        "annotator that a format needs",
        branch(1, annotate=2),
        files=(("nt_pkg/annotators/agreement.py", '.strip(" .$")', '.strip(" .$!")'),),
    ),
    Case(
        "title of the report",
        {"build_report": 1},
        study=lambda s: s["report"].update(title="Another title"),
    ),
    Case(
        "earlier report named (run)",
        {"build_report": 1},
        study=lambda s: s["report"].update(earlier="results/report/tiny-before"),
        act=keep_report,
        is_run=True,
    ),
    Case(
        "code of the report",
        {"build_report": 1},
        files=(("nt_pkg/report/wording.py", "{100 * value:.1f}", "{100 * value:.2f}"),),
    ),
    Case(
        "code that gathers what the report shows",
        {"build_report": 1},
        files=(("nt_pkg/report/labels.py", "_NUM_BINS = 12", "_NUM_BINS = 10"),),
    ),
    Case(
        "selector that still picks the same ids (run)",
        # The manifest says how the ids were picked, and the report shows it.
        {"select_subset": 1, "build_report": 1},
        files=((LONG, "params.power, size", "params.power * 1.0, size"),),
        is_run=True,
    ),
    Case("nothing, after all edits were taken back", {}),
)


@contextmanager
def edited(folder: Path, case: Case) -> Iterator[None]:
    """Make a case's edits, and take them back at the end."""
    before: dict[Path, str | None] = {folder / TINY: (folder / TINY).read_text()}
    undo = case.act(folder) if case.act else None
    if case.study:
        study = yaml.safe_load(before[folder / TINY] or "")
        case.study(study)
        (folder / TINY).write_text(yaml.safe_dump(study, sort_keys=False))
    for name, old, new in case.files:
        path = folder / name
        before.setdefault(path, None if old is None else path.read_text())
        if old is not None:
            text = path.read_text()
            assert old in text, f"{case.name}: {name} has no {old!r}"
            path.write_text(text.replace(old, new, 1))
        else:
            path.write_text(new)
    try:
        yield
    finally:
        for path, original in before.items():
            if original is None:
                path.unlink()
            elif path.read_text() != original:
                path.write_text(original)
        if undo:
            undo()


def observe(folder: Path, case: Case) -> Counter[str]:
    """Return the number of jobs of each rule that a case plans, or runs."""
    if case.is_run:
        run(folder, command("scripts.study", *CONFIG))
        events = Tail(folder / "logs/study.events.jsonl").new()
        rules = [event["rule"] for event in events if event["event"] == "started"]
    else:
        snakemake = ["-s", "Snakefile", "--profile", "profiles/local", *CONFIG]
        rules = [job.rule for job in plan(folder, snakemake, **case.environment)]
    return Counter(rule for rule in rules if rule in STAGES)


def check(folder: Path, cases: Sequence[Case]) -> Iterator[tuple[str, str, int, int]]:
    """Yield case, rule, expected and observed number of jobs; `-` where no rule is meant to run."""
    run(folder, command("scripts.study", *CONFIG))
    for case in cases:
        with edited(folder, case):
            found = [observe(folder, case)]
        names = [case.name]
        if case.is_run:  # going back to the old code is an edit of the same kind
            found.append(observe(folder, case))
            names.append(f"{case.name}, taken back")
        for name, observed in zip(names, found, strict=True):
            rules = [rule for rule in STAGES if case.jobs.get(rule) or observed[rule]]
            for rule in rules:
                yield name, rule, case.jobs.get(rule, 0), observed[rule]
            if not rules:
                yield name, "-", 0, 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-k", default="", help="only cases with this in their name")
    parser.add_argument("--keep", type=Path, help="work in this new folder and leave it")
    args = parser.parse_args(argv)
    cases = [case for case in CASES if args.k in case.name]
    with tempfile.TemporaryDirectory(prefix="nt-rebuild-") as temporary:
        folder = args.keep or Path(temporary, "copy")
        copy_repository(folder)
        rows = []
        for row in check(folder, cases):
            rows.append((*row, "" if row[2] == row[3] else "DIFFERS"))
    sys.stdout.write(table(("case", "rule", "expected", "observed", ""), rows))
    num_wrong = len({row[0] for row in rows if row[-1]})
    sys.stdout.write(f"{len(cases)} cases, {num_wrong} differ\n")
    return int(num_wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
