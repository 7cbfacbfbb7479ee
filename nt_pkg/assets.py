"""Files from outside: pinned, copied into `assets/`, and identified by their content."""

import shutil
from pathlib import Path
from typing import Any

from nt_pkg.config import Source
from nt_pkg.manifest import digest, read_json, sha256_file, write_json

_CACHE_ABOVE_BYTES = 64 * 2**20
_BUILTIN = {"micro-base": Path(__file__).parent / "microworld" / "base"}


def source_spec(source: Source, where: str, cache: Path) -> dict[str, Any]:
    """Return what identifies the files of a source: their content, or a pinned hub commit.

    The path itself is left out, so that moving a file changes nothing.

    Args:
        source: the catalogue's entry.
        where: its place in the configuration, for errors.
        cache: JSON file that remembers the digests of large files by size and time.

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
    return {"content": digest([[name, _file_digest(path, cache)] for name, path in _files(root)])}


def fetch_asset(spec: dict[str, Any], source: Source, out_dir: Path) -> dict[str, Any]:
    """Copy or download the files of a source into `out_dir` and return their manifest.

    Raises:
        ValueError: the files changed since the study was planned, or the hub cannot be reached.
    """
    shutil.rmtree(out_dir, ignore_errors=True)
    if source.hub is not None:
        from huggingface_hub import snapshot_download

        try:
            snapshot_download(
                source.hub,
                repo_type=source.hub_type,
                revision=source.revision,
                allow_patterns=list(source.hub_files) or None,
                local_dir=out_dir,
            )
        except Exception as error:
            raise ValueError(
                f"{source.hub} at {source.revision} could not be fetched ({error}); run the target "
                "`assets` on a machine with internet, and set HF_TOKEN for gated repositories"
            ) from error
        shutil.rmtree(out_dir / ".cache", ignore_errors=True)
    else:
        root = _local_root(source)
        for name, path in _files(root):
            target = out_dir / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    files = {name: sha256_file(path) for name, path in _files(out_dir)}
    if "content" in spec and digest(sorted(map(list, files.items()))) != spec["content"]:
        raise ValueError(f"the files behind {out_dir} changed while the study ran: start it again")
    return {"spec": spec, "files": files}


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


def _file_digest(path: Path, cache: Path) -> str:
    stat = path.stat()
    if stat.st_size < _CACHE_ABOVE_BYTES:
        return sha256_file(path)
    known = read_json(cache) if cache.exists() else {}
    key = f"{path.resolve()}:{stat.st_size}:{stat.st_mtime_ns}"
    if key not in known:
        known[key] = sha256_file(path)
        write_json(cache, known)
    found: str = known[key]
    return found
