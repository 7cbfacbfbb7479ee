"""The bare loop of `benchmarks.sft`: what one would write with torch alone.

DistributedDataParallel overlaps its all-reduce with the backward pass and reduces once a step
(`no_sync` before); AdamW of torch, whole on every rank; steps, micro-batches, clipping and the loss
per token of the step as ours. It shards nothing, looks for no stop signal, logs nothing, checks no
loss and writes no checkpoint: everything ours does beside is in the ratio.
"""

import contextlib
import multiprocessing
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.sft_worker import Order, read_clock, serve, start_clock
from nt_pkg.config.students import Runtime, Training
from nt_pkg.packing.balance import micro_batches
from nt_pkg.packing.steps import Steps
from nt_pkg.sft.examples import Examples
from nt_pkg.sft.summary import known_shape

if TYPE_CHECKING:
    import torch

Batch = tuple["torch.Tensor", "torch.Tensor", "torch.Tensor"]


def run(order: Order) -> dict[str, Any]:
    """Train with as many forked ranks as the order says."""
    import transformers  # noqa: F401 - shared by the ranks

    clock = Path(order["folder"]) / "clock.txt"
    examples = Examples(Path(order["examples"]))
    training = Training(**order["training"])
    steps = Steps(examples.lengths, examples.loss_lengths, training, order["seed"])
    start_clock(clock)
    with tempfile.TemporaryDirectory() as folder:
        context = multiprocessing.get_context("fork")
        meeting = f"file://{folder}/meeting"
        arguments = [(order, examples, steps, rank, meeting) for rank in range(order["ranks"])]
        ranks = [context.Process(target=_rank, args=each) for each in arguments]
        for each in ranks:
            each.start()
        for each in ranks:
            each.join()
    return read_clock(clock, [step.num_tokens for step in steps])


def _rank(order: Order, examples: Examples, steps: Steps, rank: int, meeting: str) -> None:
    import torch
    from torch.nn.functional import cross_entropy
    from transformers import AutoModelForCausalLM

    os.environ.update(RANK=str(rank), GLOO_SOCKET_IFNAME="lo")
    torch.set_num_threads(order["threads"])
    num_ranks, training = order["ranks"], Training(**order["training"])
    runtime = Runtime(num_ranks=num_ranks, micro_batch_tokens=order["rows"] * order["row_tokens"])
    torch.distributed.init_process_group("gloo", meeting, rank=rank, world_size=num_ranks)
    model = AutoModelForCausalLM.from_pretrained(order["model"], attn_implementation="sdpa")
    model.train()
    ddp = torch.nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=True)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=training.learning_rate,
        betas=training.betas,
        weight_decay=training.weight_decay,
    )
    lengths = examples.lengths
    shape = known_shape(model)
    assert shape is not None
    costs = shape.document_flops(lengths)
    for step in steps:
        chosen, total = step.examples, torch.zeros(())
        parts = [each[rank] for each in micro_batches(lengths[chosen], costs[chosen], runtime)]
        for left, part in zip(reversed(range(len(parts))), parts, strict=True):
            mine = chosen[part].tolist()
            ids, labels, positions = _batch(examples, mine, order["row_tokens"])
            with contextlib.nullcontext() if not left else ddp.no_sync():
                logits = ddp(input_ids=ids, position_ids=positions, use_cache=False).logits
                loss = cross_entropy(
                    logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), reduction="sum"
                )
                total += loss.detach()
                (loss * num_ranks / step.num_loss_tokens).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), training.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        torch.distributed.all_reduce(total)
    torch.distributed.destroy_process_group()


def _batch(examples: Examples, chosen: list[int], row_tokens: int) -> Batch:
    """Return (ids, labels, positions) of examples packed first-fit, each rows x tokens."""
    import torch

    rows: list[list[int]] = []
    used: list[int] = []
    for each in chosen:
        length = int(examples.lengths[each])
        at = next((n for n, have in enumerate(used) if have + length <= row_tokens), len(rows))
        if at == len(rows):
            rows.append([])
            used.append(0)
        rows[at].append(each)
        used[at] += length
    width = max(used, default=2)
    ids = torch.zeros((max(1, len(rows)), width), dtype=torch.long)
    labels = torch.full_like(ids, -100)
    positions = torch.arange(width).repeat(len(ids), 1)
    for at, row in enumerate(rows):
        start = 0
        for number in row:
            tokens, prompt = examples.ids(number), int(examples.num_prompt_tokens[number])
            stop = start + len(tokens)
            ids[at, start:stop] = torch.tensor(tokens)
            labels[at, start + prompt : stop] = ids[at, start + prompt : stop]
            positions[at, start:stop] = torch.arange(len(tokens))
            start = stop
        positions[at, start:] = torch.arange(width - start)
    return ids, labels, positions


if __name__ == "__main__":
    serve(run)
