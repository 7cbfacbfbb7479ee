"""From packed rows to the tensors of one forward pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from nt_pkg.files.schemas import Row

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


def collate(rows: Sequence[Sequence[Row]], in_one_row: bool, device: "torch.device") -> Batch:
    """Return the tensors of some packed rows, each a list of examples.

    Args:
        rows: empty for a rank that only takes part because the others have a forward pass; its
            batch has no loss.
        in_one_row: join the documents of all rows into one, so that nothing is padded.
        device: where to put the tensors.
    """
    import torch

    groups = [list(chain.from_iterable(rows))] if in_one_row else [list(row) for row in rows]
    if not any(groups):
        groups = [[{"input_ids": [0, 0], "num_prompt_tokens": 2}]]
    width = max(sum(len(each["input_ids"]) for each in group) for group in groups)
    ids: list[list[int]] = []
    positions: list[list[int]] = []
    at: list[torch.Tensor] = []
    for group in groups:
        tokens: list[int] = []
        places: list[int] = []
        for each in group:
            start, length = len(ids) * width + len(tokens), len(each["input_ids"])
            at.append(torch.arange(start + each["num_prompt_tokens"], start + length) - 1)
            tokens += each["input_ids"]
            places += range(length)
        # Padding counts as another document, so that no real one attends to it.
        padding = width - len(tokens)
        ids.append(tokens + [0] * padding)
        positions.append([*places, *range(padding)])
    flat, bearing = torch.tensor(ids), torch.cat(at)
    return Batch(
        flat.to(device),
        torch.tensor(positions).to(device),
        bearing.to(device),
        flat.flatten()[bearing + 1].to(device),
        tuple(len(each["input_ids"]) for each in groups[0]) if in_one_row else (),
    )
