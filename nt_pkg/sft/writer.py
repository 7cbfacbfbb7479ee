"""DeepSpeed's checkpoint engine: copies the state in memory and writes the copy in a thread."""

import copy
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from deepspeed.runtime.checkpoint_engine.checkpoint_engine import (
    CheckpointCommitInfo,
    CheckpointEngine,
)

from nt_pkg.sft.checkpoint_files import note_rank
from nt_pkg.sft.safe_loading import load, load_only_weights

# At ZeRO stages 1 and 2 it has all weights, and every rank reads it.
SHARED = "mp_rank_00_model_states.pt"


class Writer(CheckpointEngine):  # type: ignore[misc]  # DeepSpeed has no types
    """Writes this rank's files of a checkpoint, then the note that says they are complete.

    In the background, training waits only until the state is copied in main memory. The copy stays
    until it is written. It takes 12 bytes per parameter divided by the number of ranks, and on
    rank 0 at ZeRO stage 1 or 2 also the weights.
    """

    def __init__(self, rank: int, in_background: bool) -> None:
        """Write for one rank."""
        super().__init__()
        load_only_weights()
        self.place: dict[str, int] = {}  # of the next checkpoint, see `note_rank`
        self.weights_only = False  # of the next checkpoint
        self._rank, self._in_background = rank, in_background
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._parts: list[tuple[Any, Path]] = []
        self._pending: Future[None] | None = None

    def create(self, info: CheckpointCommitInfo) -> None:
        """Begin a checkpoint."""
        self._parts = []

    def save(self, state_dict: Any, path: str) -> None:
        """Take the content of one file."""
        state_dict = _weights_of(state_dict) if self.weights_only else state_dict
        if self._in_background:
            self._parts.append((snapshot(state_dict, {}), Path(path)))
        else:
            torch.save(state_dict, path)
            self._parts.append((None, Path(path)))

    def commit(self, info: CheckpointCommitInfo) -> bool:
        """Start writing everything that was taken since `create`."""
        folder = Path(info.save_dir) / info.tag
        self._pending = self._thread.submit(_write, folder, self._rank, self.place, self._parts)
        self._parts = []
        if not self._in_background:
            self.wait()
        return True

    def wait(self) -> None:
        """Wait until everything is written; raise if it failed."""
        if self._pending:
            self._pending.result()
        self._pending = None

    def load(self, path: str, map_location: Any = None) -> Any:
        """Return the content of one file, mapped if it is one that all ranks of a node read."""
        is_shared = path.endswith(SHARED)
        return load(path, map_location=map_location, mmap=is_shared)


def _weights_of(state: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a file without what only a training that goes on needs.

    What stays is what DeepSpeed's `zero_to_fp32` reads: the optimiser's float32 weights, and
    buffers. Its moments go, and so does the copy of all weights of ZeRO stages 1 and 2.
    """
    kept = dict(state)
    if "module" in kept:
        kept["module"] = {
            name: each
            for name, each in (kept["module"] or {}).items()
            if name in kept["buffer_names"]
        }
    if "optimizer_state_dict" in kept and isinstance(kept["optimizer_state_dict"], dict):
        large = ("base_optimizer_state", "optimizer_state_dict")  # of stages 1 and 2, and of 3
        kept["optimizer_state_dict"] = {
            name: each for name, each in kept["optimizer_state_dict"].items() if name not in large
        }
    return kept


def _write(folder: Path, rank: int, place: dict[str, int], parts: list[tuple[Any, Path]]) -> None:
    files = [path for _, path in parts]
    while parts:  # frees each copy as soon as it is written
        state, path = parts.pop()
        if state is not None:
            torch.save(state, path)
    note_rank(folder, rank, place, files)


def snapshot(value: Any, known: dict[tuple[Any, ...], torch.Tensor]) -> Any:
    """Return a copy of nested containers with all tensors in main memory.

    Args:
        value: state of a checkpoint.
        known: copies made so far; a tensor with two names, such as a tied embedding, is copied
            once.
    """
    if isinstance(value, torch.Tensor):
        key = (value.device, value.data_ptr(), value.shape, value.stride(), value.dtype)
        if key not in known or not value.numel():
            known[key] = value.detach().to("cpu", copy=True)
        return known[key]
    if isinstance(value, Mapping):
        result: Any = copy.copy(value)  # keeps the type, and attributes that torch adds
        for name, each in value.items():
            result[name] = snapshot(each, known)
        return result
    if type(value) in (list, tuple):
        return type(value)(snapshot(each, known) for each in value)
    return copy.deepcopy(value)
