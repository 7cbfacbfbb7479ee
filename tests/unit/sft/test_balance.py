"""Where the examples of a step are computed."""

import numpy as np
import pytest

from nt_pkg.config.students import Runtime, Training
from nt_pkg.cost.decoder_shape import read_shape
from nt_pkg.identity.seeds import generator
from nt_pkg.packing.balance import assumed_lengths, efficiency, micro_batches

Layout = list[list[list[int]]]


def layout(lengths: list[int], num_ranks: int, room: int, sequence_parallel: int = 1) -> Layout:
    """Return the lengths in every part of every micro-batch; the cost is the square."""
    tokens = np.array(lengths)
    runtime = Runtime(
        num_ranks=num_ranks, micro_batch_tokens=room, sequence_parallel=sequence_parallel
    )
    found = micro_batches(tokens, tokens**2.0, runtime)
    return [[tokens[part].tolist() for part in parts] for parts in found]


@pytest.mark.parametrize(
    ("lengths", "num_ranks", "room", "expected"),
    [
        ([3, 4], 1, 10, [[[4, 3]]]),
        ([3, 4], 2, 10, [[[4], [3]]]),
        ([5, 4, 4], 2, 10, [[[4, 4], [5]]]),  # by cost, 32 and 25
        ([7, 7, 2, 2], 1, 10, [[[7, 2]], [[7, 2]]]),
        ([30, 1, 1], 2, 10, [[[30], [1, 1]]]),  # longer than the room: alone
        ([30, 1, 1], 1, 10, [[[30]], [[1, 1]]]),
        ([5], 3, 10, [[[5], [], []]]),  # two ranks only take part
        # What would not have room is not cut but has another micro-batch.
        ([6, 6, 6, 6, 6], 2, 10, [[[6], [6]], [[6], [6]], [[6], []]]),
        # The longest first gives (5, 5, 4) and (6, 4), which take 66 and 52; a swap, 61 and 57.
        ([6, 5, 5, 4, 4], 2, 20, [[[6, 5], [5, 4, 4]]]),
        ([8, 5, 5, 4], 2, 12, [[[8, 4], [5, 5]]]),  # no room for the 4 beside them
        # Long ones share a micro-batch, so that short ones do not wait for them.
        ([9, 9, 1, 1], 2, 9, [[[9], [9]], [[1], [1]]]),
    ],
)
def test_examples_are_placed_by_cost(
    lengths: list[int], num_ranks: int, room: int, expected: Layout
) -> None:
    assert layout(lengths, num_ranks, room) == expected


def test_ranks_that_share_tokens_are_one_place() -> None:
    assert layout([18, 5, 5], 4, 10, sequence_parallel=2) == [[[18], [5, 5]]]


@pytest.mark.parametrize("seed", range(5))
def test_every_example_has_one_place_with_room(seed: int) -> None:
    draw = generator("balance", seed)
    lengths = draw.integers(1, 60, draw.integers(1, 120))
    runtime = Runtime(num_ranks=int(draw.integers(1, 9)), micro_batch_tokens=50)

    found = micro_batches(lengths, lengths * 1.0, runtime)

    parts = [part for each in found for part in each]
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(lengths)))
    assert all(len(each) == runtime.num_ranks for each in found)
    assert all(lengths[part].sum() <= 50 or len(part) == 1 for part in parts)
    slowest = [max(lengths[part].sum() for part in each) for each in found]
    assert slowest == sorted(slowest, reverse=True) and min(slowest) > 0


def test_efficiency_of_known_steps() -> None:
    training = Training(tokens_per_step=40, epochs={0: 1})
    lengths = [10, 10, 10, 10]
    costs = np.ones(4)

    found = [efficiency(lengths, costs, training, Runtime(num_ranks=n)) for n in (1, 2, 3, 4, 8)]

    assert found == pytest.approx([1, 1, 4 / 6, 1, 1 / 2])
    small = Runtime(num_ranks=3, micro_batch_tokens=10)
    assert efficiency(lengths, costs, training, small) == pytest.approx(4 / 6)
    shared = Runtime(num_ranks=8, sequence_parallel=2)
    assert efficiency(lengths, costs, training, shared) == 1


def test_assumed_lengths_are_those_that_are_known() -> None:
    found = assumed_lengths(2000)

    assert found.mean() == pytest.approx(4430, rel=1e-3)
    assert 745 <= found.min() < 760 and 14_000 < found.max() <= 14_600
    assert assumed_lengths(2000, 3000).mean() == pytest.approx(3000, rel=1e-3)


def test_costs_of_lengths_as_examples_have_them_do_not_overflow() -> None:
    shape = read_shape(
        {"hidden_size": 4096, "intermediate_size": 14_336, "num_hidden_layers": 32,
         "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128_256}
    )  # fmt: skip
    lengths = [745, 50_000]

    found = shape.document_flops(np.array(lengths, np.int32))

    assert found.tolist() == pytest.approx([shape.flops([each], each) for each in lengths])
