"""Traces without text and labels of every annotator, in shards, for the jobs of the selectors."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data.rows import Language
from nt_pkg.annotators.hashed_words import hashed_words
from nt_pkg.files.parquet import write_parquet
from nt_pkg.files.schemas import ANNOTATIONS, TRACES, Row
from nt_pkg.files.vectors import encode
from nt_pkg.identity.question_id import question_id
from nt_pkg.identity.seeds import generator

SHARD_ROWS = 50_000
NUM_NEAR = 1000  # as many as s1K has
NAMES = {"pool": "bench", "teacher": "bench"}
_BLOCK_ROWS, _NUM_TOPICS = 5000, 60
_STRATEGIES = [f"strategy {n}" for n in range(40)]
_SHARES = 1 / np.arange(1, 41) / np.sum(1 / np.arange(1, 41))  # few frequent ones, a long tail


def _length(rng: np.random.Generator) -> dict[str, int]:
    tokens = int(rng.lognormal(8, 0.8))
    return {"num_steps": 1 + tokens // 60, "num_tokens": tokens}


LABELS: dict[str, Callable[[np.random.Generator], Any]] = {
    "length": _length,
    "domain": lambda rng: f"domain {min(rng.geometric(0.25), 13)}",
    "strategies": lambda rng: [
        _STRATEGIES[n] for n in np.searchsorted(_SHARES.cumsum()[:-1], rng.random(rng.poisson(6)))
    ],
    "agreement": lambda rng: bool(rng.random() < 0.64),
    "verbosity": lambda rng: int(rng.binomial(10, 0.3)),
    "reference_words": lambda rng: int(rng.geometric(0.2)),
}


def shards(folder: Path, what: str, num_rows: int) -> list[Path]:
    """Return the files of an annotator, or of "traces", for so many rows."""
    starts = range(0, num_rows, SHARD_ROWS)
    return [folder / what / f"{at}-{min(SHARD_ROWS, num_rows - at)}.parquet" for at in starts]


def write_labels(folder: Path, num_rows: int) -> None:
    """Write the shards that are not there yet."""
    write_near(folder)
    for at, path in enumerate(shards(folder, "traces", num_rows)):
        start = at * SHARD_ROWS
        ids = [question_id(str(n)) for n in range(start, min(start + SHARD_ROWS, num_rows))]
        for annotator in (*LABELS, "embedding"):
            labels = shards(folder, annotator, num_rows)[at]
            if not labels.exists():
                names = {**names_of(annotator), "annotator": annotator}
                write_parquet(labels, ANNOTATIONS, _labels(annotator, start, ids), names)
        if not path.exists():
            write_parquet(path, TRACES, map(_trace, ids), NAMES)
        print(f"labels: {start + len(ids)} of {num_rows} rows", file=sys.stderr, flush=True)


def names_of(annotator: str) -> dict[str, str]:
    """Return what a file of labels is of; vectors are of a question, whatever its teacher."""
    return {"pool": NAMES["pool"]} if annotator == "embedding" else NAMES


def write_near(folder: Path) -> Path:
    """Write vectors of the questions that `nearest` looks for neighbours of."""
    path = folder / "near.parquet"
    if not path.exists():
        ids = [question_id(f"near {n}") for n in range(NUM_NEAR)]
        names = {"pool": "near", "annotator": "embedding"}
        write_parquet(path, ANNOTATIONS, _labels("embedding", 10**8, ids), names)
    return path


def _trace(row_id: str) -> Row:
    end = {"finish_reason": "stop", "error": None, "prompt_tokens": 1, "completion_tokens": 1}
    return {"id": row_id, "status": "ok", "reasoning": "", "answer": "", **end}


def _labels(annotator: str, start: int, ids: list[str]) -> Iterator[Row]:
    rng = generator("bench", annotator, start)
    if annotator == "embedding":
        values: Iterable[Any] = _vectors(start, len(ids))
    else:
        values = (LABELS[annotator](rng) for _ in ids)
    for row_id, value in zip(ids, values, strict=True):
        yield {"id": row_id, "status": "ok", "value": json.dumps(value), "error": None}


def _vectors(start: int, num_rows: int) -> Iterator[str | None]:
    """Yield vectors of questions of about 55 words, of which a topic gives 25."""
    topics = Language(seed=5).texts(_NUM_TOPICS, 25)
    language, draw = Language(seed=1000 + start), np.random.default_rng([4, start])
    for first in range(0, num_rows, _BLOCK_ROWS):
        texts = language.texts(min(_BLOCK_ROWS, num_rows - first), 30)
        about = draw.integers(0, _NUM_TOPICS, len(texts)).tolist()
        pairs = zip(about, texts, strict=True)
        yield from encode(hashed_words([f"{topics[at]} {text}" for at, text in pairs], 384, 0))


if __name__ == "__main__":
    write_labels(Path(sys.argv[1]), int(sys.argv[2]))
