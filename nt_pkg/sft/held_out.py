"""Examples that a training measures its loss on and does not learn from."""

from collections.abc import Sequence
from typing import Any

from nt_pkg.sft.examples import Examples


def check_apart(examples: Examples, held_out: Examples) -> None:
    """Check that no held-out example is trained on.

    Raises:
        ValueError: some are; the message names one.
    """
    trained = {examples.name(number) for number in range(len(examples))}
    both = [n for n in map(held_out.name, range(len(held_out))) if n in trained]
    if both:
        raise ValueError(
            f"{len(both)} of the {len(held_out)} held-out examples are also trained on, such as "
            f"{both[0]}: remove these rows from one of the two pools"
        )


def held_out_record(held_out: Examples, losses: Sequence[float]) -> dict[str, Any]:
    """Return what `run.json` says: the loss per response token before and after the training."""
    before, after = losses
    return {
        "num_examples": len(held_out),
        "num_loss_tokens": int(held_out.loss_lengths.sum()),
        "loss_before": round(before, 6),
        "loss_after": round(after, 6),
    }
