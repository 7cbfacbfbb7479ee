"""The results that a job has finished so far: an append-only file with a key for each."""

import json
import logging
import os
from pathlib import Path
from typing import Any, Self

from nt_pkg.files.json_files import atomic_path, digest
from nt_pkg.jobs.locks import lock, unlock

logger = logging.getLogger(__name__)
_num_added = 0


def num_added() -> int:
    """Return the entries that this process has added, over all journals."""
    return _num_added


class Journal:
    """An append-only JSONL file of finished pieces, each under a key.

    A last line without its end was cut by a kill, and is removed when the file is opened again. Any
    other line that is not as it was written stays where it is, is skipped and counted, and a copy
    of it is kept in a file beside the journal. Others wait for its lock, in this process too, until
    it is closed: open it in a `with`.

    Attributes:
        entries: key -> value.
        num_damaged: lines that were skipped.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the journal and read its entries."""
        self.entries: dict[str, Any] = {}
        self._file = path.open("a")
        try:
            lock(self._file)  # two jobs may share one journal
            self._read(path)
        except BaseException:
            self.close()
            raise

    def _read(self, path: Path) -> None:
        good, damaged = 0, []
        with path.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                good += len(line)
                entry = _entry(line)
                if entry is None:
                    damaged.append(line)
                else:
                    self.entries[entry["key"]] = entry["value"]
        if good < path.stat().st_size:
            logger.warning("%s: removed a truncated line", path)
            os.truncate(path, good)
        self.num_damaged = len(damaged)
        if damaged:
            aside = path.with_name(f"{path.name}.damaged")
            with atomic_path(aside) as temporary:
                temporary.write_bytes(b"".join(damaged))
            logger.warning(
                "WARNING: %s: skipped %d lines that are not as they were written, and kept %d; the "
                "skipped ones are made again, and copies of them are in %s",
                path, len(damaged), len(self.entries), aside,
            )  # fmt: skip

    def extend(self, pieces: dict[str, Any]) -> None:
        """Append finished pieces and fsync the file."""
        for key, value in pieces.items():
            entry = {"key": key, "value": value, "digest": digest([key, value])}
            self._file.write(json.dumps(entry) + "\n")
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
            unlock(self._file)
            self._file.close()


def _entry(line: bytes) -> dict[str, Any] | None:
    """Return the entry of a line; None if the line is not as it was written."""
    try:
        entry: dict[str, Any] = json.loads(line)
        found = digest([entry["key"], entry["value"]])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    # Lines of earlier versions have no digest.
    return entry if entry.get("digest", found) == found else None
