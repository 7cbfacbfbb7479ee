"""Copied, purged, damaged: what a finished study does with results that are not as it left them.

One study of one run, and everything is done to copies of it.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nt_pkg.files.beside import content_beside, is_beside, made_beside
from nt_pkg.files.json_files import read_json, sha256_file
from tests.workflow.one_run import (
    ALL,
    BRANCH,
    CONFIG,
    RUN,
    SNAKEMAKE,
    copy_study,
    ran,
    rules_of,
    write_study,
)
from tests.workflow.sandbox import command, copy_repository, environment, plan, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("finished") / "clone"
    copy_repository(folder)
    write_study(folder)
    run(folder, command("scripts.study", *CONFIG))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("with_times", [True, False])
def test_copied_results_are_taken_over_and_only_what_changed_reruns(
    finished: Path, tmp_path: Path, with_times: bool
) -> None:
    clone = copy_study(finished, tmp_path / "clone", ["results", "assets"], with_times)
    assert not rules_of(plan(clone, SNAKEMAKE))

    write_study(clone, subsets={"tiny-long": {"params": {"scale_tokens": 55}}})
    assert rules_of(plan(clone, SNAKEMAKE)) == dict.fromkeys(BRANCH, 1)


def test_copied_results_with_a_damaged_record_are_made_again(
    finished: Path, tmp_path: Path
) -> None:
    """An artifact with no record would fit whatever the study says now."""
    clone = copy_study(finished, tmp_path / "clone", ["results", "assets"])
    [picked] = (clone / "results/subsets").rglob("seed0.parquet")
    made_beside(picked).write_text("{")

    assert rules_of(plan(clone, SNAKEMAKE)) == dict.fromkeys(BRANCH, 1)


def test_purged_model_comes_back_for_a_new_benchmark_and_nothing_else_runs(
    finished: Path, tmp_path: Path
) -> None:
    clone = copy_study(finished, tmp_path / "clone", ALL)
    before = read_json(clone / RUN / "hf.json")
    shutil.rmtree(clone / RUN / "hf")
    (clone / "assets/students/tiny-llama/tokenizer.json").unlink()
    assert not rules_of(plan(clone, SNAKEMAKE)), "nobody needs them"

    write_study(clone, benchmarks=["tiny_free", "tiny_choice"])
    for path in [*(clone / "results").rglob("*"), *(clone / "assets").rglob("*")]:
        os.utime(path, (time.time() + 3600,) * 2)  # of a machine whose clock is ahead
    run(clone, command("scripts.study", *CONFIG))

    assert ran(clone) == {"sample_answers": 1, "grade": 1, "build_report": 1}
    assert read_json(clone / RUN / "hf.json") == before
    found = {name: sha256_file(clone / RUN / "hf" / name) for name in before["files"]}
    assert found == before["files"]
    assert "first they come back" in (clone / "logs/study.log").read_text()
    assert "none are wrong" in run(clone, command("scripts.verify", *CONFIG))


def test_verify_names_every_artifact_with_a_flipped_bit(finished: Path, tmp_path: Path) -> None:
    clone = copy_study(finished, tmp_path / "clone", ["results", "assets"])
    outputs = [
        clone / name for job in plan(clone, ("--forceall", *SNAKEMAKE)) for name in job.outputs
    ]
    assert len(outputs) > 20
    flipped = []
    for output in outputs:
        inside = [path for path in output.rglob("*") if path.is_file() and path.stat().st_size]
        flipped += [output] if output.is_file() else sorted(inside)[-1:]
    flipped.append(clone / "assets/students/tiny-llama/model.safetensors")
    for path in flipped:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)

    done = subprocess.run(
        command("scripts.verify", *CONFIG),
        cwd=clone,
        env=environment(clone),
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert not [
        path for path in flipped if f"\n{path.relative_to(clone)} " not in f"\n{done.stdout}"
    ]


def test_weights_of_another_run_are_not_evaluated(finished: Path, tmp_path: Path) -> None:
    clone = copy_study(finished, tmp_path / "clone", ALL)
    weights = "model.safetensors"
    shutil.copy2(clone / "assets/students/tiny-llama" / weights, clone / RUN / "hf" / weights)
    write_study(clone, benchmarks=["tiny_free", "tiny_choice"])

    with pytest.raises(RuntimeError, match=r"status 1"):
        run(clone, command("scripts.study", *CONFIG))

    log = next((clone / "logs/sample_answers").rglob("tiny_choice/think.log")).read_text()
    assert f"{RUN}/hf/{weights} is not as it was made: its sha256 differs. Move {RUN}/hf" in log
    assert ran(clone) == {"sample_answers": 1}


def test_every_artifact_has_a_note(finished: Path) -> None:
    """A rule whose job notes nothing would be believed whatever it holds."""
    outputs = [
        Path(name) for job in plan(finished, ("--forceall", *SNAKEMAKE)) for name in job.outputs
    ]
    lacking = [path for path in outputs if not content_beside(finished / path).exists()]
    assert lacking == [RUN / "checkpoint"], "its ranks have noted it"
    assert not [path for path in outputs if is_beside(path)]
