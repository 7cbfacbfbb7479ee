"""Teachers and annotators with a model, in the job or behind a server, through their rules."""

import secrets
import threading
from pathlib import Path
from typing import Any

import pytest

from nt_pkg.files.json_files import read_json
from nt_pkg.files.parquet import read_parquet
from nt_pkg.files.schemas import ANNOTATIONS, PROMPTS, TRACES
from tests.unit.fake_openai import MODEL, serving
from tests.workflow.sandbox import TINY, command, copy_repository, plan, run

STUDY = """
pools:
  tiny: {params: {num_rows: 6}, num_shards: 1}
subsets:
  tiny-random: {teacher: asked, size: 2}
  tiny-long: {teacher: asked, size: 2}
teachers:
  asked:
"""
BASE = """
    engine: transformers
    source: {builtin: micro-base}
    sampling: {max_tokens: 8}
    runtime: {gpu: 2, or_cpu: true, batch: 2, mem_mb: 3000}
"""
SERVED = """
    engine: openai
    params: {model: MODEL}
    runtime: {mem_mb: 1000, server: {base_url: "URL", key_env: NT_TEST_KEY}}
"""
ANNOTATED = """
pools:
  tiny: {params: {num_rows: 6}, num_shards: 1}
subsets:
  tiny-random: {size: 2}
  tiny-long: {size: 2}
annotators:
  subject:
    kind: domain
    engine: transformers
    source: {builtin: micro-base}
    sampling: {max_tokens: 8}
    runtime: {gpu: 2, or_cpu: true, batch: 2, mem_mb: 3000}
  agreement:
    engine: openai
    engine_params: {model: MODEL}
    runtime: {mem_mb: 1000, server: {base_url: "URL"}}
report: {annotators: [subject]}
"""
PROFILE = ("--profile", "profiles/local")
SNAKEMAKE = command("snakemake", *PROFILE)
OPTIONS = ["--configfile", str(TINY), "overlay.yaml", "--", "traces"]
KEY = secrets.token_hex(16)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    copy_repository(tmp_path / "copy")
    return tmp_path / "copy"


def traces(copy: Path) -> list[dict[str, Any]]:
    folder = copy / "results/traces/tiny/asked"
    return [row for path in folder.glob("*.parquet") for row in read_parquet(path, TRACES)]


@pytest.mark.slow
def test_model_of_a_teacher_is_an_input_of_its_traces(copy: Path) -> None:
    """It is fetched, and the jobs that run it get its files and their GPUs."""
    (copy / "overlay.yaml").write_text(STUDY + BASE)

    planned = plan(copy, [*PROFILE, *OPTIONS])
    run(copy, [*SNAKEMAKE, *OPTIONS])

    assert [job.gpus for job in planned if job.rule == "generate_traces"] == [2]
    assert (copy / "assets/teachers/asked/model.safetensors").exists()
    assert len(traces(copy)) >= 5  # of six drawn, some may be the same
    for row in traces(copy):
        assert row["status"] != "failed" and 1 <= row["completion_tokens"] <= 8


@pytest.mark.slow
def test_server_of_a_teacher_may_move_and_its_key_stays_secret(copy: Path) -> None:
    served = (STUDY + SERVED).replace("MODEL", MODEL)
    with serving(key=KEY) as fake:
        (copy / "overlay.yaml").write_text(served.replace("URL", fake.url))
        printed = run(copy, [*SNAKEMAKE, "--printshellcmds", *OPTIONS], NT_TEST_KEY=KEY)
    (copy / "overlay.yaml").write_text(served.replace("URL", "https://elsewhere:1/v1"))
    moved = run(copy, [*SNAKEMAKE, *OPTIONS])

    assert "othing to be done" in moved
    assert len(traces(copy)) == len(fake.asked) >= 5
    assert {row["status"] for row in traces(copy)} == {"ok"}
    assert KEY not in printed
    assert not any(KEY.encode() in path.read_bytes() for path in copy.rglob("*") if path.is_file())


