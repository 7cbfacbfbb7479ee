"""The files of a checkpoint: how they are recorded, found and checked.

A checkpoint is a folder of DeepSpeed's files. Each rank finishes its part by writing a note, such
as `rank-3.json`, with the size and the digest of every file it wrote. The checkpoint is complete
when all ranks have written their notes. So no rank waits for another, and a kill at any moment
leaves nothing that looks complete. Files are fsynced before the note that lists them.
"""

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nt_pkg.files.json_files import digest, read_fields, sha256_file, write_json
from nt_pkg.jobs.progress import Progress

logger = logging.getLogger(__name__)
NOTES = "rank-*.json"  # of the ranks, in a checkpoint
_NOTED = {"step", "num_ranks", "zero_stage", "files"}  # by a rank of an earlier version
LAST = "checkpoint"  # the folder of the finished training
_READERS = 8  # threads that check files; reading and hashing release the interpreter's lock


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint, with the number of ranks and the ZeRO stage that wrote it."""

    path: Path
    step: int
    num_ranks: int
    zero_stage: int


def note_rank(folder: Path, rank: int, place: dict[str, int], files: list[Path]) -> None:
    """Record that a rank has written its files of a checkpoint; fsync the files first.

    Args:
        folder: the checkpoint.
        rank: the rank that wrote the files.
        place: `step`, `num_ranks` and `zero_stage` of the training.
        files: the files that this rank wrote in `folder`.
    """
    sums = {}
    for path in files:
        with path.open("rb+") as file:
            os.fsync(file.fileno())
        sums[path.name] = {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
    found = {**place, "files": sums}
    write_json(folder / f"rank-{rank}.json", {**found, "digest": digest(found)})
    for parent in (folder, folder.parent):  # a file's name is durable only when its folder is
        number = os.open(parent, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def newest(work: Path) -> Checkpoint | None:
    """Return the newest intact checkpoint of a work folder, None if there is none.

    Every file is read and compared with its digest. Unfinished and damaged checkpoints are skipped
    with a line in the log that says why.
    """
    for folder in reversed(folders_of(work)):
        try:
            return check(folder)
        except ValueError as error:
            logger.warning("skipping checkpoint %s: %s", folder.name, error)
    return None


def folders_of(work: Path) -> list[Path]:
    """Return the folders of checkpoints, complete or not, from oldest to newest."""
    steps = [path for path in work.glob("step[0-9]*") if path.name.removeprefix("step").isdigit()]
    steps.sort(key=lambda path: int(path.name.removeprefix("step")))
    return [path for path in [*steps, work / LAST] if path.is_dir()]


def check(folder: Path) -> Checkpoint:
    """Return a checkpoint after checking that all of its files are unchanged.

    Raises:
        ValueError: a file is missing or differs; the message names it.
    """
    notes = {path.name: path for path in folder.glob(NOTES)}
    if not notes:
        raise ValueError("no rank has finished it")
    first = _read_note(min(notes.values()), "num_ranks", "step", "zero_stage")
    missing = [n for n in range(first["num_ranks"]) if f"rank-{n}.json" not in notes]
    if missing:
        raise ValueError(f"unfinished by rank {missing[0]} of {first['num_ranks']}")
    files = {
        folder / name: expected
        for path in notes.values()
        for name, expected in _read_note(path, "files")["files"].items()
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


def recorded(folder: Path) -> dict[Path, str]:
    """Return file -> sha256 of a checkpoint, as its ranks have noted them; none if it is not there.

    Raises:
        ValueError: a note is damaged or missing.
    """
    notes = {path.name: _read_note(path, "files", "num_ranks") for path in folder.glob(NOTES)}
    for number in range(max((each["num_ranks"] for each in notes.values()), default=0)):
        if f"rank-{number}.json" not in notes:
            raise ValueError(f"rank-{number}.json is missing")
    if not notes and folder.is_dir():
        raise ValueError("no rank has noted its files")
    return {
        folder / name: str(expected["sha256"])
        for _, each in sorted(notes.items())
        for name, expected in each["files"].items()
    }


def _read_note(path: Path, *names: str) -> dict[str, Any]:
    """Return a rank's note; those of earlier versions have no digest of their own.

    Raises:
        ValueError: it is not as it was written.
    """
    found = read_fields(path, *names)
    noted = found.pop("digest", None)
    if noted != digest(found) and (noted is not None or found.keys() != _NOTED):
        raise ValueError(f"{path.name} is damaged (its digest differs)")
    return found


def _defect(path: Path, expected: dict[str, Any]) -> str | None:
    try:
        size = path.stat().st_size
        if size != expected["bytes"]:
            return f"{path.name} has {size} bytes instead of {expected['bytes']}"
        if sha256_file(path) != expected["sha256"]:
            return f"{path.name} is damaged (its sha256 differs)"
    except FileNotFoundError:
        return f"{path.name} is missing"
    except OSError as error:
        return f"{path.name} cannot be read ({error.strerror})"
    return None
