"""Hidden files next to an artifact that say what it holds and what made it.

They stand beside it and not in a place of their own, so they go where it goes when results are
copied. No reader of artifacts takes them for one: their names have none of its endings.
"""

from pathlib import Path

_ENDINGS = (".made", ".sha256")
_MANIFEST = "manifest.json"  # stands in the folder of an asset, which holds only what was fetched


def made_beside(path: Path) -> Path:
    """Return the file that says what made an artifact: rule, spec and inputs."""
    return _beside(path, ".made")


def content_beside(path: Path) -> Path:
    """Return the file that has the digest of an artifact."""
    return _beside(path, ".sha256")


def is_beside(path: Path) -> bool:
    """Return whether a file is such a file, and no artifact."""
    return path.name.startswith(".") and path.name.endswith(_ENDINGS)


def _beside(path: Path, ending: str) -> Path:
    if path.name == _MANIFEST:
        path = path.parent.with_name(f"{path.parent.name}.{_MANIFEST}")
    return path.with_name(f".{path.name}{ending}")
