r"""LIMO: 817 questions of competition mathematics with long solutions.

Data: GAIR/LIMO (Apache-2.0), a baseline of the paper (table 1). Example row:

    {"question": "Find x.", "solution": "Okay, so ... \n\n**Final Answer**\n\n\boxed{4}",
     "answer": "4"}

The solution has no tags: it is one long thought that ends in a box. The last paragraph with a box,
with a heading "Final Answer" before it, becomes the answer of the trace, and everything before it
the reasoning. Nothing is added. A solution without a box, or with nothing before it, becomes an
incomplete trace.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from nt_pkg.pools._base import PoolKind, RawRow
from nt_pkg.pools._files import (
    Fields,
    FileParams,
    RowTexts,
    file_rows,
    question_of,
    text_of,
    trace_of,
)

_HEADING = re.compile(r"[#*\s]*final answer[*:\s]*", re.IGNORECASE)


class Params(FileParams):
    """Parameters of a LIMO pool."""


def rows(params: Params, source: Path | None) -> Iterator[RawRow]:
    """Yield the rows of all files, in the order of their names.

    Raises:
        ValueError: the folder has no file to read, or a Parquet file is truncated.
    """
    columns = ("question", "solution", "answer")
    return file_rows("GAIR/LIMO", columns, _take, source, params.max_rows)


def _take(fields: Fields) -> RowTexts:
    question = question_of(fields.get("question"))
    solution, reference = text_of(fields["solution"]), text_of(fields["answer"])
    return RowTexts(question, reference, replay=solution and _trace(solution))


def _trace(solution: str) -> str | None:
    """Return the solution with its last boxed paragraph as the answer, or unchanged without one."""
    box = solution.rfind("\\boxed")
    cut = solution.rfind("\n\n", 0, box) if box >= 0 else -1
    if cut < 0:
        return solution
    heading = solution.rfind("\n\n", 0, cut)
    if heading >= 0 and _HEADING.fullmatch(solution[heading:cut]):
        cut = heading
    return trace_of(solution[:cut].strip(), solution[cut:].strip())


POOL = PoolKind(params=Params, rows=rows, needs_source=True)
