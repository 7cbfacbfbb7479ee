"""The micro-world's pool: generated questions with exact answers, without test questions.

Needs no files. Example row: question "Bob drifts from Monday with ember and gale. Where does he
land?", reference_answer "Thursday", second_answer (a weaker model's, often wrong) "Sunday".
"""

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from nt_pkg.config.base import Strict
from nt_pkg.microworld.world import pool_rows
from nt_pkg.pools._base import PoolKind, RawRow


class Params(Strict):
    """Parameters of the micro-world's pool."""

    num_rows: int = Field(default=4000, ge=1, le=200_000, description="number of questions")
    seed: int = Field(default=0, ge=0, description="seed of the questions")


def rows(params: Params, source: Path | None) -> Iterator[RawRow]:
    """Yield `num_rows` different questions; a larger number only adds rows."""
    assert source is None, "the micro-world is generated and has no files"
    for index, row in enumerate(pool_rows(params.num_rows, params.seed)):
        yield RawRow(
            source_row=index,
            question=str(row["question"]),
            reference_answer=str(row["reference_answer"]),
            second_answer=str(row["second_answer"]),
        )


POOL = PoolKind(params=Params, rows=rows, needs_source=False)
