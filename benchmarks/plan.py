"""What Snakemake and Slurm cost before and around the work of a job.

    python -m benchmarks.plan             # also: make bench-plan
    python -m benchmarks.plan --quick     # over 20 shards, nothing dispatched

Plans a study of 1,000 shards (5,100 jobs) with the Slurm profile, as `snakemake -n` does. Where the
test cluster can be started, it then dispatches short jobs one by one and in groups of eight, runs
the same jobs without Slurm, and submits as many empty jobs with plain sbatch, all in the same run.
Prints a table and as its last line one JSON object; what could not be measured is null.
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from tests.slurm import cluster
from tests.slurm.site import Clone, Job, Start, accounted
from tests.workflow.sandbox import command, environment, run, table

_NUM_JOBS = 16
_QUICK_SHARDS = 20
_STUDY = f"""\
include: [config/demo.yaml]
study: dispatch
pools:
  dispatch: {{kind: micro, params: {{num_rows: 200, seed: 0}}, num_shards: {_NUM_JOBS}}}
subsets:
  dispatch-random: {{pool: dispatch, teacher: micro-teacher, selector: random, size: 10}}
runs:
  - students: [micro-llama]
    subsets: [dispatch-random]
    formats: [system2]
    seeds: [0]
    benchmarks: [micro_free]
    modes: [think]
report: {{title: What a job costs, is_micro: true}}
"""


def plan(folder: Path, num_shards: int = 1000) -> tuple[float, float]:
    """Return seconds and peak MiB of a dry run over so many shards."""
    study = folder / "benchmarks/thousand_shards.yaml"
    study.write_text(study.read_text().replace("num_shards: 1000", f"num_shards: {num_shards}"))
    arguments = ("-n", "-q", "all", "--configfile", str(study))
    begun = time.monotonic()
    subprocess.run(
        command("snakemake", "--profile", "slurm", *arguments),
        cwd=folder,
        env=environment(folder),
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    seconds = time.monotonic() - begun
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def dispatch(clone: Clone, *arguments: str) -> dict[str, float]:
    """Return seconds of a start of `_NUM_JOBS` short jobs, whole and by part."""
    (clone.folder / "dispatch.yaml").write_text(_STUDY)
    run(clone.folder, command("snakemake", "--profile", "profiles/local", *_target(ingest=True)))
    since = time.time()
    # No more at a time than there are cores, or what is measured is how they wait for each other.
    arguments = (*arguments, "--jobs", str(os.cpu_count() or 1))
    with Start(clone, (*_target(), *arguments)) as start:
        start.finish(1200)
    jobs = [job for job in accounted(since) if job.state == "COMPLETED"]
    own = [
        json.loads(path.read_text().splitlines()[-1])["s"]
        for path in (clone.folder / "timings/shard_prompts").rglob("*.jsonl")
    ]
    noticed, last = _noticed(start.text())
    waits = [job.begin - submitted for job, submitted in _submissions(jobs)]
    # Snakemake does not say which Slurm job a group was; then only the last one is known.
    late = [noticed[job.id] - job.end for job in jobs if job.id in noticed] or [
        last - max(job.end for job in jobs)
    ]
    return {
        "whole": last - since,
        "submit_to_running": _mean(waits),
        "in_the_job": sum(job.end - job.begin for job in jobs) / len(jobs) - _mean(own),
        "end_to_noticed": _mean(late),
        "work": _mean(own),
        "num_slurm_jobs": len(jobs),
    }


def _target(ingest: bool = False) -> tuple[str, ...]:
    what = "results/prompts/dispatch/all.parquet" if ingest else "prompts"
    return (what, "--configfile", "dispatch.yaml")


def _submissions(jobs: list[Job]) -> list[tuple[Job, int]]:
    text = cluster.ask("sacct", "-a", "-X", "-n", "-P", "-S", "now-1day", "-o", "jobid,submit")
    when = dict(line.split("|") for line in text.splitlines())
    return [(job, int(datetime.fromisoformat(when[job.id]).timestamp())) for job in jobs]


def _noticed(text: str) -> tuple[dict[str, float], float]:
    """Return Slurm's job id -> when Snakemake said that the job was finished; and the last time."""
    slurm_id = dict(re.findall(r"Job (\S+) has been submitted with SLURM jobid (\d+)", text))
    found: dict[str, float] = {}
    stamp = last = 0.0
    for line in text.splitlines():
        if match := re.fullmatch(r"\[(\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4})\]", line):
            stamp = datetime.strptime(match[1], "%a %b %d %H:%M:%S %Y").timestamp()
        elif match := re.match(r"Finished jobid: (\S+)", line):
            last = stamp
            if match[1] in slurm_id:
                found[slurm_id[match[1]]] = stamp
    return found, last