@pytest.mark.slow
def test_jobs_share_what_a_server_admits(copy: Path) -> None:
    """Two cores would run two jobs at a time, with six requests in flight."""
    study = (STUDY + SERVED).replace("MODEL", MODEL).replace("num_shards: 1", "num_shards: 4")
    study = study.replace("runtime: {", "runtime: {batch: 3, ")
    study = study.replace("num_rows: 6", "num_rows: 24")
    with serving(key=KEY, queue=threading.Semaphore(100), seconds=0.3) as fake:
        limited = study.replace("{base_url", "{max_in_flight: 4, base_url").replace("URL", fake.url)
        (copy / "overlay.yaml").write_text(limited)
        run(copy, [*SNAKEMAKE, *OPTIONS], NT_TEST_KEY=KEY)

    assert {row["status"] for row in traces(copy)} == {"ok"}
    assert fake.most == 3


@pytest.mark.slow
def test_rows_that_failed_are_asked_for_again_and_no_others(copy: Path) -> None:
    """After the shards and the study have ended, by one command."""
    study = (STUDY + SERVED).replace("MODEL", MODEL).replace("num_shards: 1", "num_shards: 3")
    retry = command("scripts.retry", "--teacher", "asked", *OPTIONS[:-2])
    statistics = copy / "results/traces/tiny/asked/statistics.json"
    with serving(key=KEY) as fake:
        (copy / "overlay.yaml").write_text(study.replace("URL", fake.url))
        run(copy, [*SNAKEMAKE, "--configfile", str(TINY), "overlay.yaml", "--", "prompts"])
        prompts = read_parquet(copy / "results/prompts/tiny/all.parquet", PROMPTS)
        fake.plan = {prompts[n]["question"]: [(400, {})] for n in (0, 1)}
        run(copy, [*SNAKEMAKE, *OPTIONS], NT_TEST_KEY=KEY)
        num_asked = len(fake.asked)
        assert read_json(statistics)["status"]["failed"] == 2
        fake.plan.clear()
        said = run(copy, retry)
        assert len(fake.asked) == num_asked
        run(copy, [*retry, "--run", "traces"], NT_TEST_KEY=KEY)

    assert "no, says" in said and "rows failed" in said
    assert sorted(fake.questions()[num_asked:]) == sorted(p["question"] for p in prompts[:2])
    assert {row["status"] for row in traces(copy)} == {"ok"}
    assert "failed" not in read_json(statistics)["status"]
    assert run(copy, retry) == "no row failed\n"
    assert "othing to be done" in run(copy, [*SNAKEMAKE, *OPTIONS])


@pytest.mark.slow
def test_model_of_an_annotator_is_an_input_of_its_labels(copy: Path) -> None:
    """One that says nothing of use makes rows that failed; a judge is asked by the job itself."""
    with serving() as fake:
        overlay = ANNOTATED.replace("MODEL", MODEL).replace("URL", fake.url)
        (copy / "overlay.yaml").write_text(overlay)
        options = [*OPTIONS[:-1], "annotations"]
        planned = plan(copy, [*PROFILE, *options])
        run(copy, [*SNAKEMAKE, *options])

    gpus = {job.wildcards["annotator"]: job.gpus for job in planned if job.rule == "annotate"}
    assert (gpus["subject"], gpus["agreement"]) == (2, 0)
    assert (copy / "assets/annotators/subject/model.safetensors").exists()
    found = {
        path.parent.name: read_parquet(path, ANNOTATIONS)
        for path in (copy / "results/annotations/tiny/micro-teacher").glob("*/*.parquet")
    }
    assert {row["status"] for row in found["subject"]} == {"failed"}
    assert all(row["error"].startswith("the answer ") for row in found["subject"])
    # The server repeats what it is asked, which names both verdicts, so it gives none.
    verdicts = [row["value"] for row in found["agreement"]]
    assert 1 <= verdicts.count(None) == len(fake.asked) < len(verdicts)
