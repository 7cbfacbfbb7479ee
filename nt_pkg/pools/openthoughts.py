"""OpenThoughts-114k: questions of mathematics, code, science and puzzles, with R1's traces.

Data: open-thoughts/OpenThoughts-114k (Apache-2.0), 113,957 rows. Reads either of its two
configurations and recognises them by their columns. Example rows of `default` and `metadata`:

    {"system": "...", "conversations": [{"from": "user", "value": "Find x."}, {"from": "assistant",
     "value": "<|begin_of_thought|> ... <|end_of_thought|> <|begin_of_solution|> ..."}]}
    {"problem": "Find x.", "deepseek_reasoning": "Okay ...", "deepseek_solution": "It is 4.",
     "ground_truth_solution": "4", "domain": "math"}

Fetch one of the two: `hub_files: ["data/*"]` or `["metadata/*"]`. Only `metadata` has reference
answers. The system prompt asks for the markers and is left out.
"""

from collections.abc import Iterator
from pathlib import Path

from nt_pkg.pools._base import PoolKind, RawRow
from nt_pkg.pools._files import (
    Fields,
    FileParams,
    RowTexts,
    exchange_of,
    file_rows,
    question_of,
    text_of,
    trace_of,
)


class Params(FileParams):
    """Parameters of an OpenThoughts pool."""


def rows(params: Params, source: Path | None) -> Iterator[RawRow]:
    """Yield the rows of all files, in the order of their names.

    Raises:
        ValueError: the folder has no file to read, or a Parquet file is truncated.
    """
    columns = (
        *("conversations", "problem", "deepseek_reasoning"),
        *("deepseek_solution", "ground_truth_solution"),
    )
    return file_rows("open-thoughts/OpenThoughts-114k", columns, _take, source, params.max_rows)


def _take(fields: Fields) -> RowTexts:
    if "conversations" in fields:
        question, answer = exchange_of(fields["conversations"])
        return RowTexts(question, replay=answer)
    return RowTexts(
        question_of(fields.get("problem")),
        text_of(fields["ground_truth_solution"]),
        replay=trace_of(fields["deepseek_reasoning"], fields["deepseek_solution"]),
    )


POOL = PoolKind(params=Params, rows=rows, needs_source=True)
