"""Subsets whose size is asked for in tokens of the teacher."""

from typing import Any

import pyarrow as pa
import pytest

from nt_pkg.config.study import Subset
from nt_pkg.plan.study_plan import Plan
from nt_pkg.plan.validate import load_study
from nt_pkg.subsets.select import select_subset
from tests.unit.test_config import Config

LENGTHS = [50, 10, 30, 20, 40]
TRACES = pa.table(
    {
        "id": [f"row{at}" for at in range(5)],
        "status": ["ok"] * 5,
        "completion_tokens": pa.array(LENGTHS, pa.int64()),
    }
)


def pick(size: int, tokens: int | None) -> tuple[list[str], dict[str, Any]]:
    rows, counts = select_subset("random", {}, size, 3, TRACES, {}, None, tokens)
    return [row["id"] for row in rows], counts


def test_rows_are_taken_best_first_as_long_as_they_fit() -> None:
    order, _ = pick(5, None)
    lengths = [LENGTHS[int(each[-1])] for each in order]

    for number in range(1, 6):
        enough = sum(lengths[:number])
        almost_more = enough + lengths[number] - 1 if number < 5 else enough
        for tokens in (enough, almost_more):
            found, counts = pick(5, tokens)
            assert found == order[:number]
            assert counts["tokens"] == enough
    assert "tokens" not in pick(5, None)[1]


@pytest.mark.parametrize(
    ("size", "tokens", "message"),
    [
        (5, 151, "5 rows with 150 tokens of the teacher, and 151 were asked for"),
        (5, 1000, "5 rows with 150 tokens of the teacher, and 1000 were asked for"),
        (1, 149, "raise `size`"),
        (5, 1, "the first trace alone has more than 1 tokens"),
    ],
)
def test_a_budget_that_the_rows_do_not_meet_is_an_error(
    size: int, tokens: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        pick(size, tokens)


def test_epochs_are_named(demo: Config) -> None:
    entry = {"pool": "micro", "teacher": "micro-teacher", "selector": "random", "size": 300}
    with pytest.raises(ValueError, match="`tokens` needs `epochs`"):
        Subset(**entry, tokens=5)
    before = Plan(load_study(demo)).train_spec("micro-llama", "random-300")
    demo["subsets"]["random-300"] |= {"tokens": 9000, "epochs": 7}
    plan = Plan(load_study(demo))

    assert plan.train_spec("micro-llama", "random-300") != before
    assert '"epochs":{"0":7}' in plan.train_spec("micro-llama", "random-300")
    assert '"tokens":9000' in plan.subset_spec("random-300")
    assert "tokens" not in plan.subset_spec("random-100")
