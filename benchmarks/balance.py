"""How long the ranks of a training wait for each other, simulated with the trainer's own planner.

    python -m benchmarks.balance            # also: make bench-balance
    python -m benchmarks.balance --quick    # fewer examples

Examples have the lengths that are known of R1's traces on NaturalReasoning: 745 to 14,600 tokens,
4,430 on average; in between log-normal, our choice (`nt_pkg.packing.balance.assumed_lengths`).
Steps have 400,000 tokens, and an example takes the operations of Llama-3.1-8B: linear in its length
and, for attention, in the square of it. A step takes the slowest rank of every micro-batch;
efficiency is the share of the ranks' time in which they compute. Talking takes no time here:
sequence parallelism exchanges heads as well, which only a cluster can measure.

Beside it, the way before: rows of 32,768 tokens packed first-fit, twelve of them a step, row i on
rank i modulo ranks. Prints a table and as its last line one JSON object.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence

import numpy as np

from nt_pkg.config.students import Runtime, Training
from nt_pkg.cost.decoder_shape import read_shape
from nt_pkg.identity.seeds import generator
from nt_pkg.packing.balance import Costs, assumed_lengths, efficiency
from nt_pkg.packing.steps import Numbers
from tests.workflow.sandbox import table

_LLAMA_8B = {
    "hidden_size": 4096,
    "intermediate_size": 14_336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128_256,
}
_TRAINING = Training(epochs={0: 1})
_RANKS = (8, 16, 32)
_SHARED = (2, 4)  # sequence_parallel
_ROW_TOKENS = 32_768


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer examples")
    args = parser.parse_args()
    begun = time.perf_counter()
    lengths = assumed_lengths(2_000 if args.quick else 20_000)
    costs = read_shape(_LLAMA_8B).document_flops(lengths)
    steps = list(_fixed_rows(lengths))
    lines, found = [], {}
    for ranks in _RANKS:
        own = [
            efficiency(
                lengths, costs, _TRAINING, Runtime(num_ranks=ranks, sequence_parallel=shared)
            )
            for shared in (1, *_SHARED)
        ]
        found[f"efficiency_{ranks}"] = own[0]
        found[f"efficiency_{ranks}_sequence_parallel"] = own[-1]
        lines.append(
            [str(ranks), *(f"{each:.3f}" for each in (_of_fixed_rows(steps, costs, ranks), *own))]
        )
    head = ["ranks", "fixed rows", "by cost", *(f"by cost, {n} share tokens" for n in _SHARED)]
    print(table(head, lines))
    wanted = [*(f"efficiency_{ranks}" for ranks in _RANKS), "efficiency_32_sequence_parallel"]
    result = {
        **{name: round(found[name], 4) for name in wanted},
        "seconds": round(time.perf_counter() - begun, 1),
    }
    print(json.dumps(result))
    return 0


def _fixed_rows(lengths: Numbers) -> Iterator[list[list[int]]]:
    """Yield the rows of each step, as they were packed before, each a list of examples."""
    order = generator("fixed rows").permutation(len(lengths)).tolist()
    opened: list[tuple[list[int], int]] = []
    closed: list[list[int]] = []
    for example in order:
        length = int(lengths[example])
        for at, (members, used) in enumerate(opened):
            if used + length <= _ROW_TOKENS:
                members.append(example)
                opened[at] = (members, used + length)
                break
        else:
            opened.append(([example], length))
            if len(opened) > 16:
                fullest = max(range(len(opened)), key=lambda at: opened[at][1])
                closed.append(opened.pop(fullest)[0])
    per_step = _TRAINING.tokens_per_step // _ROW_TOKENS
    closed += [members for members, _ in opened]
    for start in range(0, len(closed) - per_step + 1, per_step):
        yield closed[start : start + per_step]


def _of_fixed_rows(steps: Sequence[Sequence[Sequence[int]]], costs: Costs, ranks: int) -> float:
    """Return the efficiency of steps whose row i is computed by rank i modulo ranks."""
    busy = spent = 0.0
    for rows in steps:
        each = np.array([costs[list(row)].sum() for row in rows])
        busy += float(each.sum())
        spent += ranks * sum(
            float(each[at : at + ranks].max()) for at in range(0, len(each), ranks)
        )
    return busy / spent


if __name__ == "__main__":
    sys.exit(main())
