"""How a file system handles the workflow's operations."""

import contextlib
import fcntl
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from nt_pkg.cost.disk import Size
from nt_pkg.preflight.facts import Finding

_NUM_FILES = 16
_SECONDS = 4.0  # the measurement stops after this time
# Snakemake makes 50 to 100 calls per finished job, and answers are journalled with fsync.
_SLOW_FSYNC_MS, _SLOW_METADATA_MS = 50.0, 20.0
_TOO_LITTLE_GB, _FULL = 2.0, 0.8  # the share of what is free that may be needed without a warning


@dataclass(frozen=True)
class Measured:
    """Measurements of a file system; times are medians."""

    fsync_ms: float = 0.0
    metadata_ms: float = 0.0
    clock_seconds: float = 0.0
    flock: str = "works"
    free_gb: float = 1e9
    free_files: int = 10**9
    error: str = ""


def measure(folder: Path) -> Measured:
    """Write, rename, list and delete small files in an existing folder, for at most seconds."""
    try:
        usage, stat = shutil.disk_usage(folder), os.statvfs(folder)
        place = Path(tempfile.mkdtemp(dir=folder, prefix=".preflight-"))
    except OSError as error:
        return Measured(error=str(error))
    try:
        fsync, metadata, clock = _latencies(place)
        return Measured(
            fsync_ms=1000 * statistics.median(fsync),
            metadata_ms=1000 * statistics.median(metadata),
            clock_seconds=clock,
            flock=_flock(place / "lock"),
            free_gb=usage.free / 1e9,
            # File systems without a fixed number of files say 0.
            free_files=stat.f_favail if stat.f_files else 10**9,
        )
    except OSError as error:
        return Measured(error=str(error))
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _latencies(place: Path) -> tuple[list[float], list[float], float]:
    fsync, metadata = [], []
    begun, clock = time.monotonic(), 0.0
    for number in range(_NUM_FILES):
        path = place / f"{number}.tmp"
        start = time.monotonic()
        with path.open("wb") as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
        fsync.append(time.monotonic() - start)
        if not number:
            clock = path.stat().st_mtime - time.time()
        start = time.monotonic()
        path.rename(final := place / str(number))
        final.stat()
        list(place.iterdir())
        final.unlink()
        metadata.append((time.monotonic() - start) / 4)
        if time.monotonic() - begun > _SECONDS:
            break
    return fsync, metadata, clock


def _flock(path: Path) -> str:
    """Return `works`, `does nothing` or the error."""
    try:
        with path.open("w") as one, path.open("w") as other:
            fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return "does nothing"
    except OSError as error:
        return error.strerror or str(error)
    return "works"


def speed(measured: Mapping[Path, Measured | None]) -> list[Finding]:
    """Judge what was measured per folder; None is a file system that hung."""
    found = []
    for folder, each in measured.items():
        if each is None:
            text = f"{folder}: writing 16 small files did not finish"
            todo = "the file system hangs: wait, or use another one"
            found.append(Finding("FAIL", "storage", text, todo))
        elif each.error:
            text, todo = f"{folder} cannot be written: {each.error}", "run in a folder of your own"
            found.append(Finding("FAIL", "storage", text, f"{todo}, or with --directory"))
        else:
            found += _judge(folder, each)
    return found


def _judge(folder: Path, each: Measured) -> Iterator[Finding]:
    text = f"{folder}: {each.fsync_ms:.1f} ms per synced file, {each.metadata_ms:.1f} ms per call"
    if each.fsync_ms > _SLOW_FSYNC_MS or each.metadata_ms > _SLOW_METADATA_MS:
        text += " is slow; Snakemake makes 50 to 100 calls per job, and every answer is synced"
        todo = "use a faster file system (scratch instead of home) and larger shards"
        yield Finding("warn", "storage", text, todo)
    else:
        yield Finding("ok", "storage", text)
    if abs(each.clock_seconds) > 2:
        text = f"new files in {folder} are {each.clock_seconds:+.0f} s off this node's clock"
        todo = "ask the administrators for NTP: Snakemake compares the times of files"
        yield Finding("warn", "clock", text, todo)
    if each.flock == "works":
        yield Finding("ok", "flock", f"works in {folder}")
    else:
        todo = "never start a study twice at once there, or have it mounted with flock (-o flock)"
        yield Finding("warn", "flock", f"{folder}: {each.flock}", todo)


def space(measured: Mapping[Path, Measured | None], needs: Mapping[Path, Size]) -> list[Finding]:
    """Judge whether what the study still writes has room; the needs are those of `cost.disk`.

    Args:
        measured: by folder; those that hung or cannot be written are left out.
        needs: by folder; empty if nothing is known of the study.
    """
    found = []
    for folder, each in measured.items():
        if each is None or each.error:
            continue
        need = needs.get(folder, Size())
        gb = need.num_bytes / 1e9
        text = f"{folder} has {each.free_gb:,.0f} GB free and room for {each.free_files:,} files"
        if need.num_files:
            text += f"; the study still writes some {gb:,.0f} GB in {need.num_files:,} files there"
        todo = (
            "free some space, use another file system, or plan fewer runs (`python -m "
            "scripts.plan` with this profile says what takes how much)"
        )
        if each.free_gb < max(gb, _TOO_LITTLE_GB) or each.free_files < need.num_files:
            found.append(Finding("FAIL", "space", text, todo))
        elif each.free_gb < gb / _FULL or each.free_files < need.num_files / _FULL:
            found.append(Finding("warn", "space", f"{text}, and nothing is exact", todo))
        else:
            found.append(Finding("ok", "space", f"{text} (quotas are not checked)"))
    return found
