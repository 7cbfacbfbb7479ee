"""A subset as a data set: Parquet files that `datasets.load_dataset` opens.

One row per trace, ordered by id. Its columns are those of a shape, and

    id, rank, score        of the selection: rank 0 is the selector's first pick
    reference_answer       the known answer, null if there is none
    annotations            the labels of annotators, a struct with one field each; null where one
                           failed (not `labels`: trainers take that name for token ids)
    source_row             index over all rows of the pool's source, files in the order of names
    pool, teacher, selector   names in the study
    request                digest of the exact request that the teacher got
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nt_pkg.dialogue.formats import THINK_CLOSE, THINK_OPEN
from nt_pkg.files.json_files import atomic_path, storable
from nt_pkg.files.parquet import rows_of, stream_columns
from nt_pkg.files.schemas import ANNOTATIONS, PROMPTS, TRACES, Row

Shape = Literal["messages", "prompt_completion", "parts"]
FILE_ROWS = 50_000  # of one file: a gigabyte of long traces
_GROUP_ROWS = 1000
_BATCH_ROWS = 65_536
_TEXT, _INT = pa.string(), pa.int64()
_TURNS = pa.list_(pa.struct({"role": _TEXT, "content": _TEXT}))
_SHAPES: dict[str, dict[str, pa.DataType]] = {
    "messages": {"messages": _TURNS},
    "prompt_completion": {"prompt": _TURNS, "completion": _TURNS},
    "parts": {"question": _TEXT, "reasoning": _TEXT, "answer": _TEXT},
}
_REST = {
    **{"id": _TEXT, "rank": _INT, "score": pa.float64(), "reference_answer": _TEXT},
    **{"source_row": _INT, "pool": _TEXT, "teacher": _TEXT, "selector": _TEXT, "request": _TEXT},
}


def export_rows(
    subset: pa.Table,
    prompts: Path,
    traces: Sequence[Path],
    labels: Mapping[str, Sequence[Path]],
    shape: Shape,
    names: Mapping[str, str],
    request_of: Callable[[Row], str],
) -> Iterator[pa.Table]:
    """Yield the rows of a data set, ordered by id, some at a time.

    Args:
        subset: rank, id and score of every row, in any order.
        prompts: the pool.
        traces: the shards of its traces.
        labels: the shards of every annotator.
        shape: how question and trace are written.
        names: pool, teacher and selector.
        request_of: (id, question, replay of a prompt) -> digest of its request.

    Raises:
        ValueError: a row has no prompt or no trace, or a file cannot be read.
    """
    subset = subset.sort_by("id").combine_chunks()
    ids = subset["id"].combine_chunks()
    found = {name: _labels(paths, ids) for name, paths in sorted(labels.items())}
    asked = rows_of(
        [prompts], PROMPTS, ids, ["id", "question", "reference_answer", "replay", "source_row"]
    )
    told = rows_of(traces, TRACES, ids, ["id", "reasoning", "answer"])
    rows = (
        {
            **_shaped(shape, *_of_one_id(picked["id"], prompt, trace)),
            **picked,
            **names,
            "reference_answer": (prompt or {})["reference_answer"],
            "source_row": (prompt or {})["source_row"],
            "request": request_of(prompt or {}),
        }
        for picked, prompt, trace in zip(_rows(subset), asked, told, strict=True)
    )
    schema = pa.schema({**_SHAPES[shape], **_REST})
    for start in count(0, _GROUP_ROWS):
        block = list(islice(rows, _GROUP_ROWS))
        if not block:
            return
        table = pa.Table.from_pylist(block, schema=schema)
        if found:
            columns = [each.slice(start, len(block)) for each in found.values()]
            table = table.append_column(
                "annotations", pa.StructArray.from_arrays(columns, list(found))
            )
        yield table


def write_data_files(folder: Path, split: str, num_rows: int, tables: Iterator[pa.Table]) -> None:
    """Write the rows into `folder`/data, in files that are named as on the hub."""
    num_files = max(1, -(-num_rows // FILE_ROWS))
    for number in range(num_files):
        path = folder / "data" / f"{split}-{number:05}-of-{num_files:05}.parquet"
        some = islice(tables, FILE_ROWS // _GROUP_ROWS)
        first = next(some)
        with (
            atomic_path(path) as temporary,
            pq.ParquetWriter(temporary, first.schema, compression="zstd") as writer,
        ):
            writer.write_table(first)
            for table in some:
                writer.write_table(table)


def _rows(table: pa.Table) -> Iterator[Row]:
    for batch in table.to_batches(_GROUP_ROWS):
        yield from batch.to_pylist()


def _of_one_id(row_id: str, prompt: Row | None, trace: Row | None) -> tuple[str, str, str]:
    if prompt is None or trace is None:
        raise ValueError(
            f"row {row_id} of the subset has no {'prompt' if prompt is None else 'trace'}: the "
            "subset was chosen from other files; run the study again"
        )
    return prompt["question"], trace["reasoning"], trace["answer"]


def _shaped(shape: Shape, question: str, reasoning: str, answer: str) -> dict[str, Any]:
    if shape == "parts":
        return {"question": question, "reasoning": reasoning, "answer": answer}
    user = {"role": "user", "content": question}
    whole = f"{THINK_OPEN}\n{reasoning}\n{THINK_CLOSE}\n\n{answer}"
    assistant = {"role": "assistant", "content": whole}
    if shape == "messages":
        return {"messages": [user, assistant]}
    return {"prompt": [user], "completion": [assistant]}


def _labels(paths: Sequence[Path], ids: pa.Array) -> pa.Array:
    """Return the label of each id, null if it failed; labels of several types stay JSON."""
    try:
        return _columns(paths, ids, lambda text: text and storable(json.loads(text)))
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return _columns(paths, ids, lambda text: text)


def _columns(paths: Sequence[Path], ids: pa.Array, read: Callable[[str | None], Any]) -> pa.Array:
    """Return the label of each id; those of one batch of rows are Python objects at a time."""
    parts = []
    for path in paths:
        for batch in stream_columns(path, ANNOTATIONS, ["id", "value"], _BATCH_ROWS):
            own = batch.filter(pc.is_in(batch.column("id"), ids))
            values = pa.array([read(text) for text in own.column("value").to_pylist()])
            parts.append(pa.table({"id": own.column("id"), "value": values}))
    found = pa.concat_tables(parts, promote_options="permissive")
    return found["value"].combine_chunks().take(pc.index_in(ids, found["id"].combine_chunks()))
