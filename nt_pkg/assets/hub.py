"""Files of a hub repository. A download that broke continues at its byte, in a later job too."""

import logging
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BufferedWriter, FileIO
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import TYPE_CHECKING, Any

from nt_pkg.config.sources import Source
from nt_pkg.jobs.progress import Progress

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoFile

# It would write a line per request, with the signed addresses that the hub forwards to.
logging.getLogger("httpx2").setLevel(logging.WARNING)

_FULL_COMMIT = 40  # digits
_AT_A_TIME = 8  # files, as huggingface_hub does
_PARTS = ".cache"  # huggingface_hub's name for the same
_MB = 10**6


def download(source: Source, folder: Path) -> tuple[str, dict[str, str]]:
    """Download the files of a hub repository that a folder does not have.

    huggingface_hub 2.4 continues a file within a job but keeps nothing of it for the next, and a
    file of a large model has 5 GB. So the folder keeps the parts of files until all are complete.
    Files above 50 GB, which the hub only sends by Xet, start again.

    Args:
        source: entry of the catalogue.
        folder: where the files of one commit arrive; those that are there are complete.

    Returns:
        The full commit, and the SHA-256 of the files for which the hub lists one. None of them is
        checked here.

    Raises:
        ValueError: the hub cannot be reached, does not have the commit, or broke off.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile
    from huggingface_hub.utils import filter_repo_objects

    assert source.hub is not None and source.revision is not None
    try:
        commit = _full_commit(source.hub, source.hub_type, source.revision)
        listed = HfApi().list_repo_tree(
            source.hub, recursive=True, revision=commit, repo_type=source.hub_type
        )
        found = (each for each in listed if isinstance(each, RepoFile))
        patterns = list(source.hub_files) or None
        files = list(filter_repo_objects(found, allow_patterns=patterns, key=lambda f: f.path))
        _bring(source, commit, files, folder)
    except Exception as error:
        raise ValueError(
            f"{source.hub} at {source.revision} could not be fetched ({error}); run the target "
            "`assets` on a machine with internet, and set HF_TOKEN for gated repositories; what "
            "has arrived is kept"
        ) from error
    shutil.rmtree(folder / _PARTS, ignore_errors=True)
    return commit, {each.path: each.lfs.sha256 for each in files if each.lfs}


def _full_commit(hub: str, hub_type: str, revision: str) -> str:
    from huggingface_hub import HfApi

    if len(revision) == _FULL_COMMIT:
        return revision
    commit: str | None = HfApi().repo_info(hub, repo_type=hub_type, revision=revision).sha
    if not commit or not commit.startswith(revision):
        raise ValueError(f"the hub returned commit {commit}: give all 40 digits of the revision")
    return commit


def _bring(source: Source, commit: str, files: list["RepoFile"], folder: Path) -> None:
    for file in files:
        path = PurePosixPath(file.path)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"the hub lists {file.path!r}, which is no path in a repository")
    places = [
        path
        for file in files
        for path in (folder / file.path, _part(folder, file))
        if path.is_file()
    ]
    arrived = _Arrived(
        f"{source.hub}, MB",
        sum(file.size for file in files),
        sum(path.stat().st_size for path in places),
    )
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        try:
            list(
                pool.map(lambda file: _bring_one(source, commit, file, folder, arrived.add), files)
            )
        except BaseException:
            arrived.is_over = True
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _bring_one(
    source: Source, commit: str, file: "RepoFile", folder: Path, count: Callable[[int], None]
) -> None:
    """Bring one file into the folder, unless it is there."""
    from huggingface_hub import constants, hf_hub_download, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    assert source.hub is not None
    target, part = folder / file.path, _part(folder, file)
    if target.is_file() and target.stat().st_size == file.size:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part.parent.mkdir(parents=True, exist_ok=True)
    where: dict[str, Any] = {"repo_type": source.hub_type, "revision": commit}
    known = try_to_load_from_cache(source.hub, file.path, **where)
    if isinstance(known, str):
        shutil.copyfile(known, part)
    elif file.size > constants.MAX_HTTP_DOWNLOAD_SIZE:
        hf_hub_download(source.hub, file.path, local_dir=folder, **where)
        return
    else:
        if part.exists() and part.stat().st_size > file.size:  # two jobs wrote it
            part.unlink()
        with _Part(part, count) as out:
            http_get(
                hf_hub_url(source.hub, file.path, **where),
                out,
                resume_size=out.tell(),
                headers=build_hf_headers(),
                expected_size=file.size,
            )
            out.flush()
            os.fsync(out.fileno())
    part.rename(target)


def _part(folder: Path, file: "RepoFile") -> Path:
    return folder / _PARTS / f"{file.path}.part"


class _Arrived:
    """Bytes of all files; `add` ends a download that is still under way when it is over."""

    def __init__(self, what: str, total: int, held: int) -> None:
        self._progress = Progress(what, total // _MB, held // _MB)
        self._bytes, self._lock, self.is_over = held, Lock(), False

    def add(self, count: int) -> None:
        if self.is_over:
            raise InterruptedError("another file could not be fetched")
        with self._lock:
            before, self._bytes = self._bytes // _MB, self._bytes + count
            if new := self._bytes // _MB - before:
                self._progress.add(new)


class _Part(BufferedWriter):
    """The part of a file that has arrived, to write the rest to; says how many bytes it gets."""

    def __init__(self, path: Path, count: Callable[[int], None]) -> None:
        super().__init__(FileIO(path, "a"))
        self._count = count

    def write(self, data: Any) -> int:
        self._count(len(data))
        return super().write(data)
