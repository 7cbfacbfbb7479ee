"""What a student computes in training: attention within documents, and the loss in pieces."""

from pathlib import Path
from typing import Any

import pytest

from nt_pkg.engines._output_layer import has_plain_head
from nt_pkg.identity.seeds import rng
from nt_pkg.sft.attention import choose_attention, layout_for, register
from nt_pkg.sft.batches import collate
from nt_pkg.sft.examples import Examples
from nt_pkg.sft.loss import give_loss, summed_loss
from tests.unit.sft.tiny import written

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SIZES = {
    "vocab_size": 64,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.3,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 3,
}
FAMILIES = {
    "llama": ("LlamaConfig", {}),
    "qwen": ("Qwen2Config", {"tie_word_embeddings": True}),
    "granite": ("GraniteConfig", {"logits_scaling": 4.0}),  # its logits are more than a product
}
EXAMPLES = [
    {
        "id": f"row{n}",
        "target": "system2",
        "input_ids": [rng("model", n, at).randrange(6, 64) for at in range(length)],
        "num_prompt_tokens": cut,
    }
    for n, (length, cut) in enumerate([(7, 3), (4, 2), (9, 1), (5, 4), (12, 6)])
]
CPU = torch.device("cpu")


@pytest.fixture
def examples(tmp_path: Path) -> Examples:
    return written(tmp_path / "examples.arrow", EXAMPLES)


def student(family: str, attention: Any = "sdpa") -> Any:
    name, changes = FAMILIES[family]
    torch.manual_seed(0)
    config = getattr(transformers, name)(**SIZES, **changes)
    model = transformers.AutoModelForCausalLM.from_config(
        config, attn_implementation=register(attention)
    )
    return model.float().train()


def slopes(model: Any) -> dict[str, Any]:
    return {name: each.grad for name, each in model.named_parameters()}


def one_by_one(family: str) -> tuple[float, dict[str, Any]]:
    """Return loss and gradients as transformers itself has them, one unpacked document a time."""
    model, total = student(family), 0.0
    for row in EXAMPLES:
        ids = torch.tensor([row["input_ids"]])
        labels = ids.clone()
        labels[:, : row["num_prompt_tokens"]] = -100
        number = ids.shape[1] - row["num_prompt_tokens"]
        loss = model(input_ids=ids, labels=labels).loss * number
        loss.backward()
        total += float(loss.detach())
    return total, slopes(model)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("attention", ["documents", "sdpa"])
@pytest.mark.parametrize("checkpointed", [False, True])
def test_packed_loss_and_gradients_are_those_of_each_document_alone(
    family: str, attention: Any, checkpointed: bool, examples: Examples
) -> None:
    model = student(family, attention)
    if checkpointed:
        model.activation_checkpointing_enable({"use_reentrant": False})
    give_loss(model)
    batch = collate(examples, range(5), CPU)

    loss = model(
        at=batch.at,
        targets=batch.targets,
        input_ids=batch.ids,
        position_ids=batch.positions,
        use_cache=False,
        **layout_for(attention, batch.lengths, CPU),
    )
    loss.backward()

    expected, gradients = one_by_one(family)
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)
    for name, slope in slopes(model).items():
        torch.testing.assert_close(slope, gradients[name], rtol=1e-3, atol=1e-4, msg=name)


def test_only_a_plain_output_layer_is_taken_apart() -> None:
    assert [has_plain_head(student(family)) for family in FAMILIES] == [True, True, False]


@pytest.mark.parametrize("chunk", [1, 3, 7, 0])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 2e-2)])
def test_loss_in_chunks_is_that_of_all_logits(chunk: int, dtype: str, tolerance: float) -> None:
    kind = getattr(torch, dtype)
    torch.manual_seed(0)
    hidden, weight = torch.randn(7, 8), torch.randn(50, 8)
    targets = torch.randint(0, 50, (7,))
    given = [each.to(kind).requires_grad_() for each in (hidden, weight)]
    whole = [each.detach().float().requires_grad_() for each in given]

    loss = summed_loss(*given, targets, chunk)
    (loss * 0.25).backward()

    expected = torch.nn.functional.cross_entropy(whole[0] @ whole[1].T, targets, reduction="sum")
    (expected * 0.25).backward()
    assert loss.dtype == torch.float32
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=tolerance)
    for one, other in zip(given, whole, strict=True):
        assert one.grad.dtype == kind
        torch.testing.assert_close(one.grad.float(), other.grad, rtol=tolerance, atol=tolerance)


