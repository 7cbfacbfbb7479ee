"""Ours where it is no job by itself, and what it is compared with.

python -m benchmarks.data.ours STAGE ...    # prints one JSON object
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.data.rows import (
    NUM_BENCHMARKS,
    PEER_ROWS,
    part_path,
)

_CHUNK_ROWS, _NGRAM = 20_000, 8


def parse_json(folder: str, num_rows: str) -> dict[str, Any]:
    """Parse the lines of the pool, and nothing else."""
    count = sum(1 for _ in _rows(Path(folder), int(num_rows)))
    assert count == int(num_rows), count
    return {}


def decontaminate(folder: str, num_rows: str, rule: str) -> dict[str, Any]:
    """Mark the contaminated rows; seconds are CPU, without reading the rows."""
    from nt_pkg.pools._base import RawRow
    from nt_pkg.prompts.cleaning.decontamination import REASON, start_decontamination

    begun = time.process_time()
    spec = {"rule": rule, "ngram": _NGRAM, "against": against()}
    marked = start_decontamination(
        spec, [Path(folder) / f"benchmark-{at}" for at in range(NUM_BENCHMARKS)]
    )
    index_s = time.process_time() - begun
    seconds, hits, source = 0.0, [], enumerate(_rows(Path(folder), int(num_rows)))
    while chunk := [RawRow(at, row["question"]) for at, row in islice(source, _CHUNK_ROWS)]:
        begun = time.process_time()
        hits += [row.source_row for row in marked.mark(chunk) if row.defect == REASON]
        seconds += time.process_time() - begun
    seen_by_all = [row for row in hits if row < PEER_ROWS]
    return {"index_s": index_s, "s": seconds, "num_hits": len(hits), "hits": seen_by_all}


def rows_of_subset(prompts: str, num_rows: str) -> dict[str, Any]:
    """Read some rows of a pool, as `build_examples` does."""
    import pyarrow.parquet as pq

    from nt_pkg.files.parquet import rows_of
    from nt_pkg.files.schemas import PROMPTS

    ids = pq.read_table(prompts, columns=["id"]).column("id")
    step = max(1, len(ids) // int(num_rows))
    wanted = ids.take(list(range(0, len(ids), step))[: int(num_rows)]).combine_chunks()
    found = rows_of([Path(prompts)], PROMPTS, wanted, ["id", "question"])
    return {"num_rows": sum(row is not None for row in found)}


def vectors(out: str, *labels: str) -> dict[str, Any]:
    """Write a column of vectors as a matrix that numpy reads."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from nt_pkg.files.parquet import read_columns
    from nt_pkg.files.schemas import ANNOTATIONS
    from nt_pkg.files.vectors import decode

    texts = read_columns([Path(each) for each in labels], ANNOTATIONS, ["id", "value"])["value"]
    values = pc.utf8_trim(texts.combine_chunks(), characters='"')
    column = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    np.save(out, decode("embedding", column))
    return {}


def report(folder: str) -> dict[str, Any]:
    """Write the report of the study that benchmarks.data.study has made up."""
    from scripts.build_report import main

    os.chdir(folder)
    main(json.loads(Path("report.json").read_text()))
    return {}


def export(folder: str, subset: str) -> dict[str, Any]:
    """Write the largest subset of that study as a data set."""
    import shutil

    from scripts.export_subset import main

    os.chdir(folder)
    shutil.rmtree("exported", ignore_errors=True)
    main(["--configfile", "bench.yaml", "--subset", subset, "--out", "exported"])
    return {}


def against() -> list[dict[str, Any]]:
    """Return the benchmarks of a spec of decontamination."""
    return [
        {"benchmark": f"b{at}", "kind": "math500", "params": {}, "has_files": True}
        for at in range(NUM_BENCHMARKS)
    ]


def _rows(folder: Path, num_rows: int) -> Iterator[Any]:
    return islice(_all_rows(folder), num_rows)


def _all_rows(folder: Path) -> Iterator[Any]:
    number = 0
    while (path := part_path(folder, number)).exists():
        with path.open("rb") as file:
            yield from map(json.loads, file)
        number += 1


if __name__ == "__main__":
    stages: dict[str, Callable[..., dict[str, Any]]] = {
        each.__name__: each
        for each in (
            parse_json,
            decontaminate,
            rows_of_subset,
            vectors,
            report,
            export,
        )
    }
    print(json.dumps(stages[sys.argv[1]](*sys.argv[2:])))
