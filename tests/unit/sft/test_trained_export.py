"""The exported student is the trained one."""

from pathlib import Path

import pytest

from nt_pkg.config.engines import EngineRuntime, Sampling
from nt_pkg.config.students import Runtime, Training
from nt_pkg.dialogue.rendering import render
from nt_pkg.engines._base import Model, Request
from nt_pkg.engines._start import engine_for
from nt_pkg.sft import launch
from nt_pkg.sft.export import export_model
from tests.unit.sft.templates import tokenizer_of
from tests.unit.sft.tiny import (
    EXAMPLES,
    job_of,
    make_student,
    weights,
)

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("quiet_and_warm")]


REPEATED = [
    {"id": f"row{n}", "target": "system2", "input_ids": ids, "num_prompt_tokens": cut}
    for ids, cut in render(
        tokenizer_of("micro"), [("Where does she end?", "<think> Take </think> So")]
    )
    for n in range(4)
]


@pytest.mark.parametrize("is_tied", [True, False])
@pytest.mark.parametrize(("dtype", "ranks"), [("float32", 1), ("bfloat16", 2)])
def test_exported_model_is_the_trained_one_and_stops(
    student: Path, untied: Path, tmp_path: Path, is_tied: bool, dtype: str, ranks: int
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    base = student if is_tied else untied
    training = Training(
        learning_rate=0.01, tokens_per_step=64, max_example_tokens=64, epochs={0: 30}, dtype=dtype
    )
    runtime = Runtime(num_ranks=ranks, zero_stage=3 if is_tied and ranks > 1 else 2)
    job = job_of(base, tmp_path / "work", examples=REPEATED, training=training, runtime=runtime)
    launch.train(job)

    manifest = export_model(job.work / "checkpoint", base, tmp_path / "hf", dtype)

    kind = getattr(torch, dtype)
    found = AutoModelForCausalLM.from_pretrained(tmp_path / "hf", dtype="auto")
    assert found.dtype == kind
    state, expected = found.state_dict(), weights(job.work / "checkpoint")
    assert {name: t.dtype for name, t in state.items()} == dict.fromkeys(state, kind)
    assert state.keys() - expected.keys() <= ({"lm_head.weight"} if is_tied else set())
    assert all(torch.equal(state[name], t.to(kind)) for name, t in expected.items())
    tied = found.get_input_embeddings().weight is found.get_output_embeddings().weight
    assert tied is is_tied
    assert manifest["num_tensors"] == len(state) - is_tied
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(manifest["files"])

    engine = engine_for(
        "transformers", {}, EngineRuntime(batch=2), Model(tmp_path / "hf", "digest")
    )
    requests = [Request("a", "Where does she end?"), Request("b", "Where does she end?", "<think>")]
    answers = engine.generate(requests, Sampling(max_tokens=20))
    assert [answer.text for answer in answers] == ["<think> Take </think> So"] * 2
    assert [answer.finish_reason for answer in answers] == ["stop", "stop"]
    assert [answer.completion_tokens for answer in answers] == [5, 4]


def test_checkpoint_of_another_model_is_not_exported(student: Path, tmp_path: Path) -> None:
    """A tensor that the checkpoint lacks must not be filled from the untrained student."""
    job = job_of(student, tmp_path / "work", examples=EXAMPLES[:2])
    launch.train(job)
    larger = make_student(tmp_path / "larger", is_tied=True, attention_bias=True)

    with pytest.raises(ValueError, match=r"missing \['model.layers.0.self_attn.k_proj.bias'"):
        export_model(job.work / "checkpoint", larger, tmp_path / "hf", "float32")