def test_logits_of_all_tokens_are_never_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr("nt_pkg.sft.loss.MAX_LOGITS", 5 * 5000)

    class Noting(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore
            found = func(*args, **(kwargs or {}))
            seen.extend(each.shape for each in [found] if isinstance(each, torch.Tensor))
            return found

    hidden, weight = (torch.randn(n, 4, requires_grad=True) for n in (40, 5000))
    with Noting():
        summed_loss(hidden, weight, torch.arange(40)).backward()

    assert max(shape.numel() for shape in seen) == 5 * 5000


def test_a_rank_without_examples_has_no_loss_and_gradients_of_zero(examples: Examples) -> None:
    model = student("llama", "documents")
    give_loss(model)
    batch = collate(examples, [], CPU)

    loss = model(
        at=batch.at, targets=batch.targets, input_ids=batch.ids, position_ids=batch.positions,
        use_cache=False, document_tokens=batch.lengths,
    )  # fmt: skip
    loss.backward()

    assert float(loss.detach()) == 0
    assert all(not slope.any() for slope in slopes(model).values())


@pytest.mark.parametrize("num_shares", [2, 3, 4])
@pytest.mark.parametrize("num_examples", [0, 1, 5])
def test_shares_of_a_micro_batch_are_the_whole(
    num_examples: int, num_shares: int, examples: Examples
) -> None:
    whole = collate(examples, range(num_examples), CPU)
    shares = [collate(examples, range(num_examples), CPU, n, num_shares) for n in range(num_shares)]

    size = shares[0].ids.shape[1]
    num_tokens = sum(len(each["input_ids"]) for each in EXAMPLES[:num_examples])
    assert size == max(1, -(-num_tokens // num_shares))
    assert all(share.ids.shape == share.positions.shape == (1, size) for share in shares)
    for name in ("ids", "positions"):
        joined = torch.cat([getattr(share, name) for share in shares], dim=1)
        assert torch.equal(joined[:, :num_tokens], getattr(whole, name)[:, :num_tokens])
    at = torch.cat([share.at + n * size for n, share in enumerate(shares)])
    assert torch.equal(at, whole.at)
    assert torch.equal(torch.cat([share.targets for share in shares]), whole.targets)
    lengths = [len(each["input_ids"]) for each in EXAMPLES[:num_examples]]
    padding = num_shares * size - num_tokens
    for share in shares:
        assert list(share.lengths) == lengths + [padding] * bool(padding)


def test_attention_with_a_mask_over_the_row_is_not_shared() -> None:
    sharing: Any = object()
    with pytest.raises(ValueError, match="sequence_parallel does not support attention 'sdpa'"):
        register("sdpa", sharing)


def test_attention_is_what_student_and_machine_allow() -> None:
    plain = transformers.LlamaConfig(**SIZES)
    windows = transformers.MistralConfig(**SIZES, sliding_window=8)
    unused = transformers.Qwen2Config(**SIZES, use_sliding_window=False)

    assert choose_attention("auto", plain, "bfloat16", "cpu") == "documents"
    assert choose_attention("auto", unused, "float32", "cpu") == "documents"
    assert choose_attention("auto", windows, "float32", "cpu") == "sdpa"
    assert choose_attention("sdpa", plain, "float32", "cpu") == "sdpa"
    with pytest.raises(ValueError, match="does not support attention windows"):
        choose_attention("documents", windows, "float32", "cpu")
    with pytest.raises(ValueError, match=r"needs a GPU of compute capability 8\.0"):
        choose_attention("varlen", plain, "bfloat16", "cpu")
