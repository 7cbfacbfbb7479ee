"""Labels of questions: vectors of a model, continued after a kill."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from nt_pkg.annotations.label_questions import label_questions
from nt_pkg.annotators._base import Label
from nt_pkg.annotators.hidden_states import ANNOTATOR, projected
from nt_pkg.files.vectors import decode
from nt_pkg.identity.seeds import generator

BASE = Path(__file__).parents[2] / "nt_pkg" / "microworld" / "base"
QUESTIONS = [
    "Ann starts at March with ruby. Where does she end?",
    "Eve came to Mars with swan and zinc. Where did she start?",
    "Ann starts at March with ruby, and with ember and gale. Where does she end, and when?",
    "March",
]
PROMPTS = [{"id": f"{n}", "question": text} for n, text in enumerate(QUESTIONS)]


def vectors(rows: list[dict[str, Any]]) -> Any:
    """Return the vectors of annotation rows at length 1."""
    assert [row["status"] for row in rows] == ["ok"] * len(rows)
    found = decode("embedding", pa.array([row["value"].strip('"') for row in rows])).astype(float)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def labelled(prompts: list[dict[str, Any]] = PROMPTS, batch: int = 3, **params: Any) -> Any:
    return vectors(label_questions("hidden_states", params, prompts, BASE, batch))


def by_hand(question: str, layer: int) -> Any:
    """Return the mean state of a question that is read alone."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    ids = AutoTokenizer.from_pretrained(BASE)(question, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        model = AutoModel.from_pretrained(BASE, dtype=torch.float32)
        states = model(input_ids=ids, output_hidden_states=True).hidden_states[layer][0]
    mean = states.mean(dim=0).numpy()
    return mean / np.linalg.norm(mean)


@pytest.mark.parametrize("layer", [-1, 1])
def test_vector_is_the_mean_over_the_tokens_of_the_question(layer: int) -> None:
    """Padding of a batch does not count; the model has fewer numbers than 384, so it keeps them."""
    for question, vector in zip(QUESTIONS, labelled(layer=layer), strict=True):
        expected = by_hand(question, layer)
        assert vector[: len(expected)] @ expected > 0.9998


def test_batch_and_order_make_no_difference_beyond_rounding() -> None:
    together, alone = labelled(), labelled(PROMPTS[::-1], batch=1)

    assert (together * alone).sum(axis=1).min() > 0.9998


def test_only_the_first_tokens_are_read() -> None:
    cut = labelled(max_tokens=4)

    assert cut[0] @ cut[2] > 0.9998  # they begin alike
    assert cut[0] @ cut[1] < 0.99


def test_question_without_a_token_fails() -> None:
    [row] = label_questions("hidden_states", {}, [{"id": "a", "question": ""}], BASE)

    assert (row["status"], row["value"], row["error"]) == (
        "failed",
        None,
        "the question has no tokens",
    )


def test_a_control_token_that_a_question_spells_is_text() -> None:
    """Its vector is that of its letters, not that of a question with an end in it."""
    question = QUESTIONS[0]
    asked = [{"id": "a", "question": f"{question} <|end|>"}, {"id": "b", "question": question}]

    spelled, alone = labelled(asked)

    with_end, without = by_hand(f"{question} <|end|>", -1), by_hand(question, -1)
    assert with_end @ spelled[: len(with_end)] < 0.999
    assert without @ alone[: len(without)] > 0.9998


def test_unknown_layer_is_refused() -> None:
    with pytest.raises(ValueError, match=r"params.layer is 99, and the model has \d+ layers"):
        labelled(layer=99)


def test_projection_keeps_angles() -> None:
    """Cosines of 4,096 numbers, some near and some far, within a few times the noise."""
    base = generator("base").normal(size=4096)
    given = base + generator("given").normal(size=(30, 4096)) * np.linspace(0.1, 3, 30)[:, None]

    found = projected(given, 384, 0)

    def cosines(rows: Any) -> Any:
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit @ unit.T

    assert found.shape == (30, 384)
    assert np.abs(cosines(found) - cosines(given)).max() < 4 / np.sqrt(384)
    assert np.array_equal(projected(given[3:5], 384, 0), found[3:5])
    assert not np.allclose(projected(given, 384, 1), found)


def test_killed_job_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is finished is not read again, and the rows are those of a job that nobody killed.

    A question with two answers is two prompts, and read once.
    """
    prompts = [*PROMPTS, {"id": "another answer", "question": QUESTIONS[3]}]
    asked: list[list[str]] = []

    class FakeAnnotator:
        @staticmethod
        def start(params: Any, model: Path | None) -> Any:
            def label(questions: Sequence[str]) -> list[Label]:
                asked.append(list(questions))
                if len(asked) == 2:
                    raise KeyboardInterrupt
                return [Label(f"vector of {question}") for question in questions]

            return label

    fake = type(ANNOTATOR)(params=ANNOTATOR.params, start=FakeAnnotator.start, needs_model=True)
    monkeypatch.setattr("nt_pkg.annotators.hidden_states.ANNOTATOR", fake)
    with pytest.raises(KeyboardInterrupt):
        label_questions("hidden_states", {}, prompts, BASE, 2, tmp_path)

    rows = label_questions("hidden_states", {}, prompts, BASE, 2, tmp_path)

    assert asked[0] == [QUESTIONS[2], QUESTIONS[1]]  # the longest first
    assert asked[1:] == [[QUESTIONS[0], QUESTIONS[3]]] * 2
    assert [row["value"] for row in rows] == [
        f'"vector of {text}"' for text in [*QUESTIONS, QUESTIONS[3]]
    ]


def test_model_without_padding_token(tmp_path: Path) -> None:
    """Llama's tokenizer has none."""
    import json

    folder = tmp_path / "model"
    shutil.copytree(BASE, folder)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config.pop("pad_token", None)
    (folder / "tokenizer_config.json").write_text(json.dumps(config))

    found = vectors(label_questions("hidden_states", {}, PROMPTS, folder, 4))

    assert (found * labelled()).sum(axis=1).min() > 0.9998
