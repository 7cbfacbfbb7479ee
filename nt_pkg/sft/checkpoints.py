"""The checkpoints of one rank: written in the background, loaded at the start."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from nt_pkg.config.students import Runtime
from nt_pkg.sft.checkpoint_files import LAST, folders_of
from nt_pkg.sft.resuming import UNIVERSAL, chosen
from nt_pkg.sft.safe_loading import load
from nt_pkg.sft.writer import Writer

if TYPE_CHECKING:
    from deepspeed import DeepSpeedEngine

_KEPT = 2  # complete ones: the newest, and the one before it in case the newest is damaged


class Checkpoints:
    """The checkpoints of one rank."""

    def __init__(self, engine: "DeepSpeedEngine", work: Path, rank: int, runtime: Runtime) -> None:
        """Write checkpoints of `engine` in `work`, in the background if the runtime says so."""
        self._engine, self._work, self._rank = engine, work, rank
        self._keeps_optimizer = runtime.keep_optimizer
        self._place = {"num_ranks": runtime.num_ranks, "zero_stage": runtime.zero_stage}
        self._writer = Writer(rank, runtime.async_checkpoints)
        engine.checkpoint_engine = self._writer
        self._good: list[str] = []  # written since this start, and the one it continued from

    def save(self, tag: str, state: dict[str, Any]) -> None:
        """Take a checkpoint; it may not yet be on the disk when this returns.

        Waits for the previous one. Deletes all but the last two, and those that `newest` skipped.

        Args:
            tag: name of its folder.
            state: what `load` will return; it must hold `step`.
        """
        self.finish()  # from here on the previous checkpoint is complete
        kept = self._good[-_KEPT:]
        if self._rank == 0:
            for old in folders_of(self._work):
                if old.name not in kept:
                    shutil.rmtree(old, ignore_errors=True)
            shutil.rmtree(self._work / UNIVERSAL, ignore_errors=True)
        self._good = [*kept, tag]
        self._writer.place = {**self._place, "step": state["step"]}
        self._writer.weights_only = tag == LAST and not self._keeps_optimizer
        # DeepSpeed starts with a barrier, so no other rank writes to a folder while rank 0 deletes.
        self._engine.save_checkpoint(
            str(self._work), tag=tag, client_state=state, save_latest=False
        )

    def finish(self) -> None:
        """Wait until all ranks have written their parts of the last checkpoint to the disk."""
        self._writer.wait()
        torch.distributed.barrier()

    def load(self) -> dict[str, Any] | None:
        """Continue from the checkpoint that `prepare` chose; return its state, None without one.

        After the last step there is nothing to train, and the checkpoint may have weights only: its
        state is read and no weight is.
        """
        plan = chosen(self._work)
        tag = plan["tag"]
        if tag is None:
            return None
        if tag == LAST:
            files = sorted((self._work / tag).glob("*_model_states.pt"))
            last: dict[str, Any] = load(files[0], "cpu", mmap=True)
            return last
        path, state = self._engine.load_checkpoint(str(self._work), tag=tag)
        if path is None:
            raise RuntimeError(
                f"checkpoint {self._work / tag} cannot be loaded: move its folder elsewhere, and "
                "the training continues from the one before"
            )
        self._good = [plan["from"] or tag]
        found: dict[str, Any] = state
        return found
