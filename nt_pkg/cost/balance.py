"""How much of their time the ranks of a training compute, before it runs."""

from functools import cache

from nt_pkg.config.students import Runtime, Training
from nt_pkg.cost.decoder_shape import Shape

_NUM_EXAMPLES = 4_000  # at 400,000 tokens a step, 44 steps


@cache
def balance(shape: Shape, tokens_per_step: int, runtime: Runtime, mean: float) -> float:
    """Return the share of the ranks' time in which they do not wait for the slowest one.

    The trainer's own planner is asked for the steps of examples whose lengths are spread like those
    that are known of R1's traces (`assumed_lengths`).

    Args:
        shape: of the student.
        tokens_per_step: of its training.
        runtime: its ranks and micro-batches.
        mean: tokens of an example on average.
    """
    from nt_pkg.packing.balance import assumed_lengths, efficiency

    lengths = assumed_lengths(_NUM_EXAMPLES, mean)
    training = Training(tokens_per_step=tokens_per_step, epochs={0: 1})
    return efficiency(lengths, shape.document_flops(lengths), training, runtime)
