"""What the terminal shows of Snakemake's events, and what is remembered of a start."""

import json
from pathlib import Path
from typing import Any

import pytest

from nt_pkg.config.load import read_study
from nt_pkg.files.content import check, listed, note
from nt_pkg.files.json_files import read_json, write_json
from nt_pkg.plan.validate import load_study
from nt_pkg.report.terminal import headline
from nt_pkg.snakemake_io.events import events_in
from nt_pkg.snakemake_io.history import History
from nt_pkg.snakemake_io.progress_view import ProgressView
from nt_pkg.snakemake_io.remake import remake_command
from nt_pkg.snakemake_io.rule_graph import NAME
from nt_pkg.snakemake_io.stages import STAGES
from nt_pkg.snakemake_io.timings import mean_seconds, rules_as_run, seconds_per_stage

ROOT = Path(__file__).parents[2]
STORED = ROOT / "tests" / "golden" / "launcher" / "failed_study.jsonl"
EVENTS = list(events_in(STORED.read_text()))
BEGUN = next(event["time"] for event in EVENTS if event["event"] == "started")
TWO_DONE = [event["event"] for event in EVENTS].index("finished") + 3  # two of seven jobs


@pytest.fixture(autouse=True)
def _in_a_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def watch(events: list[dict[str, Any]], status: int = 0, output: str = "") -> ProgressView:
    Path("study.log").write_text(output)
    view = ProgressView(Path("study.log"), 2, BEGUN)
    for event in events:
        view.take(event)
    view.close(status)
    return view


def test_log_of_a_job_is_in_the_folder_where_the_study_runs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With --directory; the start itself is somewhere else."""
    log = Path("elsewhere/logs/select_subset/micro/micro-teacher/models-agree-300/seed0.log")
    log.parent.mkdir(parents=True)
    log.write_text("error: too few rows\n")
    Path("study.log").write_text("")
    view = ProgressView(Path("study.log"), 2, BEGUN, folder=Path("elsewhere"))

    for event in EVENTS:
        view.take(event)
    view.close(1)

    shown = capsys.readouterr().out
    assert f"the end of {log}:" in shown
    assert "select_subset: error: too few rows" in shown


def test_jobs_of_stored_events_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """Six jobs of ours were planned, five ended well, one failed; `subsets` is only a target."""
    log = Path("logs/select_subset/micro/micro-teacher/models-agree-300/seed0.log")
    log.parent.mkdir(parents=True)
    log.write_text("Traceback\n" * 20 + "ValueError: selector models_agree found 32 rows\n")

    view = watch(EVENTS, status=1)

    assert view.num_done == 5
    assert view.first_job_after is not None
    shown = capsys.readouterr().out
    assert (
        "0/6 jobs, more than 0:00 left (not timed yet: ingest_pool, shard_prompts ...): "
        "0/2 prompts, 0/1 traces, 0/1 annotations, 0/2 subsets" in shown
    )
    assert f"rule select_subset failed; the end of {log}:" in shown
    assert shown.count("ValueError: selector models_agree found 32 rows") == 1
    assert shown.count("Traceback") == 11
    assert shown.endswith(
        "stopped with status 1; Snakemake's output is in study.log. The same command continues "
        "where it stopped.\n"
    )


def test_time_left_counts_only_what_was_timed(capsys: pytest.CaptureFixture[str]) -> None:
    """A rule that never ran here may take any time, and what runs is named first."""
    plan = {"event": "left", "rules": {"train": 2, "grade": 2, "build_report": 1}, "time": 0.0}
    begun = {"event": "started", "id": 1, "rule": "train", "time": BEGUN}
    view = ProgressView(Path("study.log"), 2, BEGUN, {"grade": 60.0})

    view.take(plan)
    view.take(begun)
    view.take({**plan, "rules": {"train": 2, "grade": 2, "build_report": 1}})
    first, second = capsys.readouterr().out.splitlines()
    assert "more than 1:00 left (not timed yet: train, build_report): " in first
    assert "more than 1:00 left (not timed yet: train, build_report): " in second

    view.take({"event": "finished", "id": 1, "time": BEGUN + 100})
    view.take({"event": "left", "rules": {"train": 1, "grade": 2}, "time": 0.0})
    assert "about 2:40 left" in capsys.readouterr().out.splitlines()[-1]


def test_a_job_that_takes_long_tells_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the end of its log; it may not have one yet, or be in the middle of a line."""
    now = BEGUN
    monkeypatch.setattr("time.time", lambda: now)
    log = Path("logs/train/a.log")
    view = ProgressView(Path("study.log"), 2, BEGUN, folder=Path("there"))
    view.take({"event": "left", "rules": {"train": 2}, "time": now})
    for job, rule in enumerate(("train", "train", "all")):
        view.take({"event": "started", "id": job, "rule": rule, "log": [str(log)], "time": now})
    assert "train" not in capsys.readouterr().out.partition("timed yet: train")[2]

    def shown_after(seconds: float) -> str:
        nonlocal now
        now += seconds
        view.wait()
        return capsys.readouterr().out

    assert shown_after(20) == ""
    assert "0/2 jobs; train and 1 more for 0:31, more than" in shown_after(11)
    Path("there", log).parent.mkdir(parents=True)
    Path("there", log).write_text(
        "12:00:00 steps: 1 of 9\n12:00:10 steps: \x1b2 of 9\n12:00:20 ste"
    )
    assert shown_after(20) == ""
    assert "; train and 1 more for 1:02 (steps: \\x1b2 of 9), more than" in shown_after(11)
    view.take({"event": "finished", "id": 0, "time": now})
    view.take({"event": "finished", "id": 1, "time": now})
    capsys.readouterr()
    assert shown_after(99) == ""


