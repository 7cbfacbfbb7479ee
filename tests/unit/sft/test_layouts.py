"""A loop that is exact however it is spread over ranks, micro-batches and ZeRO stages."""

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from nt_pkg.config.students import Runtime
from nt_pkg.packing.steps import Steps
from nt_pkg.sft import launch
from tests.unit.sft.tiny import (
    EXAMPLES,
    FORK,
    TRAINING,
    Outcome,
    Runs,
    job_of,
    losses,
)

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("quiet_and_warm")]


def by_hand(student: Path) -> Outcome:
    """Train in plain torch, one unpacked example at a time."""
    import torch
    from torch.nn.functional import cross_entropy
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(student, dtype=torch.float32)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=0.01, betas=TRAINING.betas, weight_decay=TRAINING.weight_decay
    )
    lengths = [len(row["input_ids"]) for row in EXAMPLES]
    response = [len(row["input_ids"]) - row["num_prompt_tokens"] for row in EXAMPLES]
    curve, norms = [], []
    for number, step in enumerate(Steps(lengths, response, TRAINING, 0), start=1):
        optimizer.param_groups[0]["lr"] = 0.01 * min(1.0, number / 3)
        total = 0.0
        for example in (EXAMPLES[e] for e in step.examples):
            ids = torch.tensor([example["input_ids"]])
            cut = example["num_prompt_tokens"]
            logits = model(ids).logits[0, cut - 1 : -1]
            loss = cross_entropy(logits, ids[0, cut:], reduction="sum") / step.num_loss_tokens
            loss.backward()
            total += float(loss)
        norms.append(
            float(torch.nn.utils.clip_grad_norm_(model.parameters(), TRAINING.max_grad_norm))
        )
        optimizer.step()
        optimizer.zero_grad()
        curve.append(total)
    found = {name: tensor.detach() for name, tensor in model.named_parameters()}
    return {"losses": curve, "norms": norms}, found


def test_packed_training_is_unpacked_training_by_hand(student: Path, trained: Runs) -> None:
    """Mask, packing, loss scale, accumulation, warm-up, clipping and decay in one comparison."""
    import torch

    with ProcessPoolExecutor(1, mp_context=FORK) as pool:
        hand, expected = pool.submit(by_hand, student).result()

    result, found = trained(num_ranks=1, zero_stage=2)

    assert min(hand["norms"]) > TRAINING.max_grad_norm
    assert result["num_steps"] == len(hand["losses"]) == 12
    assert hand["losses"][-1] < hand["losses"][0]
    assert losses(result) == pytest.approx(hand["losses"], rel=1e-5)
    assert result["grad_norm_curve"] == pytest.approx(hand["norms"], rel=1e-4)
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize(
    ("num_ranks", "zero_stage", "micro_batch_tokens", "options"),
    [
        (1, 2, 20, {}),
        (2, 2, 32, {}),
        (2, 1, 32, {"offload": "optimizer"}),
        (2, 3, 64, {"attention": "sdpa"}),
        (2, 3, 8, {"offload": "all", "activation_checkpointing": True}),
        (2, 2, 16, {"sequence_parallel": 2}),
        (4, 3, 8, {"sequence_parallel": 2, "activation_checkpointing": True}),
    ],
)
def test_layout_of_a_run_is_not_in_its_result(
    trained: Runs,
    num_ranks: int,
    zero_stage: int,
    micro_batch_tokens: int,
    options: dict[str, Any],
) -> None:
    """Micro-batches, ranks, those that share tokens, and ZeRO stages change only rounding."""
    import torch

    alone, expected = trained(num_ranks=1, zero_stage=2)

    result, found = trained(
        num_ranks=num_ranks,
        zero_stage=zero_stage,
        micro_batch_tokens=micro_batch_tokens,
        **options,
    )

    assert losses(result) == pytest.approx(losses(alone), rel=1e-5)
    one, other = (each["grad_norm_curve"] for each in (result, alone))
    assert one == pytest.approx(other, rel=1e-4)
    for key in ("num_examples", "num_steps", "num_tokens", "num_parameters"):
        assert result[key] == alone[key], key
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=2e-5)


def test_output_layer_of_its_own_is_gathered_for_a_loss_in_chunks(
    untied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ZeRO-3 shards its weight, and few tokens have their logits in memory at a time."""
    whole = launch.train(job_of(untied, tmp_path / "whole"))
    monkeypatch.setattr("nt_pkg.sft.loss.MAX_LOGITS", 3 * 347)

    runtime = Runtime(num_ranks=2, zero_stage=3)
    found = launch.train(job_of(untied, tmp_path / "sharded", runtime=runtime))

    assert losses(found) == pytest.approx(losses(whole), rel=1e-5)
    assert found["grad_norm_curve"] == pytest.approx(whole["grad_norm_curve"], rel=1e-4)


def test_counts_of_a_run(trained: Runs) -> None:
    result, _ = trained(num_ranks=1, zero_stage=2)

    assert result["num_examples"] == 22
    assert result["num_tokens"] == 4 * sum(len(row["input_ids"]) for row in EXAMPLES)
    assert result["final_loss"] == pytest.approx(losses(result)[-1], abs=1e-6)
    layer = 2 * 16 * 16 + 2 * 16 * 8 + 3 * 16 * 32 + 2 * 16
    assert result["num_parameters"] == 347 * 16 + 2 * layer + 16
    assert result["learning_rate_curve"] == [0.01 * min(1, n / 3) for n in range(1, 13)]
    assert all(rate > 0 for rate in result["tokens_per_second_curve"])
    assert result["tokens_per_second"] > 0
    assert 100 < result["peak_memory_mb"] < 10_000
    lengths = [len(row["input_ids"]) for row in EXAMPLES]
    bearing = sum(lengths) - sum(row["num_prompt_tokens"] for row in EXAMPLES)
    squares = sum(length**2 for length in lengths)
    one_epoch = sum(lengths) * (2 * layer + 16) + bearing * 347 * 16 + 2 * 16 * squares
    assert result["flops"] == 6 * 4 * one_epoch
    assert result["mfu"] is None  # of a CPU no peak is known
