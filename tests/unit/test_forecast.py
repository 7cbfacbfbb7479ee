"""GPU-hours of jobs that read or write text, against numbers reckoned by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nt_pkg.config.engines import EngineRuntime
from nt_pkg.config.load import read_study
from nt_pkg.config.study import Study
from nt_pkg.cost.decoder_shape import read_shape
from nt_pkg.cost.generation import (
    PastAnswers,
    Workload,
    generation_cost,
    gpu_seconds,
    model_of,
    workload_of,
)
from nt_pkg.cost.gpu_hours import Forecasts
from nt_pkg.cost.ranges import Ranges
from nt_pkg.files.json_files import write_json
from nt_pkg.plan.validate import load_study
from nt_pkg.snakemake_io.dry_run import Job
from nt_pkg.snakemake_io.timings import Timings

CONFIG = Path(__file__).parents[2] / "config"
FILES = ("paper_pool", "paper_models", "paper_benchmarks")
SERVER = {"base_url": "http://localhost:8000/v1"}
RUN = {
    "student": "llama-3.1-8b",
    "subset": "big",
    "format": "system2",
    "seed": "0",
    "benchmark": "supergpqa",
    "mode": "think",
}
SHARD = {"pool": "natural-reasoning", "shard": "3", "num_shards": "16"}
READ = {**SHARD, "annotator": "domain"}


def _study(change: Callable[[dict[str, Any]], None] = lambda found: None) -> Study:
    """Return the tests' study with the paper's catalogue and a teacher behind a server."""
    files = [CONFIG / f"{name}.yaml" for name in FILES]
    found = read_study([CONFIG.parent / "tests" / "study.yaml", *files])
    found["annotators"] |= read_study([CONFIG / "paper_annotators.yaml"])["annotators"]
    found["teachers"]["served"] = {
        "engine": "openai",
        "params": {"model": "r1"},
        "runtime": {"server": SERVER},
    }
    found["pools"]["natural-reasoning"]["num_shards"] = 16
    change(found)
    return load_study(found)


@pytest.fixture(scope="module")
def study() -> Study:
    return _study()


def _job(rule: str, gpus: int, minutes: int = 720, gpu: str = "", **wildcards: str) -> Job:
    resources = {"runtime": str(minutes), **({"gpu_model": gpu} if gpu else {})}
    *names, last = wildcards.values()
    if rule == "sample_answers":
        (*names, last), part = list(wildcards.values())[:6], wildcards.get("part", "")
        last += part
    timing = Path("timings", rule, *names, f"{last}.jsonl")
    return Job(rule, False, wildcards, (), timing, gpus, resources=resources)


def _timed(folder: Path, job: Job, seconds: float) -> None:
    assert job.timing
    path = folder / job.timing
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{{"s": {seconds}}}\n')


def _scored(
    folder: Path, run: dict[str, str], mean_tokens: float, samples: list[str] | None = None
) -> None:
    place = "{student}/{subset}/{format}/seed{seed}/{benchmark}/{mode}".format(**run)
    score = {"mean_tokens": mean_tokens, "num_questions": 100, "repeats": 2}
    score |= {"samples": samples} if samples else {}
    write_json(folder / "results" / "evals" / f"{place}.json", score)


def _forecasts(study: Study, folder: Path, *jobs: Job) -> Forecasts:
    return Forecasts(jobs, study, Timings(folder / "timings"), folder)


def test_writing_is_the_memory_read_and_the_operations(study: Study) -> None:
    """Llama-3.1-8B on an H100: 186 texts of 4,500 tokens have room beside its weights."""
    shape = read_shape(study.students["llama-3.1-8b"].architecture or {})
    weights, matrices = 2 * 8_030_261_248, 8_030_261_248 - 128_256 * 4096
    cache = 4 * 32 * 1024 * (250 + 2250)  # keys and values of 32 layers, two bytes each
    batch = (0.9 * 81_559 * 2**20 - weights) / cache
    assert 185 < batch < 187
    attention = 4 * 32 * 4096 * 2500
    written = (weights / batch + cache) / 3.35e12 + (2 * matrices + attention) / 989e12
    read = 250 * (2 * matrices + 2 * 32 * 4096 * 250) / 989e12

    found = gpu_seconds(shape, Workload(1000, 250, 4500), EngineRuntime(gpu=1, batch=256), "h100")
    assert found == pytest.approx(1000 * (4500 * written + read) / 0.5)
    assert 3_500 < 4_500_000 / found < 3_600  # tokens a second

    few = gpu_seconds(shape, Workload(1000, 250, 4500), EngineRuntime(gpu=1, batch=8), "h100")
    assert few > 2.5 * found
    only_read = gpu_seconds(shape, Workload(1, 80, 0), EngineRuntime(gpu=1), "h100")
    assert only_read == pytest.approx(80 * (2 * matrices + 2 * 32 * 4096 * 80) / 989e12 / 0.5)
    with pytest.raises(ValueError, match="GPU rtx_a1000 is not known"):
        gpu_seconds(shape, Workload(1, 80, 0), EngineRuntime(gpu=1), "rtx_a1000")
    with pytest.raises(ValueError, match="a v100 does not support bfloat16"):
        gpu_seconds(shape, Workload(1, 80, 0), EngineRuntime(gpu=1), "v100")


def test_what_jobs_read_and_write(study: Study, tmp_path: Path) -> None:
    answers, shard = PastAnswers(tmp_path), 1_145_824 / 16
    gpqa = {**RUN, "benchmark": "gpqa_diamond"}
    assert workload_of(study, "sample_answers", gpqa, tmp_path, answers) == Workload(
        198 * 24, 250, 4500
    )
    traced = {**SHARD, "teacher": "served"}
    assert workload_of(study, "generate_traces", traced, tmp_path, answers) == Workload(
        shard, 80, 4500
    )
    asked = {
        name: workload_of(study, "annotate", {**traced, "annotator": name}, tmp_path, answers)
        for name in ("domain", "verbosity", "agreement")
    }
    assert {each.count for each in asked.values()} == {shard}
    # The question alone, the reasoning as well, and two answers of 500 tokens.
    assert asked["domain"].prompt_tokens < 400 < 1000 < asked["agreement"].prompt_tokens < 1500
    assert 4000 < asked["verbosity"].prompt_tokens < 4500
    read = workload_of(study, "annotate_questions", READ, tmp_path, answers)
    assert read == Workload(shard, 80, 0)


def test_a_job_of_several_shards_has_all_their_rows(study: Study, tmp_path: Path) -> None:
    """Two jobs for a pool of sixteen shards: half of it each."""
    half = {**SHARD, "shard": "1", "num_shards": "2", "teacher": "served", "annotator": "domain"}
    found = workload_of(study, "annotate", half, tmp_path, PastAnswers(tmp_path))
    assert found.count == 1_145_824 / 2


def test_what_is_there_counts_before_what_is_expected(study: Study, tmp_path: Path) -> None:
    write_json(tmp_path / "results/prompts/natural-reasoning/pool.json", {"kept": 640_000})
    _scored(tmp_path, RUN, 6000)
    _scored(tmp_path, {**RUN, "subset": "other"}, 8000)
    _scored(tmp_path, {**RUN, "subset": "none", "format": "none"}, 900)
    _scored(tmp_path, {**RUN, "mode": "no_think"}, 300)
    answers = PastAnswers(tmp_path)
    assert workload_of(study, "annotate_questions", READ, tmp_path, answers).count == 40_000
    new = {**RUN, "subset": "new"}
    assert workload_of(study, "sample_answers", new, tmp_path, answers).new_tokens == 7000
    untrained = {**RUN, "subset": "none", "seed": "1"}
    assert workload_of(study, "sample_answers", untrained, tmp_path, answers).new_tokens == 900


def test_finished_jobs_say_how_quick_a_model_is(study: Study, tmp_path: Path) -> None:
    """100 questions, twice, of 6,000 tokens in 300 s: 4,000 tokens a second."""
    done = _job("sample_answers", 1, **{**RUN, "seed": "seed0"})
    _timed(tmp_path, done, 300)
    _scored(tmp_path, RUN, 6000)
    job = _job("sample_answers", 1, **{**RUN, "subset": "new"})
    found = _forecasts(study, tmp_path, job).of(job)
    assert (found.basis, found.gpu_seconds) == ("measured speed", pytest.approx(26_529 * 1.5))


def test_a_timed_shard_stands_for_the_others(study: Study, tmp_path: Path) -> None:
    one, other = (
        _job(
            "annotate",
            4,
            pool="natural-reasoning",
            teacher="t",
            annotator="domain",
            num_shards="16",
            shard=each,
        )
        for each in ("1-of-16", "2-of-16")
    )
    far = _job(
        "annotate",
        4,
        pool="natural-reasoning",
        teacher="t",
        annotator="verbosity",
        num_shards="16",
        shard="1-of-16",
    )
    _timed(tmp_path, one, 100)
    forecasts = _forecasts(study, tmp_path, one, other, far)
    assert [forecasts.of(job).basis for job in (one, other, far)] == [
        "timed",
        "timed",
        "arithmetic",
    ]
    assert forecasts.of(other).gpu_seconds == 400


def test_a_shard_of_answers_is_a_part_of_the_work(study: Study, tmp_path: Path) -> None:
    """Of three shards each writes a third; one that was timed stands for the others of its mode."""
    one, other, fewer, far = (
        _job("sample_answers", 1, **{**RUN, "seed": "seed0", **more})
        for more in (
            {"part": ".0-of-3"},
            {"part": ".2-of-3"},
            {"part": ".0-of-2"},
            {"part": ".0-of-3", "mode": "no_think"},
        )
    )
    answers = PastAnswers(tmp_path)
    found = workload_of(study, "sample_answers", other.wildcards, tmp_path, answers)
    assert (found.count, found.new_tokens) == (pytest.approx(26_529 / 3), 4500)

    _timed(tmp_path, one, 100)
    forecasts = _forecasts(study, tmp_path, one, other, fewer, far)
    assert [forecasts.of(job).basis for job in (one, other, fewer, far)] == [
        "timed",
        "timed",
        "arithmetic",
        "arithmetic",
    ]


def test_all_shards_of_a_score_say_how_quick_a_model_is(study: Study, tmp_path: Path) -> None:
    """100 questions, twice, of 6,000 tokens in 100 + 200 s; those of another set do not count."""
    _scored(tmp_path, RUN, 6000, ["think.samples.0-of-2.parquet", "think.samples.1-of-2.parquet"])
    job = _job("sample_answers", 1, **{**RUN, "subset": "new"})
    for part, seconds in ((".0-of-2", 100), (".0-of-3", 5000), (".1-of-2", 200)):
        done = _job("sample_answers", 1, **{**RUN, "seed": "seed0", "part": part})
        assert _forecasts(study, tmp_path, job).of(job).basis == "arithmetic"
        _timed(tmp_path, done, seconds)
    found = _forecasts(study, tmp_path, job).of(job)
    assert (found.basis, found.gpu_seconds) == ("measured speed", pytest.approx(26_529 * 1.5))


def test_transformers_waits_for_the_longest_answer_on_one_gpu(tmp_path: Path) -> None:
    def slow(found: dict[str, Any]) -> None:
        found["students"]["llama-3.1-8b"]["engine"] = "transformers"
        found["students"]["llama-3.1-8b"]["runtime"]["generation_gpu"] = 2

    texts, study = Workload(10, 250, 4500), _study(slow)
    writer = model_of(study, RUN)
    alone = EngineRuntime(gpu=1, batch=256)
    shape = read_shape(study.students["llama-3.1-8b"].architecture or {})
    longest = gpu_seconds(shape, Workload(10, 250, 16_384), alone, "h100")
    found = generation_cost(writer, texts, tmp_path, "h100", PastAnswers(tmp_path))
    assert found.gpu_seconds == pytest.approx(2 * longest)


def test_a_teacher_with_published_speeds_takes_the_slowest(tmp_path: Path) -> None:
    """1,145,824 traces of 4,500 tokens at 2621.05 tokens a second on 8 GPUs."""

    def serve(found: dict[str, Any]) -> None:
        r1 = read_study([CONFIG / "paper.yaml"])["teachers"]["deepseek-r1"]
        found["teachers"]["served"] = r1

    study = _study(serve)
    jobs = [_job("generate_traces", 16, 1440, **SHARD, teacher="served") for _ in range(16)]
    found = _forecasts(study, tmp_path, *jobs)
    assert found.hours(jobs) == pytest.approx(1_145_824 * 4500 / (2621.05 / 8) / 3600)
    text = "\n".join([*found.table(), *found.notes()])
    assert "\n  served                    16    16     4,372     6,144  published speed" in text
    assert "published speed: the slowest that others have measured" in text
    assert "a server, whose GPUs" not in text

    _timed(tmp_path, jobs[0], 3600)
    timed = _forecasts(study, tmp_path, jobs[0])
    ranges = Ranges(jobs[:1], study, timed, tmp_path).found["traces", "served"]
    assert (ranges.low, ranges.high) == (16, 16)


def test_the_table_has_every_stage_and_what_servers_are_asked(study: Study, tmp_path: Path) -> None:
    evals = [_job("sample_answers", 1, 60, **RUN), _job("sample_answers", 1, 720, **RUN)]
    traces = [_job("generate_traces", 0, **SHARD, teacher="served") for _ in range(16)]
    found = _forecasts(study, tmp_path, *traces, *evals)
    text = "\n".join([*found.table(), *found.notes()])
    assert "as if all GPUs were H100: the profile names no gpu_type" in text
    assert (
        "\ntraces                       -     -         -         -  a server's, see below" in text
    )
    assert (
        "\n  llama-3.1-8b               2     1      18.7      13.0  arithmetic, 1 longer" in text
    )
    assert "traces by served: 1,145,824 requests to a server" in text
    assert "reads 92 and writes 5,156 million tokens" in text


def test_what_is_not_known_is_named(tmp_path: Path) -> None:
    def forget(found: dict[str, Any]) -> None:
        del found["pools"]["natural-reasoning"]["expected_rows"]

    labels = _job("annotate", 4, 60, "h100", **SHARD, teacher="served", annotator="domain")
    found = _forecasts(_study(forget), tmp_path, labels, _job("export_model", 1, 60, "h100", **RUN))
    text = "\n".join([*found.table(), *found.notes()])
    assert "\n  domain                     1     4         ?       4.0  not known" in text
    assert "no forecast: give pools.natural-reasoning its `expected_rows`, or ingest it" in text
    assert "no forecast: the work of rule export_model is not known" in text
    assert "arithmetic" not in text
