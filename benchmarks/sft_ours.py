"""Our side of `benchmarks.sft`: the command `scripts.train`, as rule `train` calls it."""

import json
from pathlib import Path
from typing import Any

from benchmarks.sft_worker import Order, read_clock, serve, start_clock
from nt_pkg.config.students import Runtime, Training
from nt_pkg.files.json_files import read_json
from nt_pkg.packing.steps import Steps
from nt_pkg.sft.examples import Examples
from scripts import train


def run(order: Order) -> dict[str, Any]:
    """Train as the order says; the ranks are forked from this process."""
    training = Training(**order["training"])
    runtime = Runtime(
        num_ranks=order["ranks"],
        threads_per_rank=order["threads"],
        micro_batch_tokens=order["rows"] * order["row_tokens"],
        zero_stage=order["zero_stage"],
        **order.get("runtime", {}),
        checkpoint_steps=10_000,
    )
    folder = Path(order["folder"])
    out = folder / "ours"
    start_clock(folder / "clock.txt")
    status = train.main(
        [
            "--spec", json.dumps({"training": training.model_dump(mode="json")}),
            "--names", "{}",
            "--runtime", runtime.model_dump_json(),
            "--seed", str(order["seed"]),
            "--student", str(Path(order["model"]) / "config.json"),
            "--examples", order["examples"],
            "--examples-manifest", str(Path(order["examples"]).with_suffix(".json")),
            "--checkpoint", str(out / "checkpoint"),
            "--preview", str(out / "preview.txt"),
            "--tensorboard", str(out / "tensorboard"),
            "--out", str(out / "run.json"),
        ]
    )  # fmt: skip
    if status:
        raise RuntimeError(f"scripts.train ended with status {status}")
    examples = Examples(Path(order["examples"]))
    steps = Steps(examples.lengths, examples.loss_lengths, training, order["seed"])
    tokens = [step.num_tokens for step in steps]
    return {**read_clock(folder / "clock.txt", tokens), "run": read_json(out / "run.json")}


if __name__ == "__main__":
    serve(run)
