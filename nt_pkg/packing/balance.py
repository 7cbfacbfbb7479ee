"""Where the examples of a step are computed: micro-batches and ranks that take equally long.

All ranks wait for the slowest one in every micro-batch, because they exchange weights or gradients
in it. So a step takes the sum over its micro-batches of the slowest rank's time. Examples are
placed by their cost, longest first onto the least loaded (Graham 1969); then the costliest and the
cheapest place swap examples as long as that brings them closer. A step has the fewest micro-batches
in which its tokens have room: each gathers weights and reduces gradients once more, and more of
them saved less than 0.2 % of the time. Nothing of it changes the result of a step, but for
rounding.
"""

import heapq
import math
from collections.abc import Sequence
from itertools import count
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from nt_pkg.config.students import Runtime, Training
from nt_pkg.packing.steps import Numbers, Steps

Costs = npt.NDArray[np.floating]
Part = tuple[float, list[int]]  # its cost, and its examples
_SWAPS, _CLOSE = 4, 1e-3  # swaps for each place at most; a difference that needs none
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
    order = np.argsort(-costs, kind="stable").tolist()
    fewest = max(1, -(-int(np.minimum(lengths, room).sum()) // (room * teams)))
    placed = (_place(order, lengths, costs, number * teams, room) for number in count(fewest))
    best = _evened_out(next(filter(None, placed)), lengths, costs, room)
    parts: list[Numbers] = [np.array(members, dtype=np.int64) for _, members in best]
    return [parts[start : start + teams] for start in range(0, len(parts), teams)]


def _place(
    order: Sequence[int], lengths: Numbers, costs: Costs, num_parts: int, room: int
) -> list[Part] | None:
    """Return the parts, filled in this order of examples; None if one has no room."""
    tokens, times = lengths.tolist(), costs.tolist()
    parts: list[list[int]] = [[] for _ in range(num_parts)]
    heap = [(0.0, part, 0) for part in range(num_parts)]  # cost, part, tokens
    loads = [0.0] * num_parts
    for example in order:
        full = []
        while heap and heap[0][2] and heap[0][2] + tokens[example] > room:
            full.append(heapq.heappop(heap))
        if not heap:
            return None
        load, part, used = heap[0]
        loads[part] = load + times[example]
        heapq.heapreplace(heap, (loads[part], part, used + tokens[example]))
        parts[part].append(example)
        for each in full:
            heapq.heappush(heap, each)
    return list(zip(loads, parts, strict=True))


def _evened_out(parts: list[Part], lengths: Numbers, costs: Costs, room: int) -> list[Part]:
    """Return the parts after swaps, the costliest first."""
    # The last example, of no tokens, is what a part gets that only gives one away.
    tokens, times = np.append(lengths, 0), np.append(costs, 0.0)
    nothing = len(lengths)
    for _ in range(_SWAPS * len(parts)):
        parts.sort(key=lambda part: -part[0])
        (most, costly), (least, cheap) = parts[0], parts[-1]
        gap = most - least
        if gap <= _CLOSE * most:
            break
        back = [*cheap, nothing]
        gains = times[costly][:, None] - times[back]
        used = tokens[cheap].sum() + tokens[costly][:, None] - tokens[back]
        misses = np.where((gains > 0) & (gains < gap) & (used <= room), abs(gains - gap / 2), gap)
        give, take = np.unravel_index(misses.argmin(), misses.shape)
        if misses[give, take] == gap:
            break
        gain = float(gains[give, take])
        moved, returned = costly[give], back[take]
        parts[0] = (
            most - gain,
            [each for each in [*costly, returned] if each not in (moved, nothing)],
        )
        parts[-1] = least + gain, [each for each in [*cheap, moved] if each != returned]
    return sorted(parts, key=lambda part: -part[0])


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
