"""Run the paper's study in small, and check that nothing of the paper's is missing from it.

    python -m tests.workflow.paper_small                          # make paper-small

Writes made-up sources, answers for the servers while the study runs, and works in the folder
paper-small/ alone; killed at any moment, the same command continues. Then every job of the paper's
plan must have its counterpart among the finished ones, and the report every table and claim.
"""

import csv
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow.parquet as pq
import yaml

from nt_pkg.config.load import read_study
from nt_pkg.config.study import Study
from nt_pkg.files.json_files import read_json
from nt_pkg.jobs.warm_interpreter import die_with_parent
from nt_pkg.plan.validate import load_study
from nt_pkg.snakemake_io.dry_run import Job
from tests import check_report
from tests.unit.fake_openai import serving
from tests.workflow.sandbox import PAPER, ROOT, command, environment, plan
from tests.workflow.small_sources import NUM_CONTAMINATED, write_sources
from tests.workflow.stand_in import MODELS, reply

FOLDER = ROOT / "paper-small"
SMALL = ROOT / "config" / "paper_small.yaml"
# In the paper's study jobs of these load a model; here a server is asked.
SERVED = ("agreement", "domain", "strategies", "verbosity")
_SNAKEFILE = ("-s", str(ROOT / "Snakefile"))
_TEXTS = (".csv", ".html", ".json", ".jsonl", ".log", ".md", ".svg")
JobKey = tuple[str, tuple[tuple[str, str], ...]]


def main() -> int:
    """Run the command line; return 1 if something is missing or wrong."""
    begun = time.monotonic()
    study = load_study(read_study([SMALL]))
    write_sources(FOLDER / "sources")
    key = secrets.token_hex(16)
    with serving(models=MODELS, key=key, reply=reply) as server:
        moved = FOLDER / "server.yaml"
        moved.write_text(yaml.safe_dump(_moved(study, server.url)))
        options = ["--configfile", str(SMALL), str(moved)]
        status = subprocess.run(
            command("scripts.study", *options),
            cwd=FOLDER,
            env=environment(ROOT, NT_ENV_INFERENCE="", TEACHER_API_KEY=key),
            preexec_fn=die_with_parent,
        ).returncode
    if status:
        return status
    print(f"{time.monotonic() - begun:.0f} s, {len(server.asked)} questions to the servers")
    wrong = [*_missing_jobs(options), *_missing_of_report(study), *_unseen(), *_leaks()]
    for line in wrong:
        print(f"paper-small: {line}")
    return int(bool(wrong)) or check_report.main(FOLDER / "results/report" / study.study, [])


def _about(jobs: Sequence[Job]) -> set[JobKey]:
    """Return what the jobs of a plan are about: shards are others, and so is the study's name."""
    left_out = {"shard", "num_shards", "part", "study"}
    return {
        (job.rule, tuple(sorted((k, v) for k, v in job.wildcards.items() if k not in left_out)))
        for job in jobs
    }


def _moved(study: Study, url: str) -> dict[str, Any]:
    """Return an overlay that names the server's address; it is part of no result's identity."""
    moved = {"runtime": {"server": {"base_url": url}}}
    return {
        kind: {name: moved for name, entry in entries.items() if entry.runtime.server is not None}
        for kind, entries in (("teachers", study.teachers), ("annotators", study.annotators))
    }


def _missing_jobs(options: Sequence[str]) -> list[str]:
    """Compare with the paper's plan, and look for the files of each job."""
    with tempfile.TemporaryDirectory() as empty:
        slurm = ["--profile", str(ROOT / "profiles/slurm"), "--directory", empty]
        paper = _about(plan(ROOT, [*_SNAKEFILE, *slurm, "--configfile", str(PAPER)]))
    local = ["--profile", str(ROOT / "profiles/local"), "--directory", str(FOLDER), *options]
    again = plan(ROOT, [*_SNAKEFILE, *local])
    jobs = plan(ROOT, [*_SNAKEFILE, *local, "--forceall"])
    own = _about(jobs)
    loaded = {("fetch_asset", (("kind", "annotators"), ("name", name))) for name in SERVED}
    loaded.add(("fetch_asset", (("kind", "teachers"), ("name", "deepseek-r1"))))
    wrong = [f"no counterpart of {key}" for key in sorted(paper - own - loaded)]
    wrong += [f"not in the paper's plan: {key}" for key in sorted(own - paper)]
    wrong += [
        f"not there: {path}" for job in jobs for path in job.outputs if not (FOLDER / path).exists()
    ]
    wrong += [f"a second start would do something: {job}" for job in again]
    rules = Counter(rule for rule, _ in own)
    print(f"{len(jobs)} jobs for {len(paper)} of the paper's, shards taken together:")
    print(", ".join(f"{number} {rule}" for rule, number in sorted(rules.items())))
    return wrong


def _missing_of_report(study: Study) -> list[str]:
    """Look for each claim, table and figure."""
    folder = FOLDER / "results/report" / study.study
    verdicts = {
        claim["name"]: claim["verdict"] for claim in read_json(folder / "summary.json")["claims"]
    }
    print("claims:", ", ".join(f"{name} {verdict}" for name, verdict in verdicts.items()))
    wrong = [f"no verdict on {c.name}" for c in study.report.claims if not verdicts.get(c.name)]
    page = (folder / "index.html").read_text()
    for number in {row.table for row in study.report.published}:
        if not re.search(rf"[Tt]able {number}\b", page):
            wrong.append(f"the report has no table {number}")
    return wrong


def _unseen() -> list[str]:
    """Return what the made-up rows should have met on their way and did not."""
    results = FOLDER / "results"
    pool = read_json(results / "prompts/natural-reasoning/pool.json")
    traces = read_json(results / "traces/natural-reasoning/deepseek-r1/statistics.json")
    subsets = results / "subsets/natural-reasoning/deepseek-r1"
    semantic = read_json(subsets / "nt-semantic-10k/seed0.json")
    disagree = read_json(subsets / "nt-disagree-10k/seed0.json")
    seen = {
        "contaminated rows": pool["contaminated"] >= NUM_CONTAMINATED,
        "traces that were cut off": "stopped by length" in traces["incomplete"],
        "clusters of questions": semantic["counts"]["num_clusters"] > 1,
        "labels that failed": "annotation agreement failed" in disagree["unusable"],
    }
    return [f"there are no {what}" for what in seen if not seen[what]]


def _leaks() -> list[str]:
    """Return the files that hold a question of GPQA, which none but its own may."""
    with (FOLDER / "sources/gpqa/gpqa_diamond.csv").open(encoding="utf-8", newline="") as file:
        questions = [row["Question"] for row in csv.DictReader(file)]
    paths = [path for name in ("results", "logs", "timings") for path in (FOLDER / name).rglob("*")]
    texts = {
        path: str(pq.read_table(path).to_pydict())
        if path.suffix == ".parquet"
        else path.read_text(encoding="utf-8")
        for path in paths
        if path.suffix in (".parquet", *_TEXTS) and path.is_file()
    }
    print(f"{len(texts)} files read for {len(questions)} questions of GPQA")
    return [
        f"{path} holds a question of GPQA"
        for path, text in texts.items()
        if any(question in text for question in questions)
    ]


if __name__ == "__main__":
    sys.exit(main())
