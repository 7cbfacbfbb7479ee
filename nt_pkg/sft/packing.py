"""Which examples share a row of tokens, and which rows an optimiser step."""

from collections.abc import Sequence
from dataclasses import dataclass

from nt_pkg.config.students import Training
from nt_pkg.identity.seeds import rng
from nt_pkg.sft.examples import Examples


@dataclass(frozen=True)
class PackedRow:
    """Documents that share one row of tokens, as positions in the list of examples."""

    examples: tuple[int, ...]
    num_tokens: int


@dataclass(frozen=True)
class Step:
    """The rows of one optimiser step over all ranks, and their number of tokens with loss."""

    rows: tuple[PackedRow, ...]
    num_loss_tokens: int


def steps_of(examples: Examples, training: Training, seed: int) -> list[Step]:
    """Return every optimiser step of a run over these examples."""
    lengths, loss_lengths = examples.lengths.tolist(), examples.loss_lengths.tolist()
    return plan_steps(lengths, loss_lengths, training, seed)


def plan_steps(
    lengths: Sequence[int], loss_lengths: Sequence[int], training: Training, seed: int
) -> list[Step]:
    """Return every optimiser step of a run, in order; it does not depend on the number of ranks.

    Each epoch shuffles the examples with the seed and packs them first-fit into rows of
    `training.row_tokens`. A step takes rows up to `training.tokens_per_step`.
    """
    rows_per_step = max(1, training.tokens_per_step // training.row_tokens)
    steps = []
    for epoch in range(training.num_epochs(len(lengths))):
        order = list(range(len(lengths)))
        rng("order", seed, epoch).shuffle(order)
        rows = _pack(order, lengths, training.row_tokens)
        for start in range(0, len(rows), rows_per_step):
            chosen = tuple(rows[start : start + rows_per_step])
            loss = sum(loss_lengths[example] for row in chosen for example in row.examples)
            steps.append(Step(chosen, loss))
    return steps


def _pack(order: Sequence[int], lengths: Sequence[int], row_tokens: int) -> list[PackedRow]:
    """Put each example into the first open row that has room for it."""
    num_open = 16  # bounds the search; more open rows hardly pack better
    opened: list[tuple[list[int], int]] = []
    closed: list[PackedRow] = []
    for example in order:
        length = lengths[example]
        for at, (members, used) in enumerate(opened):
            if used + length <= row_tokens:
                members.append(example)
                opened[at] = (members, used + length)
                break
        else:
            opened.append(([example], length))
            if len(opened) > num_open:
                fullest = max(range(len(opened)), key=lambda at: opened[at][1])
                members, used = opened.pop(fullest)
                closed.append(PackedRow(tuple(members), used))
    closed.extend(PackedRow(tuple(members), used) for members, used in opened)
    return closed
