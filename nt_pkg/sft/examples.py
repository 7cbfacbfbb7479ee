"""Tokenised examples in a file that a training maps into memory.

The file is an uncompressed Arrow IPC file of record batches with the schema EXAMPLES. Its tokens
are int32 and are read where they lie: nothing is copied or unpacked, the ranks of a node share the
pages of the file, and any Arrow reader opens it. Parquet would have to be unpacked by every rank.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from nt_pkg.files.json_files import NOT_OURS, atomic_path, sha256_file
from nt_pkg.files.manifest import read_manifest
from nt_pkg.files.parquet import checked_table
from nt_pkg.files.schemas import EXAMPLES, Row

Ints = npt.NDArray[np.int32]
BATCH_TOKENS = 1 << 20  # tokens after which a record batch is written: 4 MiB


class Examples:
    """The examples of a training in the order of their ids, whatever the order in the file.

    Attributes:
        path: the file.
        lengths: tokens of each example, with its prompt.
        num_prompt_tokens: tokens at the beginning of each example that have no loss.
        loss_lengths: tokens of each example that have loss.
    """

    def __init__(self, path: Path) -> None:
        """Map a file of `write_examples`; the tokens are read when they are asked for.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is cut off or damaged, or holds something else; the message says
                what to do.
        """
        self.path = path
        batches = _read(path)
        table = pa.Table.from_batches(batches, EXAMPLES)
        order = pc.sort_indices(table.column("id")).to_numpy()
        self._names = table.column("id").combine_chunks().take(order)
        self._targets = table.column("target").combine_chunks().take(order)
        twice = self._names[1:].filter(pc.equal(self._names[1:], self._names[:-1]))
        if len(twice):
            raise ValueError(_broken(path, f"id {twice[0]} is there twice"))
        columns = [batch.column("input_ids") for batch in batches]
        lengths = [np.diff(each.offsets.to_numpy()) for each in columns]
        starts = [each.offsets.to_numpy()[:-1] for each in columns]
        batch_of = np.repeat(np.arange(len(batches)), [len(each) for each in columns])
        self._tokens: list[Ints] = [each.values.to_numpy() for each in columns]
        self._batch_of, self._starts = batch_of[order], _joined(starts)[order]
        self.lengths: Ints = _joined(lengths)[order]
        prompts = table.column("num_prompt_tokens").to_numpy()
        self.num_prompt_tokens: Ints = prompts.astype(np.int32)[order]
        self.loss_lengths: Ints = self.lengths - self.num_prompt_tokens
        if np.any(self.num_prompt_tokens < 0) or np.any(self.loss_lengths < 0):
            raise ValueError(_broken(path, "a prompt is longer than its example"))

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.lengths)

    def ids(self, number: int) -> Ints:
        """Return the token ids of an example: a view of the file that cannot be written to."""
        start = self._starts[number]
        tokens: Ints = self._tokens[self._batch_of[number]]
        return tokens[start : start + self.lengths[number]]

    def name(self, number: int) -> str:
        """Return the id of the row that an example was made from."""
        return str(self._names[number])

    def target(self, number: int) -> str:
        """Return "system2" or "system1"."""
        return str(self._targets[number])

    def numbers_of(self, target: str) -> list[int]:
        """Return the numbers of all examples with this target, ascending."""
        found: list[int] = np.flatnonzero(pc.equal(self._targets, target)).tolist()
        return found


def write_examples(path: Path, rows: Iterable[Row]) -> None:
    """Write rows of the schema EXAMPLES, atomically, as they arrive.

    Raises:
        ValueError: a row lacks a column, has another one, or has a null or a value of the wrong
            type.
    """
    with atomic_path(path) as temporary, pa.ipc.new_file(str(temporary), EXAMPLES) as writer:
        first = 0
        for block in _blocks(rows):
            writer.write_table(checked_table(path, EXAMPLES, block, first).combine_chunks())
            first += len(block)


def join_examples(path: Path, parts: Iterable[Path]) -> None:
    """Write the examples of some files into one, atomically; no token is in memory twice.

    Raises:
        ValueError: a part is no file of examples; the message says what to do.
    """
    with atomic_path(path) as temporary, pa.ipc.new_file(str(temporary), EXAMPLES) as writer:
        for part in parts:
            for batch in _read(part):
                writer.write_batch(batch)


def file_record(path: Path) -> dict[str, Any]:
    """Return what a manifest says of a file of examples: `num_bytes` and `sha256`."""
    return {"num_bytes": path.stat().st_size, "sha256": sha256_file(path)}


def recorded_sha256(path: Path, manifest: Path) -> str:
    """Return the sha256 of a file of examples, without reading it if its manifest knows it.

    The manifest is written after the file. So a file of the same size that was not written to since
    then is the one that it describes; any other file is read again and compared.

    Raises:
        ValueError: the manifest describes another file; the message says what to do.
    """
    record, found = read_manifest(manifest, "file")["file"], path.stat()
    same_size = record["num_bytes"] == found.st_size
    is_older = found.st_mtime_ns <= manifest.stat().st_mtime_ns
    if same_size and (is_older or record == file_record(path)):
        return str(record["sha256"])
    raise ValueError(
        f"{path} is not the file that {manifest} describes: one of them was edited, cut off or not "
        "written by this project. Move both elsewhere and run the same command again: this project "
        "then makes them again"
    )


def _blocks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    block: list[Row] = []
    num_tokens = 0
    for row in rows:
        block.append(row)
        num_tokens += len(row["input_ids"])
        if num_tokens >= BATCH_TOKENS:
            yield block
            block, num_tokens = [], 0
    if block:
        yield block


def _read(path: Path) -> list[pa.RecordBatch]:
    """Return the mapped record batches of a file after looking for damage in all but the tokens."""
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        if not reader.schema.equals(EXAMPLES):
            raise ValueError(
                _broken(path, f"it has columns\n{reader.schema}\nexpected\n{EXAMPLES}\n")
            )
        batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        for batch in batches:
            batch.validate(full=True)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise ValueError(_broken(path, str(error))) from error
    return batches


def _broken(path: Path, what: str) -> str:
    return (
        f"{path} is no file of examples ({what}): something cut it off or it was not written by "
        f"this version of this project. {NOT_OURS}"
    )


def _joined(parts: list[Ints]) -> Ints:
    return np.concatenate([np.zeros(0, np.int32), *parts])
