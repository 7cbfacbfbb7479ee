"""Digests of artifacts: noted by the job that made them, compared by everything that reads them.

A note stands beside each output. For every file it has the sha256, and size, times and inode of
the file when that was last compared. So a file is read in full once after it was made, copied or
touched, and not before each of a thousand jobs that read it.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from nt_pkg.files.atomic import atomic_path, sha256_file
from nt_pkg.files.beside import content_beside, is_beside

_SELF = ""  # name of a file in its own note; those of a folder are relative to it
_OF_SNAKEMAKE = ".snakemake_timestamp"  # in every folder that a job makes
MISSING, DIFFERS = "is missing", "is not as it was made: its sha256 differs"
FOREIGN = "does not belong there"
Stamp = list[int]


class _Entry(NamedTuple):
    sha256: str
    stamp: Stamp  # of the file when it was last compared; [] if it never was


def note(outputs: Iterable[Path], known: Mapping[Path, str] | None = None) -> None:
    """Note the digests of files, and of the files in folders, beside them.

    Args:
        outputs: what a job has made.
        known: digests of some files, which are not read again.
    """
    for path in outputs:
        found = {}
        for name, file in _files(path):
            stamp = _stamp(file)
            found[name] = _Entry((known or {}).get(file) or sha256_file(file), stamp)
        _write(path, found)


def compared_in_full(file: Path) -> tuple[str, Stamp]:
    """Return the digest of a file, and its size, times and inode from before it was read."""
    stamp = _stamp(file)
    return sha256_file(file), stamp


def renew(path: Path, compared: Mapping[Path, tuple[str, Stamp]]) -> None:
    """Note that an artifact was as it was made, where that can be written.

    Args:
        path: the artifact.
        compared: its files as `compared_in_full` found them; a file that is none of these stays
            unknown, and one that was changed since is compared again.
    """
    found = {
        _SELF if file == path else file.relative_to(path).as_posix(): _Entry(sha256, stamp)
        for file, (sha256, stamp) in compared.items()
    }
    with suppress(OSError):  # of somebody else: then it is compared again next time
        _write(path, found)


def check(path: Path, expected: Mapping[str, str] | None = None) -> None:
    """Look whether a file or folder is as it was made; what has no note is not looked at.

    Args:
        path: what is about to be read.
        expected: name -> sha256 of all files of a folder, from its manifest.

    Raises:
        ValueError: a file differs, is missing or does not belong there; the message says what to
            do.
    """
    for file, problem in _compared(path, expected):
        remedy = {
            MISSING: "Run the same command again: this project then makes it again",
            FOREIGN: "Move it elsewhere",
        }.get(
            problem,
            f"Move {path} elsewhere and run the same command again: this project then makes it "
            "again",
        )
        raise ValueError(f"{file} {problem}. {remedy}. `python -m scripts.verify` looks for more")


def listed(path: Path, expected: Mapping[str, str] | None = None) -> dict[Path, str]:
    """Return file -> sha256 of an artifact as its job has noted, or its manifest; none if unknown.

    Raises:
        ValueError: the note is damaged.
    """
    entries = _entries(_read(path) or {}, expected)
    return {path / name if name else path: entry.sha256 for name, entry in entries.items()}


def foreign(folder: Path, names: Iterable[str]) -> list[Path]:
    """Return the files of a folder that are none of these; hidden ones are no content."""
    known = {*names, "manifest.json"}
    return [
        file
        for name, file in _files(folder)
        if name not in known and not any(part.startswith(".") for part in Path(name).parts)
    ]


def foreign_files(folder: Path) -> list[Path]:
    """Return the files of a folder that its job has not noted; none of one without a note."""
    try:
        entries = _read(folder)
    except ValueError:
        return []
    return foreign(folder, entries) if entries else []


def not_as_written(folder: Path, names: Collection[str]) -> list[Path]:
    """Return the files of a folder that are not as this project wrote them.

    Args:
        folder: the folder, with a note or without.
        names: files that it wrote there, as far as the note does not know them.
    """
    try:
        noted = _read(folder) or {}
    except ValueError:
        noted = {}
    found = []
    for name, file in _files(folder):
        if name not in noted:
            is_ours = name in names or name == "manifest.json"
        else:
            entry = noted[name]
            is_ours = _stamp(file) == entry.stamp or sha256_file(file) == entry.sha256
        found += [] if is_ours else [file]
    return found


def known_sha256(path: Path, read_up_to: int) -> str | None:
    """Return the noted digest of a file if it can be relied on for planning, else None.

    Args:
        path: the file.
        read_up_to: bytes of a file that is read again if it was touched. Of a larger one the size
            has to do; a job that reads it compares all of it.
    """
    try:
        entry, stamp = (_read(path) or {})[_SELF], _stamp(path)
    except (OSError, ValueError, KeyError):
        return None
    is_same = stamp == entry.stamp or (stamp[0] > read_up_to and stamp[0] == _size(entry))
    return entry.sha256 if is_same else None


def _compared(path: Path, expected: Mapping[str, str] | None) -> Iterator[tuple[Path, str]]:
    noted = _read(path)
    if noted is None and expected is None:
        return
    entries = _entries(noted or {}, expected)
    fresh = dict(entries)
    for name, entry in entries.items():
        file = path / name if name else path
        try:
            stamp = _stamp(file)
        except FileNotFoundError:
            yield file, MISSING
            continue
        if stamp == entry.stamp:
            continue
        is_other_size = bool(entry.stamp) and stamp[0] != _size(entry)
        if is_other_size or sha256_file(file) != entry.sha256:
            yield file, DIFFERS
            continue
        fresh[name] = _Entry(entry.sha256, stamp)
    if _SELF not in entries:
        yield from ((file, FOREIGN) for file in foreign(path, entries))
    if fresh != noted:
        with suppress(OSError):  # of somebody else: then it is compared again next time
            _write(path, fresh)


def _entries(noted: dict[str, _Entry], expected: Mapping[str, str] | None) -> dict[str, _Entry]:
    """Return what a manifest lists, with the stamps of those that were compared with it before."""
    if expected is None:
        return noted
    return {
        name: noted[name] if name in noted and noted[name].sha256 == sha256 else _Entry(sha256, [])
        for name, sha256 in expected.items()
    }


def _files(path: Path) -> list[tuple[str, Path]]:
    if not path.is_dir():
        return [(_SELF, path)]
    found = [
        each
        for each in path.rglob("*")
        if each.is_file() and not is_beside(each) and each.name != _OF_SNAKEMAKE
    ]
    return sorted((each.relative_to(path).as_posix(), each) for each in found)


def _stamp(file: Path) -> Stamp:
    found = file.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _size(entry: _Entry) -> int | None:
    return entry.stamp[0] if entry.stamp else None


def _read(path: Path) -> dict[str, _Entry] | None:
    place = content_beside(path)
    try:
        found = json.loads(place.read_bytes())
        return {name: _Entry(entry["sha256"], entry["stamp"]) for name, entry in found.items()}
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{place} is damaged, so it is not known whether {path} is as it was made. Move both "
            "elsewhere and run the same command again"
        ) from error


def _write(path: Path, entries: Mapping[str, _Entry]) -> None:
    with atomic_path(content_beside(path)) as temporary:
        text = json.dumps({name: entry._asdict() for name, entry in entries.items()}, indent=1)
        temporary.write_text(text + "\n")
