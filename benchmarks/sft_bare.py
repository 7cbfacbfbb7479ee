"""The bare loop of `benchmarks.sft`: what one would write with torch alone.

DistributedDataParallel overlaps its all-reduce with the backward pass and reduces once a step
(`no_sync` before); AdamW of torch, whole on every rank; rows, micro-batches, clipping and the loss
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
from nt_pkg.config.students import Training
from nt_pkg.sft.examples import Examples
from nt_pkg.sft.packing import PackedRow, Step, steps_of

if TYPE_CHECKING:
    import torch

Batch = tuple["torch.Tensor", "torch.Tensor", "torch.Tensor"]


def run(order: Order) -> dict[str, Any]:
    """Train with as many forked ranks as the order says."""
    import transformers  # noqa: F401 - shared by the ranks

    clock = Path(order["folder"]) / "clock.txt"
    examples = Examples(Path(order["examples"]))
    steps = steps_of(examples, Training(**order["training"]), order["seed"])
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
    return read_clock(clock, [sum(row.num_tokens for row in step.rows) for step in steps])


def _rank(order: Order, examples: Examples, steps: list[Step], rank: int, meeting: str) -> None:
    import torch
    from torch.nn.functional import cross_entropy
    from transformers import AutoModelForCausalLM

    os.environ.update(RANK=str(rank), GLOO_SOCKET_IFNAME="lo")
    torch.set_num_threads(order["threads"])
    num_ranks, size, training = order["ranks"], order["rows"], Training(**order["training"])
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
    num_parts = -(-max(len(step.rows) for step in steps) // (num_ranks * size))
    for step in steps:
        mine = step.rows[rank::num_ranks]
        total = torch.zeros(())
        for part in range(num_parts):
            ids, labels, positions = _batch(examples, mine[part * size : (part + 1) * size])
            with contextlib.nullcontext() if part == num_parts - 1 else ddp.no_sync():
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


def _batch(examples: Examples, rows: tuple[PackedRow, ...]) -> Batch:
    """Return (ids, labels, positions) of packed rows, each rows x tokens."""
    import torch

    width = max((row.num_tokens for row in rows), default=2)
    ids = torch.zeros((max(1, len(rows)), width), dtype=torch.long)
    labels = torch.full_like(ids, -100)
    positions = torch.arange(width).repeat(len(ids), 1)
    for at, row in enumerate(rows):
        start = 0
        for number in row.examples:
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
