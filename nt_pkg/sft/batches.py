"""From packed rows to the tensors of one forward pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from nt_pkg.sft.examples import Examples

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Batch:
    """One forward pass.

    Attributes:
        ids: rows x tokens.
        positions: rows x tokens; they restart with every document.
        at: positions in the flattened tokens whose next token has loss.
        targets: those next tokens.
        lengths: tokens of each document if all are in one row, else empty.
    """

    ids: "torch.Tensor"
    positions: "torch.Tensor"
    at: "torch.Tensor"
    targets: "torch.Tensor"
    lengths: tuple[int, ...]


def collate(
    examples: Examples,
    rows: Sequence[Sequence[int]],
    in_one_row: bool,
    device: "torch.device",
) -> Batch:
    """Return the tensors of some packed rows, each a list of numbers of examples.

    Args:
        examples: the examples of the training.
        rows: empty for a rank that only takes part because the others have a forward pass; its
            batch has no loss.
        in_one_row: join the documents of all rows into one, so that nothing is padded.
        device: where to put the tensors.
    """
    import torch

    groups = [list(chain.from_iterable(rows))] if in_one_row else [list(row) for row in rows]
    documents = [
        [(examples.ids(each), int(examples.num_prompt_tokens[each])) for each in group]
        for group in groups
    ]
    if not any(documents):
        documents = [[(np.zeros(2, np.int32), 2)]]
    width = max(sum(len(ids) for ids, _ in group) for group in documents)
    tokens = np.zeros((len(documents), width), np.int64)
    positions = np.zeros_like(tokens)
    at = []
    for row, group in enumerate(documents):
        start = 0
        for ids, num_prompt in group:
            end = start + len(ids)
            tokens[row, start:end] = ids
            positions[row, start:end] = np.arange(len(ids))
            at.append(row * width + np.arange(start + num_prompt, end) - 1)
            start = end
        # Padding counts as another document, so that no real one attends to it.
        positions[row, start:] = np.arange(width - start)
    flat, bearing = torch.from_numpy(tokens), torch.from_numpy(np.concatenate(at))
    return Batch(
        flat.to(device),
        torch.from_numpy(positions).to(device),
        bearing.to(device),
        flat.flatten()[bearing + 1].to(device),
        tuple(len(ids) for ids, _ in documents[0]) if in_one_row else (),
    )
