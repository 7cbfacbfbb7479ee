"""Our side of `benchmarks.sft`: the command `scripts.train`, as rule `train` calls it."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.fetched import MANIFEST, write_manifest
from benchmarks.sft_worker import Order, read_clock, serve, start_clock
from nt_pkg.config.students import Runtime, Training
from nt_pkg.files.json_files import read_json
from nt_pkg.packing.steps import Steps
from nt_pkg.sft.examples import Examples
from nt_pkg.slurm.stopping import EXIT_STATUS
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
    if not (Path(order["model"]) / MANIFEST).exists():
        write_manifest(Path(order["model"]))
    argv = [
        "--spec", json.dumps({"training": training.model_dump(mode="json")}),
        "--names", "{}",
        "--runtime", runtime.model_dump_json(),
        "--seed", str(order["seed"]),
        "--student", str(Path(order["model"]) / MANIFEST),
        "--examples", order["examples"],
        "--examples-manifest", str(Path(order["examples"]).with_suffix(".json")),
        "--checkpoint", str(out / "checkpoint"),
        "--preview", str(out / "preview.txt"),
        "--tensorboard", str(out / "tensorboard"),
        "--out", str(out / "run.json"),
    ]  # fmt: skip
    if "stop_in" in order:
        with _stopping_in(order["stop_in"]):
            if train.main(argv) != EXIT_STATUS:
                raise RuntimeError("the training was not stopped")
    status = train.main(argv)
    if status:
        raise RuntimeError(f"scripts.train ended with status {status}")
    examples = Examples(Path(order["examples"]))
    steps = Steps(examples.lengths, examples.loss_lengths, training, order["seed"])
    tokens = [step.num_tokens for step in steps]
    return {**read_clock(folder / "clock.txt", tokens), "run": read_json(out / "run.json")}


@contextmanager
def _stopping_in(last: int) -> Iterator[None]:
    """Send the rank a signal in a step."""
    from nt_pkg.sft import train as loop  # prints, and only what is asked later may

    one_step: Any = loop._Trainer._step

    def step(self: Any, number: int, step: Any) -> float:
        if number == last:
            os.kill(os.getpid(), signal.SIGTERM)
        found: float = one_step(self, number, step)
        return found

    loop._Trainer._step = step  # type: ignore[method-assign]
    try:
        yield
    finally:
        loop._Trainer._step = one_step  # type: ignore[method-assign]


if __name__ == "__main__":
    serve(run)
