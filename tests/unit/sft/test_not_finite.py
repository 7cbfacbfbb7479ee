"""Numbers that are none stop a training."""

import math
import re
import shutil
from pathlib import Path

import pytest

from nt_pkg.sft import launch
from tests.unit.sft.tiny import (
    EXAMPLES,
    TRAINING,
    job_of,
    make_student,
)

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("quiet_and_warm")]


def test_loss_that_is_not_finite_stops_and_names_the_examples(
    untied: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """One token's embedding is broken; the step that meets it stops."""
    broken = spoilt(untied, tmp_path / "student", token=333, value=math.nan)
    examples = [*EXAMPLES, {**EXAMPLES[0], "id": "culprit", "input_ids": [8, 333, 9, 10, 3]}]

    with pytest.raises(RuntimeError, match="ended with status 1"):
        launch.train(job_of(broken, tmp_path / "work", examples=examples))

    text = capfd.readouterr().err
    assert "is not finite (loss nan); its examples: " in text
    assert "culprit" in text
    assert not (tmp_path / "work" / "result.json").exists()


def test_gradient_that_overflows_stops_and_names_the_examples(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The loss is finite, but DeepSpeed would skip the step and go on."""
    plain = make_student(tmp_path / "plain", is_tied=False, rms_norm_eps=1e-40)
    broken = spoilt(plain, tmp_path / "student", token=333, value=0.0)
    examples = [{**EXAMPLES[0], "id": "culprit", "input_ids": [8, 333, 9, 10, 3]}]

    with pytest.raises(RuntimeError, match="ended with status 1"):
        launch.train(job_of(broken, tmp_path / "work", examples=examples))

    assert re.search(r"gradient of step 1 is not finite \(loss \d", capfd.readouterr().err)


def test_training_that_diverges_stops_and_names_the_examples(
    untied: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    training = TRAINING.model_copy(update={"learning_rate": 10.0, "warmup_steps": 0})

    with pytest.raises(RuntimeError, match="ended with status 1"):
        launch.train(job_of(untied, tmp_path / "work", training=training))

    text = capfd.readouterr().err
    assert "the training diverges: the loss of step 2 is" in text
    assert "lower training.learning_rate" in text
    assert re.search(r"its examples: row\d+ row\d+", text)


def spoilt(student: Path, folder: Path, token: int, value: float) -> Path:
    """Return a copy of a student with one constant row of input embeddings."""
    from transformers import AutoModelForCausalLM

    shutil.copytree(student, folder)
    model = AutoModelForCausalLM.from_pretrained(student)
    model.get_input_embeddings().weight.data[token] = value
    model.save_pretrained(folder)
    return folder
