"""Questions that are asked several times: each time is a prompt, and so a row of its own."""

from collections.abc import Iterable, Iterator
from itertools import groupby

from nt_pkg.files.schemas import Row
from nt_pkg.identity.question_id import question_digits, sample_id


def repeat_prompts(prompts: Iterable[Row], samples: int) -> Iterator[Row]:
    """Yield every prompt `samples` times, each with an id of its own, ordered by id.

    The first keeps its id. The others are in the same shard, and do not depend on `samples`: with
    more of them, earlier ones stay what they are.

    Args:
        prompts: rows ordered by id.
        samples: how often each is asked.
    """
    for _, same in groupby(prompts, key=lambda row: question_digits(str(row["id"]))):
        rows = [
            {**row, "id": sample_id(str(row["id"]), sample)}
            for row in same
            for sample in range(samples)
        ]
        yield from sorted(rows, key=lambda row: str(row["id"]))
