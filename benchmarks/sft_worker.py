"""What the sides of `benchmarks.sft` share: orders on standard input, and one clock.

Nothing of nt_pkg is imported, because TRL runs in an environment of its own.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

Order = dict[str, Any]


def serve(run: Callable[[Order], dict[str, Any]]) -> None:
    """Answer each line of JSON on standard input with one, so that imports are paid once."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print what they like
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), file=answers, flush=True)


def start_clock(path: Path) -> None:
    """Note in a file when an optimiser of the first rank has stepped, whatever loop calls it.

    Processes that are forked later note it as well.
    """
    import torch
    from torch.optim.optimizer import register_optimizer_step_post_hook

    def note(*_: object) -> None:
        if os.environ.get("RANK", "0") == "0":
            if torch.cuda.is_initialized():
                torch.cuda.synchronize()
            with path.open("a") as file:
                file.write(f"{time.time()} {time.process_time()}\n")

    path.unlink(missing_ok=True)
    stop_clock()
    _HANDLES[:] = [register_optimizer_step_post_hook(note)]


def stop_clock() -> None:
    """Note no more steps of this process."""
    for handle in _HANDLES:
        handle.remove()


_HANDLES: list[Any] = []


def read_clock(path: Path, step_tokens: list[int]) -> dict[str, Any]:
    """Return what a run took from the end of its first step on.

    Args:
        path: what `start_clock` has written.
        step_tokens: tokens of each step, without padding.

    Returns:
        `first_step`: its end, in seconds since the epoch; `steps`: seconds of each later one;
        `tokens_per_s`, and `tokens_per_cpu_s` of the first rank's processor time.
    """
    ticks = [[float(each) for each in line.split()] for line in path.read_text().splitlines()]
    per_step, rest = divmod(len(ticks), len(step_tokens))  # one per group of parameters
    if rest or not per_step:
        raise RuntimeError(f"the optimiser stepped {len(ticks)} times in {len(step_tokens)} steps")
    ticks = ticks[per_step - 1 :: per_step]
    walls, cpus = ([tick[at] for tick in ticks] for at in (0, 1))
    tokens = sum(step_tokens[1:])
    return {
        "first_step": walls[0],
        "steps": [after - before for before, after in pairwise(walls)],
        "tokens_per_s": tokens / (walls[-1] - walls[0]),
        "tokens_per_cpu_s": tokens / (cpus[-1] - cpus[0]),
    }
