"""The student, the prompts and the traces of `benchmarks.scale`."""

import shutil
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np

from benchmarks.fetched import write_manifest
from nt_pkg.files.parquet import POOL_GROUP_ROWS, write_parquet
from nt_pkg.files.schemas import PROMPTS, SUBSET, TRACES, Row
from nt_pkg.identity.seeds import generator, rng
from nt_pkg.jobs.progress import Progress
from tests.workflow.sandbox import ROOT

SHORTEST, LONGEST = 745, 14_600
_MEAN, _SPREAD = 4_430, 0.5
_SHARD_ROWS = 16_384
_BASE = ROOT / "nt_pkg" / "microworld" / "base"


def write_student(folder: Path) -> None:
    """Write a tiny random Llama with the micro-world's tokenizer, and a manifest."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=347,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=1,
        max_position_embeddings=2 * LONGEST,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    for path in _BASE.iterdir():
        if "token" in path.name or "template" in path.name:
            shutil.copy(path, folder)
    write_manifest(folder)


def write_pool(folder: Path, num_rows: int, scale: float) -> int:
    """Write prompts, traces and a subset of all of them; return the number of shards.

    Args:
        folder: where to.
        num_rows: their number.
        scale: lengths are this share of the paper's.
    """
    ids = [f"{n * 16**32 // num_rows:032x}" for n in range(num_rows)]
    blank = {
        "reference_answer": None,
        "second_answer": None,
        "replay": None,
        "columns": None,
        "source_row": 0,
    }
    write_parquet(
        folder / "prompts.parquet",
        PROMPTS,
        ({"id": each, "question": "Where does she end ?", **blank} for each in ids),
        group_rows=POOL_GROUP_ROWS,
    )
    write_parquet(
        folder / "subset.parquet",
        SUBSET,
        ({"rank": n, "id": each, "score": 1.0} for n, each in enumerate(ids)),
    )
    progress = Progress("traces", num_rows)
    traces = _traces(ids, scale)
    starts = range(0, num_rows, _SHARD_ROWS)
    for number, start in enumerate(starts):
        size = min(_SHARD_ROWS, num_rows - start)
        path = folder / f"shard-{number}.parquet"
        write_parquet(path, TRACES, (next(traces) for _ in range(size)))
        progress.add(size)
    return len(starts)


def _traces(ids: Sequence[str], scale: float) -> Iterator[Row]:
    """Yield traces: pieces of one long text of words that are tokens of the tokenizer."""
    draw = rng("bench scale")
    words = draw.choices(["May", "Where", "So", "Take", "does", "end", "she"], k=200_000)
    text = " ".join(words)
    starts = [0, *accumulate(len(word) + 1 for word in words)]
    normal = generator("bench scale").standard_normal(len(ids))
    lengths = (_MEAN * np.exp(_SPREAD * normal - _SPREAD**2 / 2)).clip(SHORTEST, LONGEST)
    for row_id, length in zip(ids, (lengths * scale).astype(int).tolist(), strict=True):
        first = draw.randrange(len(words) - length)
        yield {
            "id": row_id,
            "status": "ok",
            "reasoning": text[starts[first] : starts[first + length] - 1],
            "answer": "So",
            "prompt_tokens": 10,
            "completion_tokens": length,
            "finish_reason": "stop",
            "error": None,
        }
