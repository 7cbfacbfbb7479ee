"""Where the examples of a step are computed: micro-batches and ranks that take equally long.

All ranks wait for the slowest one in every micro-batch, because they exchange weights or gradients
in it. So a step takes the sum over its micro-batches of the slowest rank's time. Examples are
placed by their cost, longest first onto the least loaded (Graham 1969). Nothing of it changes the
result of a step, but for rounding.
"""

import heapq
import math
from collections.abc import Sequence
from itertools import count, islice
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from nt_pkg.config.students import Runtime, Training
from nt_pkg.packing.steps import Numbers, Steps

Costs = npt.NDArray[np.floating]
_MORE = 2  # micro-batches that are tried on top of the fewest in which the tokens have room
_SIMULATED_STEPS = 200
# Of the lengths that are assumed: the bounds are published, the rest gives the published mean.
_SHORTEST, _LONGEST, _MEAN, _MEDIAN, _SPREAD = 745, 14_600, 4430, 3842.2, 0.6


def micro_batches(lengths: Numbers, costs: Costs, runtime: Runtime) -> list[list[Numbers]]:
    """Return the micro-batches of a step, the costliest first, each with a part for every team.

    A team is one rank, or `runtime.sequence_parallel` ranks that share the tokens of their part.
    A part holds up to `runtime.micro_batch_tokens` a rank, or one example that is longer; it may
    be empty.

    Args:
        lengths: tokens of every example of the step.
        costs: time that every example takes, in any unit.
        runtime: ranks, and the room of a micro-batch.

    Returns:
        micro-batches x teams, each the positions in `lengths`.
    """
    teams = runtime.num_ranks // runtime.sequence_parallel
    room = runtime.micro_batch_tokens * runtime.sequence_parallel
    order = np.argsort(-np.asarray(costs), kind="stable").tolist()
    tokens, each = np.asarray(lengths).tolist(), np.asarray(costs).tolist()
    fewest = max(1, -(-sum(min(length, room) for length in tokens) // (room * teams)))
    placed = (_place(order, tokens, each, number * teams, room) for number in count(fewest))
    found = islice(filter(None, placed), 1 + _MORE)
    best = min(found, key=lambda parts: sum(cost for cost, _ in parts[::teams]))
    parts: list[Numbers] = [np.array(members, dtype=np.int64) for _, members in best]
    return [parts[start : start + teams] for start in range(0, len(parts), teams)]


def _place(
    order: Sequence[int],
    lengths: Sequence[int],
    costs: Sequence[float],
    num_parts: int,
    room: int,
) -> list[tuple[float, list[int]]] | None:
    """Return (cost, examples) of every part, the costliest first; None if some have no room."""
    parts: list[list[int]] = [[] for _ in range(num_parts)]
    heap = [(0.0, part, 0) for part in range(num_parts)]  # cost, part, tokens
    loads = [0.0] * num_parts
    for example in order:
        full = []
        while heap and heap[0][2] and heap[0][2] + lengths[example] > room:
            full.append(heapq.heappop(heap))
        if not heap:
            return None
        load, part, used = heap[0]
        loads[part] = load + costs[example]
        heapq.heapreplace(heap, (loads[part], part, used + lengths[example]))
        parts[part].append(example)
        for each in full:
            heapq.heappush(heap, each)
    return sorted(zip(loads, parts, strict=True), key=lambda part: -part[0])


def efficiency(
    lengths: npt.ArrayLike, costs: Costs, training: Training, runtime: Runtime, seed: int = 0
) -> float:
    """Return the share of the ranks' time in which they compute and do not wait, simulated.

    The steps and micro-batches are those of a training on these examples, the first 200 steps of
    it. What ranks say to each other takes no time here.

    Args:
        lengths: tokens of every example.
        costs: time that every example takes on one rank, in any unit.
        training: tokens of a step.
        runtime: ranks, and the room of a micro-batch.
        seed: seed of the run.
    """
    tokens = np.asarray(lengths)
    busy = spent = 0.0
    for step in Steps(tokens, tokens, training, seed)[:_SIMULATED_STEPS]:
        each = costs[step.examples]
        busy += float(each.sum())
        for parts in micro_batches(tokens[step.examples], each, runtime):
            slowest = max(float(each[part].sum()) for part in parts)
            spent += slowest * len(parts)
    return busy / spent


def assumed_lengths(num_examples: int, mean: float = _MEAN) -> npt.NDArray[np.int64]:
    """Return lengths of examples whose traces are not known yet.

    R1's traces of 1,000 questions of NaturalReasoning have 745 to 14,600 tokens, 4,430 on average
    ("Papers Explained 525"). Nothing more is known of them, so the shape is our choice: a
    log-normal distribution within these bounds, of median 3,842 and spread 0.6.

    Args:
        num_examples: how many; they are the middles of equal shares, so no chance is in them.
        mean: their mean; all of them are scaled to it.
    """
    normal = NormalDist(math.log(_MEDIAN), _SPREAD)
    first, last = normal.cdf(math.log(_SHORTEST)), normal.cdf(math.log(_LONGEST))
    shares = first + (np.arange(num_examples) + 0.5) / num_examples * (last - first)
    found = np.exp([normal.inv_cdf(share) for share in shares])
    return np.maximum(1, np.rint(found * (mean / _MEAN))).astype(np.int64)
