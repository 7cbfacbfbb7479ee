"""The results that a job has finished so far: an append-only file with a key for each."""

import fcntl
import json
import logging
import os
from pathlib import Path
from typing import Any, Self

logger = logging.getLogger(__name__)
_num_added = 0


def num_added() -> int:
    """Return the entries that this process has added, over all journals."""
    return _num_added


class Journal:
    """An append-only JSONL file of finished pieces, each under a key.

    A line that was truncated by a kill is removed when the file is opened again. Others wait for
    its lock, in this process too, until it is closed: open it in a `with`.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the journal and read its entries."""
        self.entries: dict[str, Any] = {}
        self._file = path.open("a")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)  # two jobs may share one journal
            self._read(path)
        except BaseException:
            self.close()
            raise

    def _read(self, path: Path) -> None:
        good = 0
        with path.open("rb") as lines:
            for line in lines:
                try:
                    entry = json.loads(line)
                except json.JSONDecodeError:
                    break
                if not line.endswith(b"\n"):
                    break
                self.entries[entry["key"]] = entry["value"]
                good += len(line)
        if good < path.stat().st_size:
            logger.warning("%s: removed a truncated line", path)
            os.truncate(path, good)

    def extend(self, pieces: dict[str, Any]) -> None:
        """Append finished pieces and fsync the file."""
        for key, value in pieces.items():
            self._file.write(json.dumps({"key": key, "value": value}) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        global _num_added
        _num_added += len(pieces.keys() - self.entries.keys())
        self.entries.update(pieces)

    def __enter__(self) -> Self:
        """Return the open journal."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it, also after an error."""
        self.close()

    def close(self) -> None:
        """Close the file and release its lock, also for processes forked in the meantime."""
        try:
            self._file.flush()  # of what a signal interrupted, before others read the file
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)
            self._file.close()
