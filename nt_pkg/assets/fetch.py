"""Files of pools, models and benchmarks: pinned, copied into `assets/`, identified by content."""

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nt_pkg.config.sources import Source
from nt_pkg.files.json_files import digest, read_json, sha256_file, write_json

NO_COMMIT = "0" * 40  # placeholder in the catalogue for a commit that is not known yet
_CACHE_ABOVE_BYTES = 64 * 2**20
_BUILTIN = {"micro-base": Path(__file__).parents[1] / "microworld" / "base"}


class Digests:
    """Digests of files; those of large ones are remembered in a JSON file by size and time."""

    def __init__(self, path: Path) -> None:
        """Read what is known; only `keep` writes."""
        self._path = path
        self._known: dict[str, str] = read_json(path) if path.exists() else {}
        self._is_new = False

    def of(self, path: Path) -> str:
        """Return the digest of a file."""
        stat = path.stat()
        if stat.st_size < _CACHE_ABOVE_BYTES:
            return sha256_file(path)
        key = f"{path.resolve()}:{stat.st_size}:{stat.st_mtime_ns}"
        if key not in self._known:
            self._known[key], self._is_new = sha256_file(path), True
        return self._known[key]

    def keep(self) -> None:
        """Remember what was found out."""
        if self._is_new:
            write_json(self._path, self._known)


def source_spec(source: Source, where: str, digests: Digests) -> dict[str, Any]:
    """Return what identifies the files of a source: their content, or a pinned hub commit.

    The path itself does not count, so moving a file changes nothing.

    Args:
        source: entry of the catalogue.
        where: its place in the configuration, for errors.
        digests: of files, as far as they are known.

    Raises:
        ValueError: the path does not exist.
    """
    if source.hub is not None:
        return source.model_dump(exclude_defaults=True)
    root = _local_root(source)
    if not root.exists():
        raise ValueError(
            f"{where}.path: {root} does not exist (seen from {Path.cwd()}); correct the path"
        )
    return {"content": digest([[name, digests.of(path)] for name, path in _files(root)])}


def missing_commit(source: Source, where: str) -> str | None:
    """Return an error if the source's commit still has to be filled in, else None.

    A study with such a source can be planned but not run.
    """
    if source.revision != NO_COMMIT:
        return None
    kind = "datasets/" if source.hub_type == "dataset" else ""
    return (
        f"{where}.revision: no commit of {source.hub} is known here; fill in its 40 digits, as "
        f"shown by git ls-remote https://huggingface.co/{kind}{source.hub} main"
    )


@contextmanager
def one_at_a_time(spec: dict[str, Any], folder: Path) -> Iterator[None]:
    """Make other jobs that fetch the same files wait, so that they can reuse them."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f".{digest(spec)}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def fetch_asset(
    spec: dict[str, Any], source: Source, out_dir: Path, others: Sequence[Path] = ()
) -> dict[str, Any]:
    """Copy or download the files of a source into `out_dir` and return their manifest.

    For a hub repository the manifest also has the full commit. Files that another entry of the
    catalogue has already fetched are hard links and take no space.

    Args:
        spec: the result of `source_spec`.
        source: entry of the catalogue.
        out_dir: folder of this entry; its old content is removed.
        others: manifests of other entries.

    Raises:
        ValueError: the files changed since the study was planned, or the hub cannot be reached.
    """
    shutil.rmtree(out_dir, ignore_errors=True)
    for other in others:
        if other.parent != out_dir and (same := _linked(spec, other, out_dir)):
            return same
    shutil.rmtree(out_dir, ignore_errors=True)
    if source.hub is not None:
        commit = {"commit": _download(source, out_dir)}
    else:
        commit = {}
        root = _local_root(source)
        for name, path in _files(root):
            target = out_dir / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    files = {name: sha256_file(path) for name, path in _files(out_dir)}
    if "content" in spec and digest(sorted(map(list, files.items()))) != spec["content"]:
        raise ValueError(f"the files behind {out_dir} changed while the study ran: start it again")
    return {"spec": spec, **commit, "files": files}


def _linked(spec: dict[str, Any], manifest: Path, out_dir: Path) -> dict[str, Any] | None:
    """Hard-link the files of another entry; None if they are different or were changed."""
    try:
        known: dict[str, Any] = read_json(manifest)
        if known["spec"] != spec:
            return None
        for name in known["files"]:
            target = out_dir / name
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(manifest.parent / name, target)
    except (OSError, ValueError, KeyError):  # missing, or the file system has no hard links
        return None
    files = {name: sha256_file(path) for name, path in _files(out_dir)}
    return known if files == known["files"] else None


def _download(source: Source, out_dir: Path) -> str:
    """Download the files of a hub repository and return their full commit."""
    from huggingface_hub import HfApi, snapshot_download

    assert source.hub is not None and source.revision is not None
    commit: str | None = source.revision
    try:
        if len(source.revision) < len(NO_COMMIT):
            info = HfApi().repo_info(
                source.hub, repo_type=source.hub_type, revision=source.revision
            )
            commit = info.sha
            if not commit or not commit.startswith(source.revision):
                raise ValueError(
                    f"the hub returned commit {commit}: give all 40 digits of the revision"
                )
        snapshot_download(
            source.hub,
            repo_type=source.hub_type,
            revision=commit,
            allow_patterns=list(source.hub_files) or None,
            local_dir=out_dir,
        )
    except Exception as error:
        raise ValueError(
            f"{source.hub} at {source.revision} could not be fetched ({error}); run the target "
            "`assets` on a machine with internet, and set HF_TOKEN for gated repositories"
        ) from error
    shutil.rmtree(out_dir / ".cache", ignore_errors=True)
    assert commit is not None
    return commit


def _local_root(source: Source) -> Path:
    if source.builtin is not None:
        return _BUILTIN[source.builtin]
    assert source.path is not None
    return Path(source.path).expanduser()


def _files(root: Path) -> list[tuple[str, Path]]:
    if root.is_file():
        return [(root.name, root)]
    found = [path for path in root.rglob("*") if path.is_file() and path.name != "manifest.json"]
    return sorted((path.relative_to(root).as_posix(), path) for path in found)
