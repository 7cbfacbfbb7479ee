"""Counts of lengths in bins that double."""

from collections.abc import Sequence


def token_histogram(tokens: Sequence[int]) -> dict[str, list[int]]:
    """Return counts in bins [edge, next edge) whose edges are 0 and the powers of two."""
    num_bins = max((count.bit_length() for count in tokens), default=0) + 1
    counts = [0] * num_bins
    for count in tokens:
        counts[count.bit_length()] += 1
    return {"edges": [0, *(2**power for power in range(num_bins))], "counts": counts}
