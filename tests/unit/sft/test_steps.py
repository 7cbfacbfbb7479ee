"""Which examples an optimiser step sees."""

import math
from collections import Counter

import pytest

from nt_pkg.config.students import Training
from nt_pkg.identity.seeds import rng
from nt_pkg.sft.packing import plan_steps


@pytest.mark.parametrize("seed", range(6))
def test_every_example_once_per_epoch_in_rows_that_fit(seed: int) -> None:
    draw = rng("steps", seed)
    lengths = [draw.randint(1, 40) for _ in range(draw.randint(1, 90))]
    losses = [draw.randint(1, length) for length in lengths]
    training = Training(
        row_tokens=40, tokens_per_step=draw.choice([1, 40, 170, 9999]), epochs={0: 3}
    )

    steps = plan_steps(lengths, losses, training, seed)

    packed = [row for step in steps for row in step.rows]
    assert Counter(e for row in packed for e in row.examples) == dict.fromkeys(
        range(len(lengths)), 3
    )
    for row in packed:
        assert row.num_tokens == sum(lengths[e] for e in row.examples) <= 40
    most = max(1, training.tokens_per_step // 40)
    for step in steps:
        assert 1 <= len(step.rows) <= most
        assert step.num_loss_tokens == sum(losses[e] for row in step.rows for e in row.examples)
    assert plan_steps(lengths, losses, training, seed) == steps


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    training = Training(row_tokens=10, tokens_per_step=10, epochs={0: 2})
    one, other = (plan_steps([10] * 20, [1] * 20, training, seed) for seed in (0, 1))

    assert one != other
    assert one[:20] != one[20:]


def test_packing_wastes_little() -> None:
    draw = rng("waste")
    lengths = [draw.randint(5, 60) for _ in range(500)]
    training = Training(row_tokens=128, tokens_per_step=128, epochs={0: 1})

    num_rows = len(plan_steps(lengths, lengths, training, 0))

    assert num_rows <= 1.05 * math.ceil(sum(lengths) / 128)
