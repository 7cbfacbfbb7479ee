"""OpenThoughts3: 75,000 questions with 16 answers of QwQ-32B each.

Data: open-thoughts/OpenThoughts3-1.2M (Apache-2.0), 1,200,000 rows of mathematics, code and
science, a baseline of the paper (table 1). Example row:

    {"difficulty": 8, "source": "...", "domain": "math", "conversations": [{"from": "human",
     "value": "Find x."}, {"from": "gpt", "value": "<think> Okay ... </think> It is 4."}]}

One answer to each question is kept and the others are dropped as `other_answer`. With
`answer: all` every answer becomes a prompt. About 62 % of the answers were cut at 16k tokens,
inside their reasoning (counted by a third party). The paper trains only on complete answers, so
these are dropped first, as `unclosed_reasoning`, and another answer to the question can be kept.
With `unclosed: keep` they stay and become incomplete traces. There are no reference answers.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from nt_pkg.dialogue.split_reasoning import split_reasoning
from nt_pkg.identity.question_id import question_id
from nt_pkg.pools._base import PoolKind, RawRow
from nt_pkg.pools._files import DefectError, Fields, FileParams, RowTexts, exchange_of, file_rows


class Params(FileParams):
    """Parameters of an OpenThoughts3 pool."""

    answer: int | Literal["all"] = Field(
        default=0,
        description="which answer to a question to keep, counted from 0 in the order of rows "
        "(questions with fewer answers are dropped), or all",
    )
    unclosed: Literal["drop", "keep"] = Field(
        default="drop", description="whether to drop or keep answers whose reasoning never ends"
    )

    @field_validator("answer")
    @classmethod
    def _counts_from_0(cls, answer: int | str) -> int | str:
        if isinstance(answer, int) and answer < 0:
            raise ValueError("answers are counted from 0")
        return answer


def rows(params: Params, source: Path | None) -> Iterator[RawRow]:
    """Yield the rows of all files, in the order of their names.

    One row of each question is usable, or with `answer: all` every complete one.

    Raises:
        ValueError: the folder has no file to read, or a Parquet file is truncated.
    """

    def take(fields: Fields) -> RowTexts:
        question, answer = exchange_of(fields["conversations"])
        if params.unclosed == "drop" and not split_reasoning(answer or "").is_closed:
            raise DefectError("unclosed_reasoning")
        return RowTexts(question, replay=answer)

    num_answers: Counter[str] = Counter()
    dataset = "open-thoughts/OpenThoughts3-1.2M"
    for row in file_rows(dataset, ("conversations",), take, source, params.max_rows):
        try:
            key = "" if row.defect else question_id(row.question)
        except UnicodeEncodeError:  # ingestion drops it
            key = ""
        if not key or num_answers[key] == params.answer:
            yield row
        elif params.answer == "all":
            yield row._replace(copy=num_answers[key])
        else:
            yield RawRow(row.source_row, row.question, defect="other_answer")
        num_answers[key] += 1


POOL = PoolKind(params=Params, rows=rows, needs_source=True)
