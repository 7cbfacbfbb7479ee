"""From the examples of a micro-batch to the tensors of one forward pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nt_pkg.packing.steps import Numbers
from nt_pkg.sft.examples import Examples

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Batch:
    """One forward pass over documents that share one row of tokens.

    Attributes:
        ids: 1 x tokens.
        positions: 1 x tokens; they restart with every document.
        at: positions in the tokens whose next token has loss.
        targets: those next tokens.
        lengths: tokens of each document in the whole row.
    """

    ids: "torch.Tensor"
    positions: "torch.Tensor"
    at: "torch.Tensor"
    targets: "torch.Tensor"
    lengths: tuple[int, ...]


def collate(
    examples: Examples,
    chosen: Sequence[int] | Numbers,
    device: "torch.device",
    share: int = 0,
    num_shares: int = 1,
) -> Batch:
    """Return the tensors of some examples, or one of equal shares of their tokens.

    Args:
        examples: the examples of the training.
        chosen: numbers of examples; none for a rank that only takes part because the others have a
            forward pass; its batch has no loss.
        device: where to put the tensors.
        share: which share this rank has, counted from 0.
        num_shares: ranks that share the tokens. Padding after the last document, a document of its
            own, makes the shares equal.
    """
    import torch

    ids = [examples.ids(number).astype(np.int64) for number in chosen]
    lengths = [len(each) for each in ids]
    starts = np.cumsum([0, *lengths])
    at = [
        np.arange(start + examples.num_prompt_tokens[number], start + length) - 1
        for start, length, number in zip(starts, lengths, chosen, strict=False)
    ]
    # An empty batch still has a token for every rank.
    padding = -int(starts[-1]) % num_shares if len(chosen) else num_shares
    if padding:
        ids.append(np.zeros(padding, dtype=np.int64))
        lengths.append(padding)
    row, positions = np.concatenate(ids), np.concatenate([np.arange(n) for n in lengths])
    bearing = np.concatenate([*at, np.zeros(0, dtype=np.int64)])
    size = len(row) // num_shares
    first = share * size
    bearing = bearing[(bearing >= first) & (bearing < first + size)]

    def tensor(values: Numbers) -> "torch.Tensor":
        return torch.from_numpy(values).to(device)

    return Batch(
        ids=tensor(row[None, first : first + size]),
        positions=tensor(positions[None, first : first + size]),
        at=tensor(bearing - first),
        targets=tensor(row[bearing + 1]),
        lengths=tuple(lengths),
    )
