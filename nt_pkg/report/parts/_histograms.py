"""Histograms of pools and subsets: their sums, and as shares."""

from collections.abc import Mapping, Sequence

from nt_pkg.report.records import Counts, Histogram, Histograms, Subset


def group_draws(subsets: Sequence[Subset]) -> dict[str, list[Subset]]:
    """Return the draws of every subset in the order given."""
    draws: dict[str, list[Subset]] = {}
    for subset in subsets:
        draws.setdefault(subset.subset, []).append(subset)
    return draws


def add_histograms(parts: Sequence[Histograms]) -> Histograms:
    """Return the sum of histograms by name; those of tokens must have the same bins."""
    lengths = [part.num_tokens for part in parts if part.num_tokens]
    return Histograms(
        num_tokens=_add_bins(lengths) if lengths else None,
        domain=_add_counts([part.domain for part in parts]),
        strategies=_add_counts([part.strategies for part in parts]),
    )


def share_domains(histograms: Histograms) -> dict[str, float]:
    """Return shares of examples by domain; they sum to one."""
    return _divide(histograms.domain, sum(histograms.domain.values()))


def share_strategies(histograms: Histograms, number: int) -> dict[str, float]:
    """Return shares of examples by strategy; an example has several.

    Every counted row has a length; without lengths, `number` is the number of examples.
    """
    lengths = histograms.num_tokens
    return _divide(histograms.strategies, (sum(lengths.counts) if lengths else 0) or number)


def _divide(counts: Counts, number: int) -> dict[str, float]:
    return {name: count / number for name, count in counts.items()} if number else {}


def _add_bins(found: Sequence[Histogram]) -> Histogram:
    edges = found[0].edges
    assert all(each.edges == edges for each in found), "bins of one subset differ"
    return Histogram(edges, [sum(each) for each in zip(*(f.counts for f in found), strict=True)])


def _add_counts(found: Sequence[Mapping[str, int]]) -> dict[str, int]:
    keys = sorted({key for each in found for key in each})
    return {key: sum(each.get(key, 0) for each in found) for key in keys}
