"""What is known of each optimiser step, live in a file and at the end in `run.json`."""

import json
from pathlib import Path
from typing import Any

FILE = "steps.jsonl"  # in the work folder
_CURVES = ("learning_rate", "grad_norm", "tokens_per_second")


class StepLog:
    """One line of JSON per step, flushed as it comes, so that `tail -f` shows a run."""

    def __init__(self, folder: Path, done: int) -> None:
        """Keep the lines of the first `done` steps; those behind will be made again."""
        path = folder / FILE
        text = path.read_text() if path.exists() else ""
        # A kill may have cut the last line.
        whole = [json.loads(line) for line in text.splitlines() if line.endswith("}")]
        self._rows = {row["step"]: row for row in whole if row["step"] <= done}
        path.write_text("".join(json.dumps(row) + "\n" for row in self._rows.values()))
        self._file = path.open("a")

    def add(self, step: int, **values: float) -> None:
        """Write what is known of a step."""
        row = {"step": step, **values}
        self._rows[step] = row
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def curves(self, num_steps: int) -> dict[str, list[float | None]]:
        """Return `{value}_curve` with one number per step; None where a step's line was lost."""
        self._file.close()
        rows: list[dict[str, Any]] = [self._rows.get(n, {}) for n in range(1, num_steps + 1)]
        return {f"{name}_curve": [row.get(name) for row in rows] for name in _CURVES}
