"""Runs a command as a process of its own and keeps what it cost, so that nothing is run twice."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_SECONDS_BETWEEN_LINES = 10.0
_CODE = ("nt_pkg", "scripts", "benchmarks")


@dataclass(frozen=True)
class Cost:
    """What a process cost, its children included.

    Attributes:
        rows: rows that it handled.
        wall_s: from its start to its end, imports included.
        cpu_s: of all its threads and children.
        peak_gib: of its memory, or that of its largest child.
        said: the JSON object that it printed last; {} of a job of a study, which prints none.
    """

    rows: int
    wall_s: float
    cpu_s: float
    peak_gib: float
    said: dict[str, Any] = field(default_factory=dict)


class Measurements:
    """Costs by name, kept in a file; those of other code are forgotten."""

    def __init__(self, folder: Path) -> None:
        """Read what was measured with the code as it is now."""
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "log.txt"
        self._path = folder / f"measured-{_code_digest()}.json"
        self._known = json.loads(self._path.read_text()) if self._path.exists() else {}

    def measure(self, name: str, rows: int, command: Sequence[str]) -> Cost:
        """Return what a command costs, from the file if it has run before.

        Raises:
            RuntimeError: it failed; its output stands in log.txt.
        """
        if name in self._known:
            return Cost(**self._known[name])
        print(f"{time.strftime('%H:%M:%S')} {name}", file=sys.stderr, flush=True)
        cost = self._run(name, rows, command)
        self._known[name] = asdict(cost)
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self._known, indent=1))
        temporary.rename(self._path)
        return cost

    def _run(self, name: str, rows: int, command: Sequence[str]) -> Cost:
        with self._log.open("ab") as log:
            log.write(f"--- {name}: {' '.join(map(str, command))[:2000]}\n".encode())
            log.flush()
            begun = said = time.monotonic()
            process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log)
            assert process.stdout is not None
            os.set_blocking(process.stdout.fileno(), False)
            output = b""
            while True:
                output += process.stdout.read() or b""
                pid, status, used = os.wait4(process.pid, os.WNOHANG)
                if pid:
                    break
                if time.monotonic() - said > _SECONDS_BETWEEN_LINES:
                    said = time.monotonic()
                    print(f"  {name}: {said - begun:.0f} s", file=sys.stderr, flush=True)
                time.sleep(0.02)
            wall = time.monotonic() - begun
            output += process.stdout.read() or b""
            process.stdout.close()
            process.returncode = os.waitstatus_to_exitcode(status)  # already waited for
            log.write(output[-4000:])
        if process.returncode:
            raise RuntimeError(f"{name} failed; see the end of {self._log}")
        last = output.decode().strip().rpartition("\n")[2]
        return Cost(
            rows=rows,
            wall_s=round(wall, 2),
            cpu_s=round(used.ru_utime + used.ru_stime, 2),
            peak_gib=round(used.ru_maxrss / 2**20, 3),  # Linux counts in KiB
            said=json.loads(last) if last.startswith("{") else {},
        )


def _code_digest() -> str:
    digest = hashlib.sha256()
    for path in sorted(path for folder in _CODE for path in (ROOT / folder).rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
