"""Read the fp32 weights of a ZeRO-sharded checkpoint one tensor at a time.

The files are mapped into memory and not read, so memory is bounded by the largest tensor, whatever
the size of the model. DeepSpeed's own `zero_to_fp32` holds all weights at stages 1 and 2.
"""

import math
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nt_pkg.sft.safe_loading import explained, load, load_only_weights

if TYPE_CHECKING:
    import torch


class Shards:
    """The weights of a checkpoint.

    Attributes:
        shapes: shape of each parameter by name; of a tied pair only the one that was trained.
    """

    def __init__(self, checkpoint: Path) -> None:
        """Map the files of a checkpoint."""
        from deepspeed.utils import zero_to_fp32

        load_only_weights()
        with explained(checkpoint):
            files = zero_to_fp32.get_optim_files(str(checkpoint))
            self._stage, self._num_ranks, self._groups, self._paddings = (
                zero_to_fp32.parse_optim_states(files, str(checkpoint))
            )
            path = zero_to_fp32.get_model_state_file(str(checkpoint), self._stage)
        state = load(path, map_location="cpu", mmap=True)
        self._places: dict[str, tuple[int, int]] = {}  # group of the parameter, first element in it
        self.shapes: dict[str, tuple[int, ...]] = {}
        offset = 0
        for group, shapes in enumerate(state["param_shapes"]):
            if self._stage < 3:
                offset = 0  # at stage 3 all groups form one sequence of elements
            for at, (name, shape) in enumerate(shapes.items()):
                self._places[name], self.shapes[name] = (group, offset), tuple(shape)
                offset += self._length(tuple(shape))
                if self._paddings is not None and self._stage < 3:
                    offset += self._paddings[group][at]

    def _length(self, shape: tuple[int, ...]) -> int:
        """Return the elements that a parameter takes up, at stage 3 on one rank."""
        return math.ceil(math.prod(shape) / (self._num_ranks if self._stage == 3 else 1))

    def read(self, name: str) -> "torch.Tensor":
        """Return one parameter in fp32."""
        import torch

        group, offset = self._places[name]
        shape = self.shapes[name]
        if self._stage == 3:
            # Each rank has a piece of every parameter; the last piece ends in padding.
            parts = [_take(own, offset, self._length(shape)) for own in self._groups]
            flat = torch.cat(parts)[: math.prod(shape)]
        else:
            # Each rank has a piece of a sequence of whole parameters.
            row = [own[group] for own in self._groups]
            flat = _take(row, offset, math.prod(shape))
        return flat.view(shape)


def _take(pieces: Sequence[Any], start: int, number: int) -> "torch.Tensor":
    """Return `number` elements of a sequence that is stored in several pieces, from `start` on."""
    import torch

    ends = list(accumulate(piece.numel() for piece in pieces))
    if start + number > ends[-1]:
        raise ValueError(f"a shard has {ends[-1]} elements, but {start + number} are needed")
    found = []
    for piece, end in zip(pieces, ends, strict=True):
        low, high = max(start, end - piece.numel()), min(start + number, end)
        if low < high:
            found.append(piece.narrow(0, low - (end - piece.numel()), high - low))
    return torch.cat(found)
