"""Unfinished work: a place per job that survives a kill, a lock, and append-only journals.

And finished work that nobody has taken note of: Snakemake throws away what a job made if it was not
there itself when the job ended, and a cluster's jobs end at any time.
"""

import errno
import fcntl
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nt_pkg.files.json_files import digest, read_json, write_json

logger = logging.getLogger(__name__)

_FINISHED = "finished"
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.EXDEV, errno.EMLINK)  # of the file system


@contextmanager
def work_dir(outputs: Sequence[Path], key: str) -> Iterator[Path | None]:
    """Yield the folder for the progress of the job that makes `outputs`, locked against others.

    The folder is `$NT_WORK/<first output>/<key>` (NT_WORK defaults to `work`). It is removed when
    the block ends well. A second process that wants the same folder, such as one started again
    while the first still runs, waits.

    Yields nothing, and there is nothing left to do, if the same job has ended well before and
    `forget_finished` was not called since: its outputs are put back.

    Args:
        outputs: files and folders that are there when the block ends well.
        key: digest of everything they depend on, so that no old progress leaks into new results.
    """
    root = _root()
    relative = Path(*(part for part in outputs[0].parts if part not in ("/", "..")))
    folder = root / relative / key
    folder.mkdir(parents=True, exist_ok=True)
    lock_path = folder.with_name(f"{key}.lock")
    with lock_path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.warning("another process works on %s: waiting for it", outputs[0])
            fcntl.flock(lock, fcntl.LOCK_EX)
        finished = _Finished(outputs, key)
        if finished.put_back():
            logger.info("%s was finished before; it is put back", outputs[0])
            yield None
        else:
            folder.mkdir(parents=True, exist_ok=True)
            yield folder
            finished.hold()
        # Renamed first, so that a kill halfway leaves nothing that looks usable.
        gone = folder.with_name(f"{key}.gone")
        shutil.rmtree(gone, ignore_errors=True)
        if folder.exists():
            folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def kept(out: Path) -> Path:
    """Return a folder beside an output for what is kept when the job has ended.

    Every later job that makes the output finds it there, so what lies in it has to say for itself
    what it is good for. It costs its room until someone deletes it.
    """
    folder = out.with_suffix(".answers")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def forget_finished() -> None:
    """Let go of finished outputs: whoever started the jobs has taken note of them."""
    for note in sorted((_root() / _FINISHED).glob("*.json")):
        for link in map(Path, read_json(note)):
            shutil.rmtree(link) if link.is_dir() else link.unlink(missing_ok=True)
        note.unlink()


class _Finished:
    """Second names (hard links) of a job's outputs: they outlive the first, and take no room."""

    def __init__(self, outputs: Sequence[Path], key: str) -> None:
        # Beside the output, since a link cannot reach another file system.
        self._links = {out: out.with_name(f".{out.name}.{key}.finished") for out in outputs}
        name = digest([[str(out) for out in outputs], key])
        self._note = _root() / _FINISHED / f"{name}.json"

    def hold(self) -> None:
        """Give the outputs their second names."""
        write_json(self._note, [str(link) for link in self._links.values()])
        try:
            for out, link in self._links.items():
                _link(out, link)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            logger.warning("%s: if Snakemake is killed now, it is made again (%s)", out, error)

    def put_back(self) -> bool:
        """Give the outputs their names again; return whether all were there."""
        if not self._note.exists() or not all(link.exists() for link in self._links.values()):
            return False
        for out, link in self._links.items():
            _link(link, out)
            os.utime(out)  # newer than the inputs, as if made now
        return True


def _link(source: Path, target: Path) -> None:
    """Give a file or a folder's files a second name, replacing what has it."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    for old in (temporary, target):
        shutil.rmtree(old) if old.is_dir() else old.unlink(missing_ok=True)
    if source.is_dir():
        shutil.copytree(source, temporary, copy_function=os.link)
    else:
        os.link(source, temporary)
    temporary.rename(target)


def work_in(scratch: str, folder: Path) -> None:
    """Keep the progress of jobs that run in `folder` in a place for many; they inherit it.

    Two folders of one name never share it.
    """
    place = Path(scratch) / f"{folder.name}-{digest(str(folder.resolve()))[:8]}"
    os.environ["NT_WORK"] = str(place)


def _root() -> Path:
    return Path(os.environ.get("NT_WORK", "work"))