def test_failure_before_any_job_shows_the_end_of_the_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    view = watch([], 1, "Using profile\nerror: the configuration has defects:\n")

    assert view.num_done == 0
    assert "error: the configuration has defects:" in capsys.readouterr().out


def test_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    watch([{"event": "begun", "time": 0.0}])

    assert capsys.readouterr().out == "nothing to be done\n"


def test_another_command_than_a_start_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    watch([])

    assert capsys.readouterr().out == ""


def test_jobs_that_a_checkpoint_added_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """What is done stays; what is left is told anew, targets included."""
    left = {"event": "left", "rules": {"grade": 3, "all": 1}, "time": 9.0}

    watch([*EVENTS[:TWO_DONE], left])

    assert "2/5 jobs" in capsys.readouterr().out.splitlines()[-1]


def test_seconds_per_stage() -> None:
    jobs = {"train": ["a/seed0", "a/seed1", "b/seed0"], "grade": ["a/think"], "ingest_pool": ["a"]}
    jobs["sample_answers"] = ["a/think.0-of-2", "a/think.1-of-2", "b/think.0-of-2"]
    jobs["pretrain_base"] = ["micro-base"]  # belongs to no stage
    for rule, names in jobs.items():
        for name in names:
            path = Path("timings", rule, f"{name}.jsonl")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text('{"s": 1.25}\n')

    found = seconds_per_stage(Path("timings"), {"a"})  # b is another study's

    assert found == dict.fromkeys(STAGES.values(), 0.0) | {
        "sft": 2.5,
        "evals": 3.8,
        "prompts": 1.2,
    }


def test_time_left_of_a_first_start_knows_nothing_of_another_study() -> None:
    """A rule counts by the jobs of this study's students and pools; a kill may cut a file."""
    for name, text in (("tiny", '{"s": 2}'), ("large", '{"s": 900}'), ("cut", '{"s'), ("no", "")):
        path = Path("timings/train", name, "random-8/system2/seed0.jsonl")
        path.parent.mkdir(parents=True)
        path.write_text(text)
    study = load_study(read_study([ROOT / "config" / "real_model.yaml"]))
    names = study.names_in_use()

    assert {"real_model", *study.annotators} < names and "micro-llama" not in names
    assert mean_seconds(Path("timings"), {"large", "cut", "no", "random-8", "system2"}) == {
        "train": 900.0
    }
    assert mean_seconds(Path("timings"), names) == {}


def test_rules_as_run_read_what_ran() -> None:
    """Of the graph of a start only what ran for the study; the report has no time yet."""
    for name in ("fetch_asset/students/a", "ingest_pool/a", "build_examples/a/seed0", "train/b"):
        path = Path("timings", f"{name}.jsonl")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"s": 1.25}\n')
    graph = {
        "build_examples": ["fetch_asset", "ingest_pool"],
        "build_report": ["build_examples", "ingest_pool", "train"],
    }
    write_json(Path("timings", NAME), graph)

    found = rules_as_run(Path("timings"), {"a"})

    assert [(each["rule"], each["seconds"], each["reads"]) for each in found] == [
        ("fetch_asset", 1.2, []),
        ("ingest_pool", 1.2, []),
        ("build_examples", 1.2, ["fetch_asset", "ingest_pool"]),
        ("build_report", None, ["build_examples", "ingest_pool"]),
    ]
    assert rules_as_run(Path("nowhere"), {"a"}) == []


