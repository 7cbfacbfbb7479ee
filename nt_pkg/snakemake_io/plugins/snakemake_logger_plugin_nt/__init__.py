"""Snakemake's logger plugin `nt`: writes the events of nt_pkg/snakemake_io/events.py to a file."""

import json
from dataclasses import dataclass, field
from logging import LogRecord
from pathlib import Path

from snakemake.logging import logger
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase

from nt_pkg.snakemake_io.events import Collector


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    """Options of the command line, `--logger-nt-...`."""

    path: str = field(default="events.jsonl", metadata={"help": "file of events"})


class LogHandler(LogHandlerBase):
    """Writes one line per event."""

    def __post_init__(self) -> None:
        """Open the file and remove the events of an earlier start."""
        assert isinstance(self.settings, LogHandlerSettings)
        path = Path(self.settings.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w")
        logger.addFilter(Collector())

    def emit(self, record: LogRecord) -> None:
        """Write the event of a record, if it has one."""
        if (event := getattr(record, "nt_event", None)) is not None:
            self._file.write(json.dumps(event) + "\n")
            self._file.flush()

    @property
    def writes_to_stream(self) -> bool:
        """Return that this plugin does not write to the terminal."""
        return False

    @property
    def writes_to_file(self) -> bool:
        """Return that Snakemake need not name the file among its logs."""
        return False

    @property
    def has_filter(self) -> bool:
        """Return that `--quiet` changes nothing here."""
        return True

    @property
    def has_formatter(self) -> bool:
        """Return that no text is made of a record."""
        return True

    @property
    def needs_rulegraph(self) -> bool:
        """Return that no rule graph is needed."""
        return False
