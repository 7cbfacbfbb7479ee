"""Folders that look as if rule fetch_asset had fetched their files."""

from pathlib import Path

from nt_pkg.files.content import note
from nt_pkg.files.json_files import sha256_file, write_json

MANIFEST = "manifest.json"


def write_manifest(folder: Path) -> None:
    """Write the manifest of a folder, and note what is in it, so that no job reads it in full."""
    found = {path: sha256_file(path) for path in sorted(folder.iterdir()) if path.name != MANIFEST}
    write_json(folder / MANIFEST, {"files": {path.name: sha for path, sha in found.items()}})
    note([folder], found)
    note([folder / MANIFEST])
