"""Whether the artifacts of a study are as they were made: every byte of them is read."""

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from nt_pkg.files.content import (
    DIFFERS,
    FOREIGN,
    MISSING,
    Stamp,
    compared_in_full,
    foreign,
    listed,
    renew,
)
from nt_pkg.jobs.progress import Progress
from nt_pkg.sft.checkpoint_files import LAST, NOTES, recorded

_READERS = 8  # threads; reading and hashing release the interpreter's lock
_MB = 10**6


@dataclass
class Verified:
    """What was found.

    Attributes:
        wrong: file -> what is wrong with it.
        num_files: files that were compared.
        num_bytes: their bytes.
        unknown: artifacts that nobody has noted a digest of: an earlier version made them.
        num_absent: artifacts that were not made yet.
    """

    wrong: dict[Path, str] = field(default_factory=dict)
    num_files: int = 0
    num_bytes: int = 0
    unknown: list[Path] = field(default_factory=list)
    num_absent: int = 0


def verify(outputs: Iterable[Path]) -> Verified:
    """Compare the files of a study with the digests that its jobs have noted; shows progress.

    Args:
        outputs: what the jobs of the study make, files and folders.
    """
    found = Verified()
    artifacts: dict[Path, dict[Path, str]] = {}
    for path in outputs:
        for place, expected in _places(path):
            files = _listed(place, expected, found)
            if files:
                artifacts[place] = files
            elif place not in found.wrong:
                found.unknown += [place] if place.exists() else []
                found.num_absent += not place.exists()
    there = {file: sha256 for files in artifacts.values() for file, sha256 in files.items()}
    sizes = {file: file.stat().st_size for file in there if file.is_file()}
    found.num_files, found.num_bytes = len(sizes), sum(sizes.values())
    progress = Progress("MB compared", found.num_bytes // _MB)
    compared: dict[Path, tuple[str, Stamp]] = {}
    with ThreadPoolExecutor(_READERS) as pool:
        for file, read in zip(sizes, pool.map(_read, sizes), strict=True):
            progress.add(sizes[file] // _MB)
            if isinstance(read, str):
                found.wrong[file] = read
            elif read[0] != there[file]:
                found.wrong[file] = DIFFERS
            else:
                compared[file] = read
    found.wrong.update((file, MISSING) for file in there if file not in sizes)
    for place, files in artifacts.items():
        if files.keys() <= compared.keys() and place.name != LAST:
            renew(place, {file: compared[file] for file in files})
    return found


def _read(path: Path) -> tuple[str, Stamp] | str:
    try:
        return compared_in_full(path)
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def _places(path: Path) -> list[tuple[Path, dict[str, str] | None]]:
    """Return an output and, of a manifest, the folder whose files it lists."""
    found: list[tuple[Path, dict[str, str] | None]] = [(path, None)]
    if path.suffix == ".json" and path.is_file():
        try:
            known = json.loads(path.read_bytes())
            files = {str(name): str(sha256) for name, sha256 in known["files"].items()}
            found.append((path.parent / known.get("folder", "."), files))
        except (ValueError, KeyError, TypeError, AttributeError):
            pass  # it lists none, or is damaged, which its own digest shows
    return found


def _listed(path: Path, expected: dict[str, str] | None, found: Verified) -> dict[Path, str]:
    try:
        files = recorded(path) if path.name == LAST else listed(path, expected)
    except ValueError as error:
        found.wrong[path] = f"cannot be compared: {error}"
        return {}
    if path.is_dir() and files:
        names = [file.relative_to(path).as_posix() for file in files]
        names += [note.name for note in path.glob(NOTES)] if path.name == LAST else []
        found.wrong.update((file, FOREIGN) for file in foreign(path, names))
    return files
