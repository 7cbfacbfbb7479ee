"""Unfinished work: a place per job that survives a kill, a lock, and append-only journals."""

import fcntl
import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


@contextmanager
def work_dir(out: Path, spec_digest: str) -> Iterator[Path]:
    """Yield the folder for the progress of the job that makes `out`, locked against a second job.

    The folder is `$NT_WORK/<out>/<spec_digest>` (NT_WORK defaults to `work`). A changed spec gets
    another folder, so old progress cannot leak into new results. Progress is removed when the block
    ends well. A second process that wants the same folder, such as one started again while the
    first still runs, waits.
    """
    root = Path(os.environ.get("NT_WORK", "work"))
    relative = Path(*(part for part in out.parts if part not in ("/", "..")))
    folder = root / relative / spec_digest
    folder.mkdir(parents=True, exist_ok=True)
    lock_path = folder.with_name(f"{spec_digest}.lock")
    with lock_path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.warning("another process works on %s: waiting for it", out)
            fcntl.flock(lock, fcntl.LOCK_EX)
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        # Renamed first, so that a kill halfway leaves nothing that looks usable.
        gone = folder.with_name(f"{spec_digest}.gone")
        shutil.rmtree(gone, ignore_errors=True)
        folder.rename(gone)
        shutil.rmtree(gone)


class Journal:
    """An append-only JSONL file of finished pieces, each under a key.

    A line that a kill cut off is dropped when the file is opened again.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the journal and read what it holds."""
        self.entries: dict[str, Any] = {}
        good = 0
        if path.exists():
            for line in path.read_bytes().splitlines(keepends=True):
                try:
                    entry = json.loads(line)
                except json.JSONDecodeError:
                    break
                if not line.endswith(b"\n"):
                    break
                self.entries[entry["key"]] = entry["value"]
                good += len(line)
            if good < path.stat().st_size:
                logger.warning("%s: dropped a line that was cut off", path)
                os.truncate(path, good)
        self._file = path.open("a")

    def extend(self, pieces: dict[str, Any]) -> None:
        """Append finished pieces and make them durable."""
        for key, value in pieces.items():
            self._file.write(json.dumps({"key": key, "value": value}) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.entries.update(pieces)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
