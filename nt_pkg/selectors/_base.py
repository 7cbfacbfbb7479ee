"""What a selector is, and the sampling that several of them share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from nt_pkg.config import Strict
from nt_pkg.seeds import digest_int, order_key


@dataclass(frozen=True)
class Candidate:
    """A complete trace with the labels that the selector asked for, by annotator name."""

    id: str
    labels: dict[str, Any]


@dataclass(frozen=True)
class Picked:
    """A chosen row; the score says why it was chosen, in the selector's own terms."""

    id: str
    score: float


@dataclass(frozen=True)
class Selector:
    """A rule that chooses `size` of the candidates.

    `select(params, candidates, size, seed)` returns at least `size` picks, best first, or fewer
    where the rule allows no more. It is deterministic for a seed whatever the order of the
    candidates, and a smaller size is a prefix of a larger one.
    """

    params: type[Strict]
    requires: tuple[str, ...]
    select: Callable[[Any, Sequence[Candidate], int, int], list[Picked]]


class NoParams(Strict):
    """For selectors without parameters."""


def keep_with_probability(
    candidates: Sequence[Candidate],
    probability: Callable[[Candidate], float],
    size: int,
    seed: int,
) -> list[Picked]:
    """Return rows kept independently with their probability, in random order.

    If fewer than `size` are kept, those that came nearest to being kept follow.
    """
    kept: list[tuple[tuple[int, float], Picked]] = []
    for candidate in candidates:
        chance = probability(candidate)
        draw = digest_int("keep", seed, candidate.id) / 2**64
        if draw < chance:
            key = (0, float(order_key(seed, candidate.id)))
        else:
            key = (1, draw / chance if chance > 0 else float("inf"))
        kept.append((key, Picked(candidate.id, chance)))
    kept.sort(key=lambda each: (each[0], each[1].id))
    return [picked for _, picked in kept[:size]]


def in_random_order(candidates: Sequence[Candidate], size: int, seed: int) -> list[Picked]:
    """Return `size` candidates drawn uniformly; smaller sizes are prefixes of larger ones."""
    ordered = sorted(candidates, key=lambda candidate: order_key(seed, candidate.id))
    return [Picked(candidate.id, 1.0) for candidate in ordered[:size]]