def local(clone: Clone) -> float:
    """Return the seconds that the same jobs take on this machine without Slurm."""
    (clone.folder / "dispatch.yaml").write_text(_STUDY)
    run(clone.folder, command("snakemake", "--profile", "profiles/local", *_target(ingest=True)))
    begun = time.monotonic()
    run(clone.folder, command("snakemake", "--profile", "profiles/local", *_target()))
    return time.monotonic() - begun


def bare() -> float:
    """Return the seconds that as many empty jobs take with plain sbatch."""
    begun = time.monotonic()
    for _ in range(_NUM_JOBS):
        cluster.ask("sbatch", "--job-name=empty", "--output=/dev/null", "--wrap=true")
    cluster.wait_until(
        "the empty jobs", 120, lambda: not cluster.ask("squeue", "-h", "--name=empty", "-o", "%i")
    )
    return time.monotonic() - begun


def _mean(values: list[float] | list[int]) -> float:
    return sum(values) / len(values) if values else float("nan")


def main() -> int:
    """Measure, print the table, and end with one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="over 20 shards, without a cluster")
    args = parser.parse_args()
    shards = _QUICK_SHARDS if args.quick else 1000
    with tempfile.TemporaryDirectory(prefix="nt-bench-") as temporary:
        clone = Clone.make(Path(temporary) / "plan")
        seconds, peak = plan(clone.folder, shards)
        rows = [("dry run", f"{shards:,} shards", f"{seconds:.1f} s", f"{peak:.0f} MiB")]
        print(f"planned in {seconds:.1f} s", flush=True)
        single: dict[str, float] = {}
        if reason := "a quick look" if args.quick else cluster.why_not():
            print(f"dispatch not measured: {reason}")
        else:
            was_up = cluster.pid("slurmctld") is not None
            cluster.up()
            try:
                single = _dispatches(Path(temporary), rows)
            finally:
                if not was_up:
                    cluster.down()
    print(table(("what", "how many", "seconds", "more"), rows))
    parts = ("submit_to_running", "in_the_job", "end_to_noticed")
    result = {
        f"seconds_{shards}_shards": round(seconds, 1),
        "peak_mib": round(peak),
        "dispatch_seconds_per_job": round(sum(single[p] for p in parts), 1) if single else None,
        **{part: round(value, 2) for part, value in single.items()},
    }
    print(json.dumps(result))
    return 0


def _dispatches(folder: Path, rows: list[tuple[str, str, str, str]]) -> dict[str, float]:
    count = f"{_NUM_JOBS} jobs"
    none = ("--groups", "none=none")
    single = dispatch(Clone.make(folder / "single"), *none)
    grouped = dispatch(Clone.make(folder / "grouped"))
    for name, found in (("one Slurm job each", single), ("groups of 8, as the profile", grouped)):
        more = (
            f"{found['num_slurm_jobs']:.0f} Slurm jobs; each {found['submit_to_running']:.1f} s to "
            f"running, {found['in_the_job']:.1f} s beside its work, "
            f"{found['end_to_noticed']:.1f} s to be noticed"
        )
        rows.append((f"snakemake --profile slurm, {name}", count, f"{found['whole']:.1f} s", more))
    rows.append(
        ("the same without Slurm", count, f"{local(Clone.make(folder / 'local')):.1f} s", "")
    )
    rows.append(("empty jobs by plain sbatch", count, f"{bare():.1f} s", ""))
    return single


if __name__ == "__main__":
    sys.exit(main())
