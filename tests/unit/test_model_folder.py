"""A model that cannot be loaded is an error in one line, and no code of its folder runs."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from nt_pkg.annotations.label_questions import label_questions
from nt_pkg.annotations.label_traces import StudentJob, annotate
from nt_pkg.config.engines import EngineRuntime
from nt_pkg.config.students import Format, Training
from nt_pkg.engines._base import Model
from nt_pkg.engines._chat import ChatParams
from nt_pkg.engines.transformers import TransformersEngine
from nt_pkg.jobs.command import explained
from nt_pkg.jobs.model_folder import loading
from nt_pkg.sft.data import build_examples
from nt_pkg.sft.loading import read_mapped

BASE = Path(__file__).parents[2] / "nt_pkg" / "microworld" / "base"
PROMPT = {"id": "a", "question": "q", "reference_answer": None, "second_answer": None}
TRACE = {"id": "a", "reasoning": "r", "answer": "a", "completion_tokens": 3, "status": "ok"}


def own_code(folder: Path) -> None:
    for name in ("configuration_own", "modeling_own", "tokenization_own"):
        (folder / f"{name}.py").write_text(
            f"open({str(folder / 'ran')!r}, 'w')\nclass Own: pass\nclass OwnConfig: pass\n"
        )
    change(
        folder / "config.json",
        model_type="own",
        architectures=["Own"],
        auto_map={
            "AutoConfig": "configuration_own.OwnConfig",
            "AutoModel": "modeling_own.Own",
            "AutoModelForCausalLM": "modeling_own.Own",
        },
    )


def own_tokenizer(folder: Path) -> None:
    own_code(folder)
    shutil.copy(BASE / "config.json", folder)
    change(
        folder / "tokenizer_config.json",
        tokenizer_class="OwnTokenizer",
        auto_map={"AutoTokenizer": ["tokenization_own.Own", None]},
    )
    (folder / "tokenizer.json").unlink()


def change(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "code of its own": (own_code, "needs code of its own"),
    "a tokenizer with code of its own": (own_tokenizer, "cannot be loaded"),
    "an unknown family": (
        lambda folder: change(folder / "config.json", model_type="own", architectures=["Own"]),
        "cannot be loaded",
    ),
    "no object for a configuration": (
        lambda folder: (folder / "config.json").write_text("[]"),
        "cannot be loaded|holds a list",
    ),
    "a damaged tokenizer": (
        lambda folder: (folder / "tokenizer.json").write_text("{"),
        "cannot be loaded",
    ),
}
READERS: dict[str, Callable[[Path], object]] = {
    "transformers": lambda folder: TransformersEngine(
        ChatParams(), EngineRuntime(), Model(folder, "")
    ),
    "hidden_states": lambda folder: label_questions("hidden_states", {}, [PROMPT], folder),
    "surprisal": lambda folder: annotate(
        "surprisal", {}, [{**PROMPT, "columns": None}], [TRACE], student=StudentJob(folder)
    ),
    "training": lambda folder: build_examples(
        folder,
        Format(kind="system2"),
        Training.model_construct(),
        0,
        [],
        lambda _: [],
        folder,
        folder / "out",
    ),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", KINDS)
def test_model_that_cannot_be_loaded_is_one_line(tmp_path: Path, kind: str, reader: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(BASE, folder)
    damage, says = KINDS[kind]
    damage(folder)

    with pytest.raises(ValueError, match=says) as refused:
        READERS[reader](folder)

    said = explained(refused.value)
    assert said is not None and str(folder) in said and "\n" not in said
    assert not (folder / "ran").exists()


def test_model_without_some_of_its_weights_is_not_made_up(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(BASE, folder)
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.0.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})

    read_for_training = lambda each: read_mapped(each, "float32", "eager")  # noqa: E731
    labels = READERS["hidden_states"], READERS["surprisal"]
    for read in (READERS["transformers"], read_for_training, *labels):
        with pytest.raises(ValueError, match=r"lack 1 tensors .*layers.0.mlp.up_proj"):
            read(folder)
    read_mapped(BASE, "float32", "eager")


def test_what_is_no_fault_of_the_files_stays(tmp_path: Path) -> None:
    for error in (MemoryError(), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))):
        with pytest.raises(type(error)), loading(tmp_path):
            raise error
