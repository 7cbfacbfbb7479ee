"""Checkpoints of a training: written in the background, found again, and never taken half.

A checkpoint is a folder of DeepSpeed's files. Each rank ends its part with a note of its own,
`rank-3.json`, that has the size and the digest of every file it wrote; the checkpoint is complete
when the notes of all ranks are there. So no rank waits for another, and a kill at any moment leaves
nothing that looks complete. Files are fsynced before the note that names them is.
"""

import logging
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nt_pkg.config import Runtime
from nt_pkg.manifest import read_json, sha256_file, write_json
from nt_pkg.progress import Progress

if TYPE_CHECKING:
    from deepspeed import DeepSpeedEngine

logger = logging.getLogger(__name__)
LAST = "checkpoint"  # the folder of the finished training
_UNIVERSAL = "universal"  # the folder of a converted one
_RESUME = "resume.json"  # which checkpoint the ranks shall load
_KEPT = 2  # complete ones: one to continue at, and one before it should that be damaged
_READERS = 8  # threads that check files; they wait for a disk or hash without the interpreter


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint, and how the training that wrote it was spread."""

    path: Path
    step: int
    num_ranks: int
    zero_stage: int


def note_rank(folder: Path, rank: int, place: dict[str, int], files: list[Path]) -> None:
    """Say that a rank has written its files of a checkpoint; they are fsynced first.

    Args:
        folder: the checkpoint.
        rank: whose files they are.
        place: `step`, `num_ranks` and `zero_stage` of the training.
        files: what this rank wrote, in `folder`.
    """
    sums = {}
    for path in files:
        with path.open("rb+") as file:
            os.fsync(file.fileno())
        sums[path.name] = {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
    write_json(folder / f"rank-{rank}.json", {**place, "files": sums})
    for parent in (folder, folder.parent):  # names are durable when their folder is
        number = os.open(parent, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def newest(work: Path) -> Checkpoint | None:
    """Return the newest checkpoint of a work folder that is whole, or nothing.

    Every file is read and compared with its digest. What is unfinished or damaged is passed over,
    with a line in the log that says why.
    """
    for folder in reversed(_folders(work)):
        try:
            return check(folder)
        except ValueError as error:
            logger.warning("passing over checkpoint %s: %s", folder.name, error)
    return None


def _folders(work: Path) -> list[Path]:
    """Return the folders of checkpoints, whole or not, from the oldest to the newest."""
    steps = [path for path in work.glob("step[0-9]*") if path.name.removeprefix("step").isdigit()]
    steps.sort(key=lambda path: int(path.name.removeprefix("step")))
    return [path for path in [*steps, work / LAST] if path.is_dir()]


def check(folder: Path) -> Checkpoint:
    """Return a checkpoint all of whose files are as they were written.

    Raises:
        ValueError: what is missing or differs.
    """
    notes = {path.name: path for path in folder.glob("rank-*.json")}
    if not notes:
        raise ValueError("no rank has finished it")
    first = read_json(min(notes.values()))
    missing = [n for n in range(first["num_ranks"]) if f"rank-{n}.json" not in notes]
    if missing:
        raise ValueError(f"unfinished by rank {missing[0]} of {first['num_ranks']}")
    files = {
        folder / name: expected
        for path in notes.values()
        for name, expected in read_json(path)["files"].items()
    }
    gigabytes = sum(expected["bytes"] for expected in files.values()) / 1e9
    logger.info("checking %s (%.1f GB in %d files)", folder.name, gigabytes, len(files))
    progress = Progress("files checked", len(files))
    with ThreadPoolExecutor(_READERS) as pool:
        for defect in pool.map(_defect, files, files.values()):
            progress.add(1)
            if defect:
                raise ValueError(defect)
    return Checkpoint(folder, first["step"], first["num_ranks"], first["zero_stage"])


def _defect(path: Path, expected: dict[str, Any]) -> str | None:
    try:
        size = path.stat().st_size
        if size != expected["bytes"]:
            return f"{path.name} has {size} bytes instead of {expected['bytes']}"
        if sha256_file(path) != expected["sha256"]:
            return f"{path.name} is damaged (its sha256 is another)"
    except FileNotFoundError:
        return f"{path.name} is missing"
    except OSError as error:
        return f"{path.name} cannot be read ({error.strerror})"
    return None


def prepare(work: Path, runtime: Runtime) -> None:
    """Choose for the ranks the checkpoint to continue at; called before they start.

    One that other ranks have written is converted first.
    """
    from nt_pkg.sft.universal import convert

    found = newest(work)
    plan: dict[str, Any] = {"tag": found.path.name if found else None, "from": None}
    if found and (found.num_ranks, found.zero_stage) != (runtime.num_ranks, runtime.zero_stage):
        plan = {"tag": _UNIVERSAL, "from": found.path.name}
        logger.info(
            "%s was written by %d ranks at ZeRO stage %d: converting it for %d at stage %d",
            *(found.path.name, found.num_ranks, found.zero_stage),
            *(runtime.num_ranks, runtime.zero_stage),
        )
        convert(found, work / _UNIVERSAL, runtime)
    write_json(work / _RESUME, plan)


def is_universal(work: Path) -> bool:
    """Return whether `prepare` chose a checkpoint in DeepSpeed's universal form."""
    return bool(read_json(work / _RESUME)["tag"] == _UNIVERSAL)


class Checkpoints:
    """The checkpoints of one rank."""

    def __init__(self, engine: "DeepSpeedEngine", work: Path, rank: int, runtime: Runtime) -> None:
        """Write those of `engine` below `work`, in the background if the runtime says so."""
        from nt_pkg.sft.writer import Writer

        self._engine, self._work, self._rank = engine, work, rank
        self._place = {"num_ranks": runtime.num_ranks, "zero_stage": runtime.zero_stage}
        self._writer = Writer(rank, runtime.async_checkpoints)
        engine.checkpoint_engine = self._writer
        self._good: list[str] = []  # of this start, and the one that it continued at

    def save(self, tag: str, state: dict[str, Any]) -> None:
        """Take a checkpoint; it may still be on its way to the disk when this returns.

        Waits for the one before. Drops all but the last two, among them what was passed over.

        Args:
            tag: name of its folder.
            state: what `load` returns; `step` at least.
        """
        self.finish()  # from here on the one before is complete
        kept = self._good[-_KEPT:]
        if self._rank == 0:
            for old in _folders(self._work):
                if old.name not in kept:
                    shutil.rmtree(old, ignore_errors=True)
            shutil.rmtree(self._work / _UNIVERSAL, ignore_errors=True)
        self._good = [*kept, tag]
        self._writer.place = {**self._place, "step": state["step"]}
        # Its own barrier at the beginning keeps the others from a folder that is being dropped.
        self._engine.save_checkpoint(
            str(self._work), tag=tag, client_state=state, save_latest=False
        )

    def finish(self) -> None:
        """Wait until all ranks have their parts of the last checkpoint on the disk."""
        import torch

        self._writer.wait()
        torch.distributed.barrier()

    def load(self) -> dict[str, Any] | None:
        """Continue at the checkpoint that `prepare` chose, and return its state, or nothing."""
        plan = read_json(self._work / _RESUME)
        tag = plan["tag"]
        if tag is None:
            return None
        path, state = self._engine.load_checkpoint(str(self._work), tag=tag)
        if path is None:
            raise RuntimeError(f"checkpoint {self._work / tag} cannot be loaded: delete its folder")
        self._good = [plan["from"] or tag]
        found: dict[str, Any] = state
        return found
