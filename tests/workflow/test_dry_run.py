"""The plan is made of Snakemake's events; a stored one stands for them."""

from dataclasses import replace
from pathlib import Path

from nt_pkg.config.load import read_study
from nt_pkg.files.json_files import read_json
from nt_pkg.plan.reasons import by_output, explain, unneeded_if_equal
from nt_pkg.plan.validate import load_study
from nt_pkg.snakemake_io.dry_run import Reason, planned_jobs
from nt_pkg.snakemake_io.timings import Timings
from scripts.plan import render, wrapped

JOBS = planned_jobs([read_json(Path(__file__).parent / "dry_run.json")])
SELECT, GRADE, EXAMPLES, NEW_TRAIN, TRAIN, EXPORT, REPORT, TARGET = JOBS


def reasons(*jobs: object) -> list[list[str]]:
    """Return the plain words for some jobs of the sample."""
    return [explain(job, by_output(JOBS)) for job in jobs]  # type: ignore[arg-type]


def test_jobs_are_read_with_their_wildcards_files_and_resources() -> None:
    assert SELECT.is_checkpoint and not TRAIN.is_checkpoint
    assert SELECT.wildcards == {
        "pool": "tiny",
        "teacher": "micro-teacher",
        "subset": "tiny-long",
        "seed": "0",
    }
    assert EXPORT.outputs[1] == "results/sft/tiny-llama/tiny-long/system2/seed0/hf.json"
    assert TRAIN.timing == Path("timings/train/tiny-llama/tiny-long/system2/seed0.jsonl")
    assert (NEW_TRAIN.gpus, TRAIN.gpus, SELECT.gpus) == (16, 4, 0)
    assert TARGET.rule == "all"


def test_reasons_name_what_changed() -> None:
    assert reasons(SELECT, GRADE) == [
        ["code edited", "params.scale_tokens: 60.0 -> 55.0"],
        ["code edited"],
    ]
    assert reasons(EXAMPLES, NEW_TRAIN) == [["follows select_subset"], ["no output yet"]]


def test_reasons_in_plain_words() -> None:
    why = Reason(
        is_forced=True,
        is_cut_off=True,
        updated=("a",),
        is_input_set_changed=True,
        is_command_changed=True,
        is_environment_changed=True,
        old_params=("no spec, now: '{}'", '{"size": 1, "name": "a: b"}'),
        new_params=('{"size": 1, "name": "it\'s, x"}',),
    )
    assert reasons(replace(GRADE, reason=why)) == [
        [
            "forced",
            "was interrupted",
            "input edited or rebuilt",
            "other set of inputs",
            "command of the rule edited",
            "name: a: b -> it's, x",
            "environment edited",
        ]
    ]
    assert reasons(replace(GRADE, reason=Reason(new_params=("12",)))) == [["spec changed"]]


def test_only_what_hangs_on_a_selection_alone_may_be_left_out() -> None:
    assert unneeded_if_equal(JOBS) == [EXAMPLES, TRAIN, EXPORT]


def test_time_comes_from_the_same_job_else_from_its_rule(tmp_path: Path) -> None:
    for name, seconds in (("a", 1), ("b", 3)):
        path = tmp_path / "train" / f"{name}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'{{"s": 9.0}}\n{{"s": {seconds}}}\n')
    timings = Timings(tmp_path)
    assert timings.estimate(TRAIN) == 2.0
    assert timings.estimate(GRADE) is None
    same = TRAIN.__class__(**{**vars(TRAIN), "timing": tmp_path / "train/b.jsonl"})
    assert timings.estimate(same) == 3.0


def test_a_plan_adds_up(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train/a.jsonl").write_text('{"s": 3600}\n')
    jobs = [job for job in JOBS if job is not TARGET]
    text = render(jobs, Timings(tmp_path))
    assert "7 jobs, 2.0 h one after the other\n" in text
    root = Path(__file__).parents[2]
    study = load_study(read_study([root / "tests" / "workflow" / "tiny.yaml"]))
    on_cluster = render(jobs, Timings(tmp_path), study, tmp_path)
    assert "7 jobs, 2.0 h one after the other, 20.0 GPU-hours" in on_cluster
    assert "mean of its rule" in on_cluster
    assert "3 jobs (60.0 min) only follow a selection" in text
    assert "params.scale_tokens: 60.0 -> 55.0 (subset tiny-long, seed 0)" in text
    assert "never timed here" in text
    assert render([], Timings(tmp_path)) == "nothing to be done\n"


def test_many_names_are_their_number_and_lines_fit_a_terminal(tmp_path: Path) -> None:
    runs = [{**TRAIN.wildcards, "subset": f"subset-{number}"} for number in range(4)]
    jobs = [TRAIN.__class__(**{**vars(TRAIN), "wildcards": run}) for run in runs]
    text = render(jobs, Timings(tmp_path))
    assert "(student tiny-llama, 4 subsets, format system2, seed 0)" in text
    assert "4 jobs, none of them timed here yet" in text
    lines = wrapped(text, 80).splitlines()
    assert lines[1].startswith("sft          train                4        ?  follows")
    assert lines[2].startswith(46 * " " + "subsets") and max(map(len, lines)) <= 80
