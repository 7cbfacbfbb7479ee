"""Command lines: what they write, and that a kill between two writes does no harm."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import nt_pkg
from nt_pkg.files.json_files import read_json, sha256_file, write_json
from nt_pkg.files.parquet import read_parquet, write_parquet
from nt_pkg.files.schemas import ANNOTATIONS, PROMPTS, TRACES
from nt_pkg.jobs.work_dir import forget_finished
from nt_pkg.sft.examples import file_record, write_examples
from nt_pkg.slurm.stopping import Stopped
from scripts import annotate, annotate_questions, generate_traces, select_subset, shard_prompts
from scripts import train as train_script

PROMPT = {"reference_answer": None, "second_answer": None, "columns": None, "source_row": 0}
REPLAY = '{"teacher":{"engine":"replay"},"engine":{},"version":1}'


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NT_WORK", str(tmp_path / "work"))


def prompts(num: int) -> list[dict[str, Any]]:
    return [
        {
            "id": f"{n * 16**32 // num:032x}",
            "question": f"q{n}",
            "replay": f"<think> r </think> {n}",
            **PROMPT,
        }
        for n in range(num)
    ]


def shard(number: int, of: int) -> list[dict[str, Any]]:
    out = Path(f"shard-{number}-of-{of}.parquet")
    shard_prompts.main(
        ["--prompts", "all.parquet", "--shard", str(number), "--num-shards", str(of),
         "--out", str(out)]
    )  # fmt: skip
    return read_parquet(out, PROMPTS)


@pytest.mark.parametrize("of", [1, 3, 8])
def test_shards_share_the_rows_out(of: int) -> None:
    write_parquet(Path("all.parquet"), PROMPTS, prompts(40))

    shards = [shard(number, of) for number in range(of)]

    ids = [row["id"] for rows in shards for row in rows]
    assert sorted(ids) == [row["id"] for row in prompts(40)]
    for rows in shards:
        assert len(rows) >= 40 // of - 1
        assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)


def test_shard_of_nothing_is_an_empty_file() -> None:
    write_parquet(Path("all.parquet"), PROMPTS, prompts(1))

    assert [len(shard(number, 2)) for number in range(2)] == [1, 0]


def test_traces_of_an_empty_shard() -> None:
    write_parquet(Path("none.parquet"), PROMPTS, [])

    generate_traces.main(
        ["--spec", REPLAY, "--names", "{}", "--prompts", "none.parquet", "--out", "t.parquet"]
    )

    assert read_parquet(Path("t.parquet"), TRACES) == []


def select(out: str, paths: list[str]) -> Path:
    select_subset.main(
        [
            "--spec", '{"selector":"random","size":9,"params":{}}',
            "--names", '{"subset":"x","seed":"2"}',
            "--seed", "2",
            "--traces", *paths,
            "--out", out,
            "--manifest", f"{out}.json",
        ]
    )  # fmt: skip
    return Path(out)


def test_sharding_and_names_are_not_in_the_bytes_of_a_subset() -> None:
    """What follows a selection runs again only if other rows were selected."""
    for of in (1, 3):
        write_parquet(Path("all.parquet"), PROMPTS, prompts(40))
        for number in range(of):
            shard(number, of)
            generate_traces.main(
                ["--spec", REPLAY, "--names", json.dumps({"shard": str(number)}),
                 "--prompts", f"shard-{number}-of-{of}.parquet", "--out", f"t-{number}-of-{of}"]
            )  # fmt: skip

    one = select("one.parquet", ["t-0-of-1"])
    three = select("three.parquet", ["t-2-of-3", "t-0-of-3", "t-1-of-3"])

    assert one.read_bytes() == three.read_bytes()
    manifest = read_json(Path("one.parquet.json"))
    assert manifest["sha256"] == sha256_file(one)
    assert (manifest["num_traces"], manifest["subset"]) == (40, "x")


def test_one_job_labels_several_shards_as_a_job_for_each_does() -> None:
    """Traces and questions, in whatever order their files are named."""
    write_parquet(Path("all.parquet"), PROMPTS, prompts(40))
    names, spec = ["--names", "{}"], '{"kind":"%s","params":{},"code":"c","version":1}'
    for number in range(3):
        shard(number, 3)
        generate_traces.main(
            ["--spec", REPLAY, *names, "--prompts", f"shard-{number}-of-3.parquet",
             "--out", f"t{number}"]
        )  # fmt: skip

    def label(out: str, *numbers: int) -> list[dict[str, Any]]:
        paths = [f"shard-{number}-of-3.parquet" for number in numbers]
        traces = [f"t{number}" for number in numbers[::-1]]
        annotate.main(
            ["--spec", spec % "length", *names, "--prompts", *paths, "--traces", *traces,
             "--out", out]
        )  # fmt: skip
        annotate_questions.main(
            ["--spec", spec % "hashed_words", *names, "--prompts", *paths, "--out", f"{out}q"]
        )
        return [row for name in (out, f"{out}q") for row in read_parquet(Path(name), ANNOTATIONS)]

    each = [row for number in range(3) for row in label(f"one{number}", number)]
    together = label("together", 0, 1, 2)

    assert len(together) == 2 * 40
    assert sorted(map(str, together)) == sorted(map(str, each))
    assert [row["id"] for row in together[:40]] == [row["id"] for row in prompts(40)]


MICRO = Path(nt_pkg.__file__).parent / "microworld" / "base"


class FakeTraining:
    """Stands in for the training: leaves a checkpoint, and notes where it worked."""

    def __init__(self) -> None:
        self.folders: list[Path] = []
        self.found: list[list[str]] = []

    def __call__(self, job: Any) -> dict[str, Any]:
        self.folders.append(job.work)
        self.found.append(sorted(path.name for path in job.work.iterdir()))
        (job.work / "checkpoint").mkdir(exist_ok=True)
        (job.work / "checkpoint" / "weights").write_text("trained")
        (job.work / "tensorboard").mkdir(exist_ok=True)
        (job.work / "tensorboard" / f"events{len(self.folders)}").touch()
        return {"final_loss": 0.5}


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> FakeTraining:
    """Prepare the inputs of the script, and replace what it calls."""
    fake = FakeTraining()
    monkeypatch.setattr("nt_pkg.sft.launch.train", fake)
    shutil.copytree(MICRO, "student")
    prepare_student()
    prepare_examples([1, 2, 3])
    return fake


def prepare_student() -> None:
    found = [path for path in sorted(Path("student").iterdir()) if path.name != "manifest.json"]
    files = {path.name: sha256_file(path) for path in found}
    write_json(Path("student/manifest.json"), {"files": files})


def prepare_examples(input_ids: list[int]) -> None:
    row = {"id": "x", "target": "system2", "input_ids": input_ids, "num_prompt_tokens": 1}
    write_examples(Path("examples.arrow"), [row])
    write_json(Path("examples.json"), {"file": file_record(Path("examples.arrow"))})


def run_training(**runtime: int) -> int:
    return train_script.main(
        [
            "--spec", '{"training":{},"version":1}',
            "--names", '{"student":"s"}',
            "--runtime", json.dumps(runtime),
            "--seed", "0",
            "--student", "student/manifest.json",
            "--examples", "examples.arrow",
            "--examples-manifest", "examples.json",
            "--checkpoint", "results/checkpoint",
            "--preview", "results/preview.txt",
            "--tensorboard", "results/tensorboard",
            "--out", "results/run.json",
        ]
    )  # fmt: skip


def test_training_leaves_checkpoint_and_summary(training: FakeTraining) -> None:
    run_training()

    assert "<unk>[[<s> <|end|>]]" in Path("results/preview.txt").read_text()
    assert Path("results/tensorboard/events1").exists()
    assert Path("results/checkpoint/weights").read_text() == "trained"
    found = read_json(Path("results/run.json"))
    assert (found["student"], found["final_loss"]) == ("s", 0.5)
    assert not training.folders[0].exists()


@pytest.mark.parametrize("where", ["shutil.move", "scripts.train.write_json"])
def test_kill_after_training_is_made_good(
    training: FakeTraining, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """The same command works, and meets nothing that looks complete but is not."""

    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(where, kill)
            with pytest.raises(KeyboardInterrupt):
                run_training()
        assert not Path("results/run.json").exists()

    run_training()

    assert all("checkpoint" not in found for found in training.found)
    assert len(set(training.folders)) == 1
    assert Path("results/checkpoint/weights").read_text() == "trained"
    assert len(list(Path("results/tensorboard").iterdir())) == 3  # one file per start
    assert Path("results/run.json").exists()


def test_stopped_training_leaves_its_progress_and_asks_slurm_for_another_start(
    training: FakeTraining, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def stop(job: Any) -> None:
        training(job)
        raise Stopped("SIGTERM after step 7 of 9", num_new=3)

    with monkeypatch.context() as patch:
        patch.setattr("nt_pkg.sft.launch.train", stop)
        patch.setattr("nt_pkg.slurm.stopping.requeue", asked.append)
        assert run_training() == 75
    assert not Path("results/run.json").exists()

    assert run_training() == 0

    assert asked == [3]
    assert training.found[1] == ["checkpoint", "tensorboard"]


@pytest.mark.parametrize("change", ["tokens", "student"])
def test_progress_of_other_inputs_is_not_taken_up(training: FakeTraining, change: str) -> None:
    """Same row ids, other tokens: a think instruction or a template was edited."""
    run_training()
    if change == "tokens":
        prepare_examples([1, 2, 4])
    if change == "student":
        Path("student/README").write_text("another one")
        prepare_student()
    run_training()

    assert training.folders[0] != training.folders[1]


def test_progress_survives_a_change_of_layout_that_does_not_matter(
    training: FakeTraining,
) -> None:
    run_training()
    forget_finished()
    run_training(num_ranks=2, zero_stage=3, micro_batch_tokens=1024, checkpoint_steps=7, mem_mb=1)

    assert training.folders[0] == training.folders[1]
