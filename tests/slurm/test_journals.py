"""Jobs with a journal on a real cluster: what they lose when their time ends or they are cancelled.

The teacher is a server in this process, so it counts what it is asked.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nt_pkg.files.parquet import read_parquet
from nt_pkg.files.schemas import PROMPTS, TRACES
from tests.slurm import cluster
from tests.slurm.conftest import Note
from tests.slurm.site import Clone, Start, accounted, overlaps, wait_for_job
from tests.unit.fake_openai import MODEL, Fake, serving
from tests.workflow.sandbox import TINY

STUDY = """
pools:
  tiny: {params: {num_rows: 40}, num_shards: 1}
subsets:
  tiny-random: {teacher: asked, size: 2}
  tiny-long: {teacher: asked, size: 2}
teachers:
  asked:
    engine: openai
    params: {model: MODEL}
    runtime: {cpus: 2, mem_mb: 600, batch: 4, server: {base_url: "URL", max_in_flight: 4}}
"""
IN_FLIGHT = 2
SHARD = "results/traces/tiny/asked/shard-0-of-1"
LOG = "logs/generate_traces/tiny/asked/0-of-1.log"


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """Return a clone with the prompts of the study."""
    clone = Clone.make(tmp_path)
    (clone.folder / "asked.yaml").write_text(
        STUDY.replace("MODEL", MODEL).replace("URL", "http://x")
    )
    clone.local("prompts", "--configfile", str(TINY), "asked.yaml")
    return clone


@contextmanager
def waiting(clone: Clone) -> Iterator[tuple[Fake, int]]:
    """Serve all but two of the questions; yield the server and the number of questions."""
    prompts = read_parquet(clone.folder / "results/prompts/tiny/all.parquet", PROMPTS)
    plan = {row["question"]: ["wait"] for row in prompts[:IN_FLIGHT]}
    with serving(plan=plan, patience=600) as fake:
        text = STUDY.replace("MODEL", MODEL).replace("URL", fake.url)
        (clone.folder / "asked.yaml").write_text(text)
        yield fake, len(prompts)


def _start(clone: Clone, *more: str) -> Start:
    return Start(clone, ("traces", "--configfile", str(TINY), "asked.yaml", *more))


def _check(clone: Clone, fake: Fake, number: int) -> None:
    """No row is lost or doubled, and only those in flight were asked for again."""
    rows = read_parquet(clone.folder / f"{SHARD}.parquet", TRACES)
    assert len({row["id"] for row in rows}) == len(rows) == number
    assert {row["status"] for row in rows} == {"ok"}
    entries = (clone.folder / f"{SHARD}.answers/completions.jsonl").read_text().splitlines()
    assert len(set(entries)) == len(entries) == number
    asked = fake.questions()
    assert len(asked) == number + IN_FLIGHT
    assert len(set(asked)) == number


def _answered(clone: Clone) -> int:
    journal = clone.folder / f"{SHARD}.answers/completions.jsonl"
    return journal.read_text().count("\n") if journal.exists() else 0


def _asked(fake: Fake, number: int) -> Callable[[], bool]:
    return lambda: len(fake.asked) == number


def test_time_limit(clone: Clone, note: Note) -> None:
    """A minute is not enough for two answers: the same job starts again and asks for them alone."""
    since = time.time()
    with waiting(clone) as (fake, number):
        with _start(clone, "--set-resources", "generate_traces:runtime=1") as start:
            job = wait_for_job("generate_traces")
            assert cluster.ask("squeue", "-h", "-j", job, "-o", "%C").strip() == "2"
            cluster.wait_until("all answers but two", 60, lambda: _answered(clone) == number - 2)
            cluster.wait_until("the stop", 90, lambda: "stopped by" in _log(clone))
            hit = time.time()
            cluster.wait_until("the next start", 180, _asked(fake, number + IN_FLIGHT))
            seconds = time.time() - hit
            fake.release.set()
            start.finish()
            assert "Trying to restart job" not in start.text()  # Snakemake did not notice
        _check(clone, fake, number)
    jobs = [each for each in accounted(since) if each.rule == "generate_traces"]
    assert {each.id for each in jobs} == {job}
    assert len(jobs) > 1
    states = ", then ".join(each.state for each in jobs)
    note("traces over their time limit", states, "texts in flight", "not needed", seconds)


def test_scancel(clone: Clone, note: Note) -> None:
    """The journal stays; the job is not requeued; Snakemake starts it once more."""
    since = time.time()
    with waiting(clone) as (fake, number):
        with _start(clone) as start:
            job = wait_for_job("generate_traces")
            cluster.wait_until("all answers but two", 60, lambda: _answered(clone) == number - 2)
            hit = time.time()
            cluster.ask("scancel", job)
            cluster.wait_until("the stop", 60, lambda: "stopped by SIGTERM" in _log(clone))
            cluster.wait_until("the next start", 180, _asked(fake, number + IN_FLIGHT))
            seconds = time.time() - hit
            fake.release.set()
            start.finish()
        _check(clone, fake, number)
    jobs = [each for each in accounted(since) if each.rule == "generate_traces"]
    assert [each.state for each in jobs] == ["CANCELLED", "COMPLETED"]
    assert not overlaps(jobs)
    states = ", then ".join(each.state for each in jobs)
    note("scancel of traces", states, "texts in flight", "not needed (retries: 1)", seconds)


def _log(clone: Clone) -> str:
    log = clone.folder / LOG
    return log.read_text() if log.exists() else ""
