"""What Snakemake records of a finished job, kept beside the job's outputs as well.

Snakemake keeps rule, params, inputs and their checksums in `.snakemake/`. Results that are copied
into another clone come without it, and then Snakemake believes any file that exists: an edited
selector plans nothing. So the same record stands beside each output, and where there is one, it
decides. A dry run and a start read the same, and only the end of a job writes.

A damaged record would be one that fits anything: then what it is about is made again, unless
Snakemake has its own.
"""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snakemake.io import _IOFile
from snakemake.persistence import RECORD_FORMAT_VERSION, MetadataRecord
from snakemake.persistence.file import FilePersistence

from nt_pkg.files.beside import made_beside
from nt_pkg.files.content import known_sha256
from nt_pkg.files.json_files import digest, write_json

_DIGEST = "digest"
_DAMAGED = {"params": ["'a damaged record'"], "record_format_version": RECORD_FORMAT_VERSION}


def keep_beside_outputs() -> None:
    """Let Snakemake keep its records beside outputs too, in this process."""
    read, write = FilePersistence._io_read, FilePersistence._io_write
    delete, mark = FilePersistence._io_delete, FilePersistence._mark_incomplete

    def read_record(self: Any, subject: Any, id: str) -> Any:
        own = read_made(Path(id)) if subject == self._metadata_path else None
        return read(self, subject, id) or own or {} if own in (None, _DAMAGED) else own

    def write_record(self: Any, subject: Any, value: Any, id: str, *more: Any, **named: Any) -> Any:
        if subject == self._metadata_path:
            write_made(Path(id), value)
        return write(self, subject, value, id, *more, **named)

    def delete_record(self: Any, subject: Any, id: str) -> Any:
        if subject == self._metadata_path:
            made_beside(Path(id)).unlink(missing_ok=True)
        return delete(self, subject, id)

    def mark_incomplete(self: Any, key: str, external_jobid: str | None) -> None:
        made_beside(Path(key)).unlink(missing_ok=True)  # it is about another file from now on
        mark(self, key, external_jobid)

    FilePersistence._io_read, FilePersistence._io_write = read_record, write_record
    FilePersistence._io_delete, FilePersistence._mark_incomplete = delete_record, mark_incomplete


def write_made(output: Path, record: Mapping[str, Any]) -> None:
    """Keep what made an output beside it, with a digest."""
    write_json(made_beside(output), {**record, _DIGEST: digest(record)})


def read_made(output: Path) -> dict[str, Any] | None:
    """Return what is kept beside an output: a record that fits nothing if it is damaged."""
    try:
        found: dict[str, Any] = json.loads(made_beside(output).read_bytes())
        noted = found.pop(_DIGEST, None)
        # Records of earlier versions have no digest.
        is_whole = noted == digest(found) or (
            noted is None and found.keys() <= MetadataRecord.model_fields.keys()
        )
    except OSError:
        return None
    except (ValueError, AttributeError, RecursionError):
        is_whole = False
    return found if is_whole else _DAMAGED


def use_known_digests() -> None:
    """Let Snakemake compare files by the digests that jobs have noted, in this process.

    So it need not read them again, and compares those that are too large for it to read.
    """
    is_eligible, checksum = _IOFile.is_checksum_eligible, _IOFile.checksum

    async def may_be_compared(self: Any, threshold: int | None) -> bool:
        return _known(self, threshold) is not None or await is_eligible(self, threshold)

    async def known_or_read(
        self: Any, threshold: int | None = None, force: bool = False, algorithm: Any = None
    ) -> Any:
        if algorithm in (None, "sha256"):
            found = await asyncio.to_thread(_known, self, threshold)
            if found is not None:
                return f"sha256:{found}"
        return await checksum(self, threshold, force, algorithm)

    _IOFile.is_checksum_eligible, _IOFile.checksum = may_be_compared, known_or_read


def _known(file: Any, threshold: int | None) -> str | None:
    return None if file.is_storage else known_sha256(Path(file.file), threshold or 0)
