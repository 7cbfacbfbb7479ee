"""What stages behind the pool read: one shard of prompts with traces of the paper's length.

python -m benchmarks.data.inputs PROMPTS TRACES
"""

import sys
from pathlib import Path

import numpy as np

from benchmarks.data.labels import NAMES
from benchmarks.data.rows import Book, stated
from nt_pkg.files.parquet import read_parquet, write_parquet
from nt_pkg.files.schemas import PROMPTS, TRACES, Row

_BLOCK_ROWS = 1000
_ANSWER_WORDS = 150


def write_traces(prompts: Path, out: Path) -> None:
    """Write a trace of about 4,400 tokens for every prompt."""
    ids = [row["id"] for row in read_parquet(prompts, PROMPTS, ("id",))]
    write_parquet(out, TRACES, _traces(ids), NAMES)


def _traces(ids: list[str]) -> "list[Row]":
    book, draw = Book(), np.random.default_rng(3)
    found = []
    for first in range(0, len(ids), _BLOCK_ROWS):
        block = ids[first : first + _BLOCK_ROWS]
        answers = book.pieces(draw, draw.integers(50, 2 * _ANSWER_WORDS, len(block)))
        for row_id, reasoning, answer in zip(
            block, book.traces(draw, len(block)), answers, strict=True
        ):
            found.append(
                {
                    "id": row_id,
                    "status": "ok",
                    "reasoning": reasoning,
                    "answer": f"{answer}\n\nThe answer is \\boxed{{{stated(draw)}}}",
                    "prompt_tokens": 75,
                    "completion_tokens": 4 * len(reasoning) // 17,
                    "finish_reason": "stop",
                    "error": None,
                }
            )
    return found


if __name__ == "__main__":
    write_traces(Path(sys.argv[1]), Path(sys.argv[2]))