def test_command_that_makes_a_file_anew_is_the_one_of_the_start(tmp_path: Path) -> None:
    """Of this folder and profile, with the files of the study and what overrides them."""
    arguments = ["snakemake", "-s", "x", f"--profile={tmp_path / 'profiles' / 'local'}", "subsets"]

    assert remake_command(tmp_path, arguments, []) == "snakemake --profile profiles/local --force"
    files = [tmp_path / "profiles" / ".." / "my study.yaml"]
    (tmp_path / "profiles").mkdir()
    assert remake_command(
        Path("/flow"), ["snakemake", "--profile", "slurm"], files, ["study=a b"]
    ) == (
        "snakemake -s /flow/Snakefile --profile slurm --configfile 'my study.yaml' "
        "--config 'study=a b' --force"
    )


def start(history: History, seconds: float, is_complete: bool) -> None:
    history.add(
        {"wall_seconds": seconds, "peak_mib": seconds * 10},
        watch(EVENTS[:TWO_DONE]),
        [{"script": "grade", "startup_s": 0.5, "threads": 2}],
        is_complete,
    )


def test_history_adds_the_starts_up_to_the_first_complete_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    Path("results/prompts").mkdir(parents=True)
    write_json(Path("summary.json"), {"effects": [], "study": "demo", "seconds_per_stage": {}})
    for seconds, is_complete in [(10.0, False), (20.0, True), (99.0, True)]:
        start(History(Path("work/invocations.json")), seconds, is_complete)

    History(Path("work/invocations.json")).complete(Path("summary.json"))

    found = read_json(Path("summary.json"))
    assert (found["wall_seconds"], found["peak_mib"], found["num_starts"]) == (30.0, 200.0, 2)
    assert found["startup_share"] == pytest.approx(2 * 0.5 * 2 / (2 * 30), abs=0.01)
    assert found["effects"] == []


def test_history_believes_no_damaged_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start with nothing to do would give it the digest of what it is now."""
    Path("results/prompts").mkdir(parents=True)
    summary = Path("summary.json")
    write_json(summary, {"effects": [0.5], "study": "demo", "seconds_per_stage": {}})
    note([summary])
    start(History(Path("work/invocations.json")), 10.0, True)
    before = summary.read_bytes(), listed(summary)
    History(Path("work/invocations.json")).complete(summary)
    History(Path("work/invocations.json")).complete(summary)  # nothing changes
    check(summary)

    after = listed(summary)
    summary.write_bytes(before[0])  # a kill between the note and the file
    History(Path("work/invocations.json")).complete(summary)
    assert listed(summary) == after != before[1]
    check(summary)

    summary.write_text(summary.read_text().replace("0.5", "0.6"))
    with pytest.raises(ValueError, match="is not as it was made"):
        History(Path("work/invocations.json")).complete(summary)
    assert listed(summary) == after


def test_history_begins_anew_without_results() -> None:
    start(History(Path("work/invocations.json")), 10.0, True)
    start(History(Path("work/invocations.json")), 20.0, True)

    assert [each["wall_seconds"] for each in read_json(Path("work/invocations.json"))] == [20.0]


def test_start_with_nothing_to_do_is_not_remembered() -> None:
    History(Path("h.json")).add({"wall_seconds": 1.0}, watch([]), [], True)

    assert not Path("h.json").exists()


def test_headline() -> None:
    rest = {"kind": "difference", "claim": None, "contrast": "a - b", "benchmark": "words"}
    effect = {"name": "long_vs_random", "difference": 0.034, "standard_error": 0.011}
    effect["sides"] = ["long traces", "random ones"]
    missing = {"name": "modes", "difference": None, "standard_error": None}
    effects = [{**rest, **each, "num_seeds": 5, "verdict": "holds"} for each in (effect, missing)]
    Path("report").mkdir()
    Path("report/summary.json").write_text(json.dumps({"effects": effects}))

    lines = headline(Path("report")).splitlines()

    assert lines[2].split(maxsplit=4) == [
        "+3.4",
        "1.1",
        "5",
        "holds",
        "Long traces \u2212 random ones",
    ]
    assert lines[3].split() == ["-", "-", "5", "holds", "modes"]
    assert lines[-1].startswith("report: ") and lines[-1].endswith("report/index.html")
