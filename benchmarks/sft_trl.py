"""TRL's side of `benchmarks.sft`; runs in the environment `envs/peers-sft.txt`."""

from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from benchmarks.sft_worker import Order, read_clock, serve, start_clock


def run(order: Order) -> dict[str, Any]:
    """Train with SFTTrainer as the order says; preparing the data is outside the clock."""
    import pyarrow as pa
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    torch.set_num_threads(order["threads"])
    clock = Path(order["folder"]) / "clock.txt"
    data = Dataset(pa.ipc.open_file(order["examples"]).read_all())
    data = data.map(_mask, remove_columns=data.column_names, num_proc=None)
    on_gpu = order["dtype"] == "bfloat16"
    config = SFTConfig(
        output_dir=order["folder"],
        num_train_epochs=1,
        max_length=order["row_tokens"] if order["packing"] else None,
        packing=bool(order["packing"]),
        packing_strategy=order["packing"] or "bfd",
        padding_free=order["padding_free"],
        completion_only_loss=True,
        per_device_train_batch_size=order["rows"],
        gradient_accumulation_steps=order["accumulate"],
        train_sampling_strategy="group_by_length" if not order["packing"] else "random",
        use_cpu=not on_gpu,
        bf16=on_gpu,
        use_liger_kernel=order.get("liger", False),
        gradient_checkpointing=order.get("recompute", False),
        learning_rate=2e-5,
        lr_scheduler_type="constant",
        weight_decay=0.1,
        adam_beta2=0.95,
        max_grad_norm=1.0,
        logging_steps=10_000,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=on_gpu,
        seed=order["seed"],
    )
    # In bfloat16 it computes by autocast, and keeps float32 weights, as ZeRO does for us.
    model = AutoModelForCausalLM.from_pretrained(
        order["model"],
        dtype=torch.float32,
        attn_implementation=order["attention"],
    )
    trainer = SFTTrainer(
        model,
        args=config,
        train_dataset=data,
        processing_class=AutoTokenizer.from_pretrained(order["model"]),
    )
    seen: list[int] = []
    inner = trainer.data_collator

    def count(examples: list[dict[str, Any]]) -> Any:
        seen.append(sum(len(each["input_ids"]) for each in examples))
        return inner(examples)

    trainer.data_collator = count
    start_clock(clock)
    num_steps = trainer.train().global_step
    ends = [
        min(at, len(seen)) for at in range(0, len(seen) + order["accumulate"], order["accumulate"])
    ]
    sums = [0, *accumulate(seen)]
    step_tokens = [sums[b] - sums[a] for a, b in pairwise(ends)][:num_steps]
    gib = torch.cuda.max_memory_allocated() / 2**30 if on_gpu else 0.0
    return {**read_clock(clock, step_tokens), "gib": gib}


def _mask(row: dict[str, Any]) -> dict[str, Any]:
    num, prompt = len(row["input_ids"]), row["num_prompt_tokens"]
    return {"input_ids": row["input_ids"], "completion_mask": [0] * prompt + [1] * (num - prompt)}


if __name__ == "__main__":
    serve(run)
