"""Loss and other values of each optimiser step: in files during training, then in `run.json`."""

import json
import time
from pathlib import Path
from typing import Any

FILE, EVENTS = "steps.jsonl", "tensorboard"  # in the work folder
_CURVES = ("learning_rate", "grad_norm", "tokens_per_second")


class StepLog:
    """One line of JSON and one TensorBoard event per step, flushed immediately.

    So `tail -f` and TensorBoard show a run while it trains.
    """

    def __init__(self, folder: Path, done: int) -> None:
        """Keep the lines of the first `done` steps; later steps will be repeated."""
        path = folder / FILE
        text = path.read_text() if path.exists() else ""
        # A kill may have cut the last line.
        whole = [json.loads(line) for line in text.splitlines() if line.endswith("}")]
        self._rows = {row["step"]: row for row in whole if row["step"] <= done}
        path.write_text("".join(json.dumps(row) + "\n" for row in self._rows.values()))
        self._file = path.open("a")
        self._events = _Events(folder / EVENTS, done)

    def add(self, step: int, **values: float) -> None:
        """Write the values of a step."""
        row = {"step": step, **values}
        self._rows[step] = row
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        self._events.add(step, values)

    def curves(self, num_steps: int) -> dict[str, list[float | None]]:
        """Return `{value}_curve` with one number per step, None for a step whose line was lost."""
        self._file.close()
        self._events.close()
        rows: list[dict[str, Any]] = [self._rows.get(n, {}) for n in range(1, num_steps + 1)]
        return {f"{name}_curve": [row.get(name) for row in rows] for name in _CURVES}


class _Events:
    """TensorBoard events, one scalar per value; every start of a training writes another file."""

    def __init__(self, folder: Path, done: int) -> None:
        """Make TensorBoard forget the steps after the first `done`, which will be repeated."""
        # Imported here because only rank 0 needs it.
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        self._new = Event
        folder.mkdir(exist_ok=True)
        # SummaryWriter would lose its queue when the process is killed, and steps before a
        # checkpoint are not repeated. The step in the name distinguishes two starts in one second.
        self._writer = EventsWriter(str(folder / "events"), f".from{done:06}")
        start = SessionLog(status=SessionLog.START)
        self._writer.write_event(Event(wall_time=time.time(), step=done + 1, session_log=start))
        self._writer.flush()

    def add(self, step: int, values: dict[str, float]) -> None:
        event = self._new(wall_time=time.time(), step=step)
        for name, value in values.items():
            event.summary.value.add(tag=name, simple_value=value)
        self._writer.write_event(event)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()
