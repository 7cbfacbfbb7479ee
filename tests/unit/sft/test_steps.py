"""Which examples an optimiser step sees."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from nt_pkg.config.students import Training
from nt_pkg.identity.seeds import generator
from nt_pkg.packing.steps import Steps


def plan(lengths: list[int], tokens_per_step: int, epochs: int, seed: int = 0) -> Steps:
    training = Training(tokens_per_step=tokens_per_step, epochs={0: epochs})
    return Steps(lengths, [length - 1 for length in lengths], training, seed)


@pytest.mark.parametrize("tokens_per_step", [1, 40, 170, 9999])
@pytest.mark.parametrize("seed", range(4))
def test_every_example_once_per_epoch_in_steps_cut_by_tokens(
    seed: int, tokens_per_step: int
) -> None:
    draw = generator("steps", seed)
    lengths = draw.integers(1, 40, draw.integers(1, 90)).tolist()

    steps = plan(lengths, tokens_per_step, 3, seed)

    stream = [example for step in steps for example in step.examples.tolist()]
    assert len(stream) == 3 * len(lengths)
    for epoch in range(3):  # in an order of its own
        assert sorted(stream[epoch * len(lengths) :][: len(lengths)]) == list(range(len(lengths)))
    begin = 0
    for step in steps:
        assert step.num_tokens == sum(lengths[e] for e in step.examples)
        assert step.num_loss_tokens == step.num_tokens - len(step.examples)
        last = begin + step.num_tokens - lengths[step.examples[-1]]
        assert begin // tokens_per_step == last // tokens_per_step  # where examples begin
        begin += step.num_tokens
    assert steps.num_tokens == begin == 3 * sum(lengths)
    assert steps.num_loss_tokens == sum(step.num_loss_tokens for step in steps)


def test_a_step_has_the_tokens_that_were_asked_for() -> None:
    lengths = generator("tokens").integers(5, 60, 500).tolist()
    steps = plan(lengths, 1000, 2)

    assert len(steps) == -(-2 * sum(lengths) // 1000)
    assert all(abs(step.num_tokens - 1000) < 60 for step in steps[:-1])


def test_steps_end_with_an_epoch_only_by_chance() -> None:
    """Else every epoch would end in a step of few tokens at the full learning rate."""
    assert [len(step.examples) for step in plan([10] * 5, 30, 3)] == [3, 3, 3, 3, 3]


def test_an_example_longer_than_a_step_leaves_no_step_empty() -> None:
    steps = plan([100, 100, 1], 30, 2)

    assert Counter(len(step.examples) for step in steps).keys() == {1, 2}
    assert sum(len(step.examples) for step in steps) == 6


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    one, other = (plan([10] * 20, 10, 2, seed) for seed in (0, 1))
    orders = [[int(step.examples[0]) for step in part] for part in (one[:20], one[20:], other[:20])]

    assert all(sorted(order) == list(range(20)) for order in orders)
    assert all(a != b for a, b in pairwise([*orders, orders[0]]))
    again = plan([10] * 20, 10, 2)
    assert all(np.array_equal(a.examples, b.examples) for a, b in zip(one, again, strict=True))


def test_half_a_million_examples_take_little_memory() -> None:
    lengths = np.full(500_000, 4_500, dtype=np.int32)
    steps = Steps(lengths, lengths, Training(), 0)

    assert len(steps) == 45_000
    assert steps._order.nbytes + steps._bounds.nbytes < 20e6


def test_cosine_falls_to_a_twentieth_after_the_warm_up() -> None:
    """Hand-made: 100 steps of 1e-3 at most, of which 10 warm up."""
    training = Training(learning_rate=1e-3, schedule="cosine", warmup_steps=10)
    rates = [training.rate(step, 100) for step in range(1, 101)]

    assert rates[0] == pytest.approx(1e-4)
    assert max(rates) < 1e-3
    assert rates[-1] == pytest.approx(5e-5)
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert training.rate(1, 1) == pytest.approx(1e-4)
    constant = Training(learning_rate=1e-3, warmup_steps=10)
    assert [constant.rate(step, 100) for step in (1, 10, 100)] == pytest.approx([1e-4, 1e-3, 1e-3])
