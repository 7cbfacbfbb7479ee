"""A study of one run: what is damaged, purged, copied and killed is a copy of it."""

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from nt_pkg.snakemake_io.dry_run import Job
from nt_pkg.snakemake_io.events import Tail
from nt_pkg.snakemake_io.stages import STAGES
from tests.workflow.sandbox import TINY, copy_repository

CONFIG = ("--configfile", "one.yaml")
SNAKEMAKE = ("-s", "Snakefile", "--profile", "profiles/local", *CONFIG)
RUN = Path("results/sft/tiny-llama/tiny-long/system2/seed0")
ALL = ("results", "assets", "timings", ".snakemake")  # what a start leaves in a clone
# What an edited selector reruns.
BRANCH = (
    *("select_subset", "build_examples", "train", "export_model"),
    *("sample_answers", "grade", "build_report"),
)


def write_study(folder: Path, **edits: Any) -> None:
    """Write the study: one run of the tiny one, with some benchmarks and parameters."""
    study = {
        "include": [str(TINY)],
        "study": "one",
        "runs": [
            {
                "students": ["tiny-llama"],
                "subsets": ["tiny-long"],
                "formats": ["system2"],
                "seeds": [0],
                "benchmarks": edits.pop("benchmarks", ["tiny_free"]),
                "modes": ["think"],
            }
        ],
        "report": {"annotators": []},
        **edits,
    }
    (folder / "one.yaml").write_text(yaml.safe_dump(study))


def copy_study(finished: Path, to: Path, names: Sequence[str], with_times: bool = True) -> Path:
    """Copy a clone with some folders, as `cp -r` does, with `-p` or without."""
    copy_repository(to)
    write_study(to)
    for name in names:
        copy = shutil.copy2 if with_times else shutil.copyfile
        shutil.copytree(finished / name, to / name, copy_function=copy)
    if not with_times:  # the order in which they were copied is any
        files = sorted(path for path in (to / "results").rglob("*") if path.is_file())
        for second, path in enumerate(reversed(files)):
            os.utime(path, (1_700_000_000 + second,) * 2)
    return to


def rules_of(jobs: Iterable[Job]) -> Counter[str]:
    """Return how many jobs of each rule are among jobs."""
    return Counter(job.rule for job in jobs if job.rule in STAGES)


def ran(folder: Path) -> Counter[str]:
    """Return how many jobs of each rule the last start began."""
    events = Tail(folder / "logs/study.events.jsonl").new()
    return Counter(e["rule"] for e in events if e["event"] == "started" and e["rule"] in STAGES)
