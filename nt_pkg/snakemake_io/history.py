"""What the starts of a study took: time, memory, and the share of start-up."""

import hashlib
import os
import threading
import time
from pathlib import Path
from typing import Any

from nt_pkg.files import layout
from nt_pkg.files.content import check, listed, note
from nt_pkg.files.json_files import read_json, readable, write_json
from nt_pkg.snakemake_io.progress_view import ProgressView
from nt_pkg.snakemake_io.timings import seconds_per_stage


class Meter:
    """Measures time, and the peak memory of all child processes."""

    def __init__(self) -> None:
        """Prepare; `start` begins the measurement."""
        self._stop = threading.Event()
        self._peak_bytes = 0
        self._begun = time.monotonic()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        """Begin to sample memory every five seconds."""
        self._thread.start()

    def stop(self) -> dict[str, float]:
        """Return `wall_seconds` and `peak_mib`."""
        self._stop.set()
        self._thread.join()
        return {
            "wall_seconds": round(time.monotonic() - self._begun, 1),
            "peak_mib": round(self._peak_bytes / 2**20),
        }

    def _watch(self) -> None:
        import psutil

        root = psutil.Process()
        while not self._stop.wait(5.0):
            total = 0
            for process in [root, *root.children(recursive=True)]:
                try:
                    # Proportional share, because forked processes share most pages.
                    info = process.memory_full_info()
                except psutil.Error:
                    continue
                total += getattr(info, "pss", info.rss)
            self._peak_bytes = max(self._peak_bytes, total)


class History:
    """What every start of a study took, up to its first complete one."""

    def __init__(self, path: Path) -> None:
        """Read the starts so far; a folder without results has none."""
        self._path = path
        self._folder = path.parent.parent  # --directory of the start
        results = self._folder / layout.RESULTS
        fresh = not results.exists() or not any(results.glob("*/"))
        self._starts: list[dict[str, Any]] = read_json(path) if path.exists() and not fresh else []

    def add(
        self,
        measured: dict[str, float],
        view: ProgressView,
        startup: list[dict[str, Any]],
        is_complete: bool,
    ) -> None:
        """Append this start, unless it had nothing to do."""
        if not view.num_done:
            return
        self._starts.append(
            {
                **measured,
                "num_jobs": view.num_done,
                "is_complete": is_complete,
                "before_first_job_seconds": round(view.first_job_after or 0.0, 2),
                "startup_core_seconds": round(
                    sum(e["startup_s"] * e["threads"] for e in startup), 2
                ),
            }
        )
        write_json(self._path, self._starts)

    def complete(self, summary: Path) -> None:
        """Add to a report's summary what the study took from nothing to its first complete end.

        `startup_share` is the share of all core-seconds that went into launching processes, imports
        and setting up ranks, and into Snakemake before its first job.

        Raises:
            ValueError: the summary is not as its job made it.
        """
        found = read_json(summary)
        count = next((n for n, each in enumerate(self._starts, 1) if each["is_complete"]), 0)
        starts = self._starts[:count]
        if starts:
            wall = sum(each["wall_seconds"] for each in starts)
            cores = os.cpu_count() or 1
            lost = sum(
                e["startup_core_seconds"] + cores * e["before_first_job_seconds"] for e in starts
            )
            found.update(
                wall_seconds=round(wall, 1),
                peak_mib=max(each["peak_mib"] for each in starts),
                startup_share=round(lost / (cores * wall), 4),
                num_starts=len(starts),
            )
        # The report was written before its own time was known.
        own = seconds_per_stage(self._folder / "timings/build_report", {found["study"]})
        found["seconds_per_stage"]["report"] = own["report"]
        content = readable(found).encode()
        sha256 = hashlib.sha256(content).hexdigest()
        # A kill between the next steps leaves the digest of what would have been written.
        if listed(summary).get(summary) != sha256:
            check(summary)
        if content != summary.read_bytes():
            note([summary], {summary: sha256})
            write_json(summary, found)
            note([summary], {summary: sha256})
