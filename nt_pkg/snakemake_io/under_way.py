"""Jobs that a start began and whose end no controller has seen.

Snakemake 9.27 marks the outputs of a running job, and keeps a record of the job when it has
ended. A cluster's job removes the mark itself, but the controller writes the record: if it was
killed, a later start accepts the outputs and ignores a later edit of the job's params. So
a start records which outputs it began to make and which of them it has seen finished, and the next
one treats the others as incomplete. It does so in memory: a dry run shows the same jobs, and
nothing is written before a start has begun.
"""

import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from snakemake.logging import logger
from snakemake.persistence import PersistenceBase


class UnderWay(logging.Handler):
    """The outputs of running jobs in a folder; as a log handler it follows a start."""

    def __init__(self, path: Path) -> None:
        """Read the open outputs of earlier starts; write nothing before `begin`."""
        super().__init__()
        self._path = path
        self._outputs: dict[int, list[str]] = {}  # of jobs of this start
        self.open = _left_open(path)

    def take_for_incomplete(self) -> None:
        """Let Snakemake replan jobs with open outputs, in this process only."""
        of_snakemake = PersistenceBase.incomplete

        async def incomplete(persistence: PersistenceBase, job: Any) -> list[Any]:
            marked = await of_snakemake(persistence, job)
            ours = [path for path in job.output if str(path) in self.open and path not in marked]
            return [*marked, *[path for path in ours if await path.exists()]]

        PersistenceBase.incomplete = incomplete

    def begin(self) -> None:
        """Start to write; call it when no other controller works in the folder."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_name(f"{self._path.name}.tmp")
        temporary.write_text(_line("start", sorted(self.open)) if self.open else "")
        temporary.replace(self._path)
        self._file = self._path.open("a")
        logger.addHandler(self)

    def emit(self, record: Any) -> None:
        """Record that a job began or succeeded."""
        event = getattr(record, "event", None)
        if event == "job_info":
            self._outputs[record.jobid] = [str(path) for path in record.output]
            self._note("start", self._outputs[record.jobid])
        elif event == "job_finished":
            self._note("end", self._outputs.pop(record.job_id, []))

    def _note(self, what: str, outputs: list[str]) -> None:
        if outputs:
            (self.open.update if what == "start" else self.open.difference_update)(outputs)
            self._file.write(_line(what, outputs))
            self._file.flush()


def _left_open(path: Path) -> set[str]:
    found: set[str] = set()
    for line in path.read_text().split("\n")[:-1] if path.exists() else ():  # the last may be cut
        note = json.loads(line)
        found.update(note.get("start", ()))
        found.difference_update(note.get("end", ()))
    return found


def _line(what: str, outputs: Iterable[str]) -> str:
    return json.dumps({what: list(outputs)}) + "\n"
