"""Unfinished work: a locked folder per job that survives a kill.

This module also keeps finished work that Snakemake has not noticed: Snakemake deletes the outputs
of a job that ended while Snakemake was not running, and a cluster's jobs end at any time.
"""

import logging
import os
import shutil
import stat
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nt_pkg.files.json_files import digest, read_json, write_json
from nt_pkg.jobs.locks import lock

logger = logging.getLogger(__name__)

_FINISHED = "finished_outputs"


@contextmanager
def work_dir(outputs: Sequence[Path], key: str) -> Iterator[Path | None]:
    """Yield the locked folder for the progress of the job that makes `outputs`.

    The folder is `$NT_WORK/<first output>/<key>` (NT_WORK defaults to `work`). It is removed when
    the block succeeds. A second process that needs the same folder, such as a restart while the
    first process still runs, waits.

    If the same job succeeded before and `forget_finished` has not removed its outputs since, they
    are restored. Then this yields None, and nothing is left to do.

    Args:
        outputs: files and folders that exist when the block succeeds.
        key: digest of everything they depend on, so that old progress is never used for new
            results.
    """
    root = _root()
    if "NT_WORK" in os.environ:
        check_ours(root)  # on the node of this job
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    relative = Path(*(part for part in outputs[0].parts if part not in ("/", "..")))
    folder = root / relative / key
    folder.mkdir(parents=True, exist_ok=True)
    lock_path = folder.with_name(f"{key}.lock")
    with lock_path.open("w") as locked:
        if not lock(locked, waits=False):
            logger.warning("another process works on %s: waiting for it", outputs[0])
            lock(locked)
        finished = _Finished(outputs, key)
        if finished.put_back():
            logger.info("%s was finished before; it is put back", outputs[0])
            yield None
        else:
            folder.mkdir(parents=True, exist_ok=True)
            yield folder
            finished.hold()
        # Rename before deleting, so that a kill in between leaves nothing that looks usable.
        gone = folder.with_name(f"{key}.gone")
        shutil.rmtree(gone, ignore_errors=True)
        if folder.exists():
            folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def kept(out: Path) -> Path:
    """Return a folder next to an output for files that stay when the job has ended.

    Every later job that makes the output finds these files, so each entry must say which request it
    belongs to. The files take disk space until someone deletes them.
    """
    folder = out.with_suffix(".answers")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def forget_finished(keep: Collection[str] = ()) -> None:
    """Remove the second names of finished outputs, once Snakemake has noticed the outputs.

    Args:
        keep: outputs that it has not noticed; what was made together with one of them is kept.
    """
    for note in sorted((_root() / _FINISHED).glob("*.json")):
        links: dict[str, str] = read_json(note)
        if links.keys().isdisjoint(keep):
            for link in map(Path, links.values()):
                shutil.rmtree(link) if link.is_dir() else link.unlink(missing_ok=True)
            note.unlink()


class _Finished:
    """Second names (hard links) of a job's outputs; they survive the first and take no space."""

    def __init__(self, outputs: Sequence[Path], key: str) -> None:
        # Next to the output, because a hard link cannot point to another file system.
        self._links = {out: out.with_name(f".{out.name}.{key}.finished") for out in outputs}
        name = digest([[str(out) for out in outputs], key])
        self._note = _root() / _FINISHED / f"{name}.json"

    def hold(self) -> None:
        """Give the outputs their second names."""
        if missing := [str(out) for out in self._links if not out.exists()]:
            raise FileNotFoundError(f"the job has not written {', '.join(missing)}")
        write_json(self._note, {str(out): str(link) for out, link in self._links.items()})
        try:
            for out, link in self._links.items():
                _link(out, link)
        except OSError as error:  # the outputs are there, whatever hinders their second names
            logger.warning("%s: if Snakemake is killed now, it is rebuilt (%s)", out, error)

    def put_back(self) -> bool:
        """Restore the outputs from their second names; return whether all existed."""
        if not self._note.exists() or not all(link.exists() for link in self._links.values()):
            return False
        for out, link in self._links.items():
            _link(link, out)
            os.utime(out)  # newer than the inputs, as if just written
        return True


def _link(source: Path, target: Path) -> None:
    """Hard-link a file, or the files of a folder, and replace the target."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    for old in (temporary, target):
        shutil.rmtree(old) if old.is_dir() else old.unlink(missing_ok=True)
    if source.is_dir():
        shutil.copytree(source, temporary, copy_function=os.link)
    else:
        os.link(source, temporary)
    temporary.rename(target)


def work_in(scratch: str, folder: Path) -> None:
    """Set the work folder of jobs that run in `folder` to a subfolder of `scratch`.

    Jobs inherit it. Two folders with the same name get different subfolders.

    Raises:
        ValueError: it exists and is not ours; everybody can tell its name before it is made.
    """
    place = Path(scratch) / f"{folder.name}-{digest(str(folder.resolve()))[:8]}"
    check_ours(place)
    os.environ["NT_WORK"] = str(place)


def check_ours(place: Path) -> None:
    """Look whether a folder, if it exists, is one that only this user can fill.

    What lies in it is taken for answers that were paid for and for checkpoints.

    Raises:
        ValueError: another user owns it or all may write to it, or it is a link.
    """
    try:
        found = place.lstat()
    except FileNotFoundError:
        return
    if found.st_uid != os.geteuid():
        why = f"belongs to another user (uid {found.st_uid})"
    elif not stat.S_ISDIR(found.st_mode):
        why = "is not a folder"
    elif found.st_mode & stat.S_IWOTH:
        why = "can be written by everybody"
    else:
        return
    raise ValueError(
        f"the work folder {place} {why}, so what lies in it cannot be relied on: name another "
        "`scratch` in the profile, such as a folder of your own"
    )


def cache_dir(library: str) -> Path:
    """Return the folder below the work folder for what a library keeps between jobs."""
    return _root() / "caches" / library


def _root() -> Path:
    return Path(os.environ.get("NT_WORK", "work"))
