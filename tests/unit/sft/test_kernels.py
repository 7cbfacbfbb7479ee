"""Fused kernels compute what transformers computes, also where ZeRO-3 gathers the weights."""

import copy
import sys
from pathlib import Path
from typing import Any

import pytest

from nt_pkg.config.students import Runtime
from nt_pkg.sft import kernels, launch
from nt_pkg.sft.kernels import use_kernels
from tests.unit.sft.tiny import job_of, losses

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("quiet_and_warm")]

SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 9,  # more than the times that dynamo compiles a function again
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.2,
    "pad_token_id": 0,
}


@pytest.fixture(autouse=True)
def captured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Capture and differentiate the graphs, but make no machine code, which takes half a minute."""
    monkeypatch.setattr(
        kernels, "_compiled", lambda each: torch.compile(each, dynamic=True, backend="aot_eager")
    )


def made(kind: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(kind, **SIZES)
    model = transformers.AutoModelForCausalLM.from_config(config).train()
    modeling = sys.modules[type(model).__module__]
    monkeypatch.setattr(modeling, kernels._ROTARY, getattr(modeling, kernels._ROTARY))
    return model


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_compiled_kernels_are_those_of_transformers(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._dynamo.utils import counters

    plain = made(kind, monkeypatch)
    fused = copy.deepcopy(plain)
    expected = []
    rows = [torch.arange(length)[None] % 60 + 1 for length in (20, 31, 17)]
    for ids in rows:
        loss = plain(input_ids=ids, labels=ids).loss
        loss.backward()
        expected.append(float(loss))

    torch._dynamo.reset()
    counters.clear()
    use_kernels(fused, "compiled", "cpu")
    for ids, wanted in zip(rows, expected, strict=True):
        loss = fused(input_ids=ids, labels=ids).loss
        loss.backward()
        assert float(loss) == pytest.approx(wanted, rel=1e-6)

    for (name, one), other in zip(plain.named_parameters(), fused.parameters(), strict=True):
        torch.testing.assert_close(other.grad, one.grad, rtol=1e-4, atol=1e-6, msg=name)
    # Norm (of a head's width too), gate and rotary embedding, for all layers and lengths.
    assert counters["stats"]["unique_graphs"] == (4 if kind == "qwen3" else 3)


def test_a_sharded_training_with_compiled_kernels_is_the_eager_one(
    student: Path, tmp_path: Path, trained: Any
) -> None:
    alone, _ = trained(num_ranks=1, zero_stage=2)
    runtime = Runtime(num_ranks=2, zero_stage=3, kernels="compiled", activation_checkpointing=True)

    result = launch.train(job_of(student, tmp_path / "work", runtime=runtime))

    assert result["kernels"] == "compiled"
    assert losses(result) == pytest.approx(losses(alone), rel=1e-5)
    assert result["grad_norm_curve"] == pytest.approx(alone["grad_norm_curve"], rel=1e-4)


def test_what_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    llama = made("llama", monkeypatch)
    with pytest.raises(ValueError, match="'liger' needs a GPU: set it to 'eager' or 'compiled'"):
        use_kernels(llama, "liger", "cpu")
    monkeypatch.setitem(sys.modules, "liger_kernel.transformers", None)
    with pytest.raises(ValueError, match="needs the package liger-kernel, which is not installed"):
        use_kernels(llama, "liger", "cuda")
    other = made("granite", monkeypatch)
    use_kernels(other, "eager", "cpu")
    with pytest.raises(ValueError, match="is for llama, mistral, qwen2, qwen3, and this student"):
        use_kernels(other, "compiled", "cpu")
