"""Which examples an optimiser step has. It depends on lengths and the seed, never on machines."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import numpy.typing as npt

from nt_pkg.config.students import Training
from nt_pkg.identity.seeds import generator

Numbers = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Step:
    """The examples of one optimiser step over all ranks.

    Attributes:
        examples: their positions in the list of examples.
        num_tokens: their tokens.
        num_loss_tokens: those with loss.
    """

    examples: Numbers
    num_tokens: int
    num_loss_tokens: int


class Steps(Sequence[Step]):
    """Every optimiser step of a run, in order, in four bytes an example and epoch.

    Each epoch shuffles the examples with the seed. The epochs in a row are one stream of tokens,
    which is cut every `tokens_per_step`; an example belongs to the step in which it begins.
    """

    def __init__(
        self, lengths: npt.ArrayLike, loss_lengths: npt.ArrayLike, training: Training, seed: int
    ) -> None:
        """Cut the stream.

        Args:
            lengths: tokens of every example.
            loss_lengths: those of them that have loss.
            training: tokens of a step, and epochs (of a study's run: `Training.with_epochs`).
            seed: seed of the run.
        """
        self._lengths = np.asarray(lengths)
        self._loss_lengths = np.asarray(loss_lengths)
        self.num_epochs = training.num_epochs(len(self._lengths))
        self.num_tokens = self.num_epochs * int(self._lengths.sum())
        self.num_loss_tokens = self.num_epochs * int(self._loss_lengths.sum())
        orders, bounds, last, done = [], [], -1, 0
        for epoch in range(self.num_epochs):
            order = generator("order", seed, epoch).permutation(len(self._lengths))
            ends = np.cumsum(self._lengths[order], dtype=np.int64)
            begins = done + ends - self._lengths[order]
            numbers = begins // training.tokens_per_step
            bounds.append(np.flatnonzero(np.diff(numbers, prepend=last)) + epoch * len(order))
            orders.append(order.astype(np.int32))
            last, done = int(numbers[-1]), done + int(ends[-1])
        self._order = np.concatenate(orders)
        self._bounds = np.append(np.concatenate(bounds), len(self._order))

    def __len__(self) -> int:
        """Return the number of steps."""
        return len(self._bounds) - 1

    @overload
    def __getitem__(self, number: int) -> Step: ...

    @overload
    def __getitem__(self, number: slice) -> list[Step]: ...

    def __getitem__(self, number: int | slice) -> Step | list[Step]:
        """Return a step, counted from 0."""
        if isinstance(number, slice):
            return [self[at] for at in range(*number.indices(len(self)))]
        at = range(len(self))[number]
        examples = self._order[self._bounds[at] : self._bounds[at + 1]]
        lengths, losses = self._lengths[examples], self._loss_lengths[examples]
        return Step(examples, int(lengths.sum()), int(losses.sum()))
