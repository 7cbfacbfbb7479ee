"""Manifests, and the folders of models, pools and benchmarks whose files they list."""

from pathlib import Path
from typing import Any

from nt_pkg.files.content import check
from nt_pkg.files.json_files import read_fields


def read_manifest(path: Path, *names: str) -> dict[str, Any]:
    """Return the JSON object of an artifact, with at least these fields.

    Raises:
        ValueError: it is not as it was made, or something else; the message says what to do.
    """
    check(path)
    return read_fields(path, *names)


def checked_folder(manifest: Path) -> Path:
    """Return the folder whose files a manifest lists, after a look whether they are those.

    The manifest lies in the folder, or beside it and names it.

    Raises:
        ValueError: a file differs, is missing or does not belong there.
    """
    known = read_manifest(manifest, "files")
    folder: Path = manifest.parent / known.get("folder", ".")
    check(folder, known["files"])
    return folder


def lacks_files(manifest: Path) -> bool:
    """Return whether a file that a manifest lists is missing, such as after a purge."""
    known = read_fields(manifest, "files")
    folder = manifest.parent / known.get("folder", ".")
    return not all((folder / name).is_file() for name in known["files"])
