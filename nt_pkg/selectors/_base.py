"""What a selector is, and the sampling that several of them share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nt_pkg.config.base import Strict
from nt_pkg.identity.seeds import digest_ints, order_keys

if TYPE_CHECKING:  # a start of Snakemake imports the selectors of its study
    import numpy as np
    import pyarrow as pa

IDLE = 0.01  # a condition that fewer rows fulfil, or fail, decides next to nothing


@dataclass(frozen=True)
class Candidates:
    """Complete traces with the labels that the selector asked for, as columns ordered by id."""

    ids: "pa.Array"
    labels: "Mapping[str, pa.Array]"  # by annotator name, typed by the values
    near: "Candidates | None" = None  # labelled questions that rows are chosen near to

    def __len__(self) -> int:
        """Return the number of candidates."""
        return len(self.ids)

    def label(self, annotator: str, field: str | None = None) -> "np.ndarray":
        """Return the labels of an annotator, or one field of them, shape (n,)."""
        column = self.labels[annotator]
        if field is not None:
            column = column.field(field)
        values: np.ndarray = column.to_numpy(zero_copy_only=False)
        return values

    def codes(self, annotator: str) -> "tuple[np.ndarray, list[str]]":
        """Return, for labels that are text, the number of each row's label, and the labels."""
        return codes_of(self.labels[annotator])

    def num_distinct(self, annotator: str, name_of: Callable[[str], str] = str) -> "np.ndarray":
        """Return how many different names each label has, for labels that are lists, shape (n,).

        Args:
            annotator: whose labels.
            name_of: gives items that count as one the same name; by default each is its own.
        """
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        column = self.labels[annotator]
        items = pc.list_flatten(column).cast(pa.string()).dictionary_encode()
        rows = pc.list_parent_indices(column).to_numpy(zero_copy_only=False).astype(np.int64)
        numbers: dict[str, int] = {}
        kinds = items.dictionary.to_pylist()
        of_kind = [numbers.setdefault(name_of(kind), len(numbers)) for kind in kinds]
        names = np.array(of_kind, np.int64)[items.indices.to_numpy(zero_copy_only=False)]
        num_names = max(len(numbers), 1)
        # Sorted by hand: np.unique hashes, which is slow for millions.
        pairs = np.sort(rows * num_names + names)
        is_new = np.diff(pairs, prepend=-1) != 0
        return np.bincount(pairs[is_new] // num_names, minlength=len(self))

    def order(self, seed: int) -> "np.ndarray":
        """Return a draw per row, to sort by, that no other row influences, shape (n,)."""
        return order_keys(seed, self.ids.to_pylist())


@dataclass(frozen=True)
class Picks:
    """Chosen rows, best first; a score says why a row was chosen, in the selector's own terms."""

    positions: "np.ndarray"  # among the candidates, shape (k,)
    scores: "np.ndarray"  # shape (k,)
    counts: Mapping[str, int] = field(default_factory=dict)  # counts for the manifest
    conditions: Mapping[str, int] = field(default_factory=dict)  # candidates that fulfil each
    unusable: Mapping[str, int] = field(default_factory=dict)  # candidates left out, by reason


@dataclass(frozen=True)
class Selector:
    """A rule that chooses `size` of the candidates.

    `select(params, candidates, size, seed)` returns at least `size` picks, best first, or fewer
    if the rule allows no more. It is deterministic for a seed, and a smaller size is a prefix of
    a larger one. Candidates come ordered by id, so that the order and the sharding of the files
    do not matter. If the rule treats rows that fulfil a condition differently, `conditions` counts
    them, so that one which nearly all or no rows fulfil is reported.

    `requires`: names of the annotators whose labels it needs; a function of the parameters, if they
    name them.
    `needs_near`: whether the subset has to name a pool in `near`, whose labels are
    `candidates.near`.
    """

    params: type[Strict]
    requires: tuple[str, ...] | Callable[[Any], tuple[str, ...]]
    select: Callable[[Any, Candidates, int, int], Picks]
    needs_near: bool = False

    def needs(self, params: Mapping[str, Any]) -> list[str]:
        """Return the annotators that it needs with some parameters, which are valid, sorted."""
        if isinstance(self.requires, tuple):
            return sorted(self.requires)
        return sorted(set(self.requires(self.params(**params))))


def codes_of(column: "pa.Array") -> "tuple[np.ndarray, list[str]]":
    """Return, for a column of text, the number of each row's text, and the texts."""
    found = column.dictionary_encode()
    return found.indices.to_numpy(zero_copy_only=False), found.dictionary.to_pylist()


def idle_conditions(conditions: Mapping[str, int], num_rows: int) -> list[str]:
    """Return a line on each condition that decides next to nothing: nearly all rows are alike.

    Args:
        conditions: rows that fulfil each condition, by what it says of a row.
        num_rows: all rows.
    """
    return [
        f"{condition}: true of {count:,} of {num_rows:,} rows"
        for condition, count in conditions.items()
        if not IDLE * num_rows <= count <= (1 - IDLE) * num_rows
    ]


def keep_with_probability(
    candidates: Candidates, chances: "np.ndarray", size: int, seed: int
) -> Picks:
    """Return rows kept independently with their probability, in random order.

    If fewer than `size` are kept, those that were nearest to being kept follow.

    Args:
        candidates: the rows.
        chances: probability of each, shape (n,).
        size: rows that are asked for.
        seed: seed of the draw.
    """
    import numpy as np

    draws = digest_ints(candidates.ids.to_pylist(), "keep", seed).astype(float) / 2**64
    is_kept = draws < chances
    missed_by = np.divide(draws, chances, out=np.full(len(draws), np.inf), where=chances > 0)
    keys = np.where(is_kept, candidates.order(seed).astype(float), missed_by)
    positions = np.lexsort((keys, ~is_kept))[:size]
    return Picks(positions, chances[positions])


def in_random_order(
    candidates: Candidates, among: "np.ndarray", size: int, seed: int, condition: str = ""
) -> Picks:
    """Return `size` of some rows drawn uniformly; smaller sizes are prefixes of larger ones.

    Args:
        candidates: the rows.
        among: whether a row may be drawn, shape (n,).
        size: rows that are asked for.
        seed: seed of the draw.
        condition: what those rows have in common, if it is the selector's condition.
    """
    import numpy as np

    chosen = np.flatnonzero(among)
    positions = chosen[np.argsort(candidates.order(seed)[chosen], kind="stable")][:size]
    conditions = {condition: int(among.sum())} if condition else {}
    return Picks(positions, np.ones(len(positions)), conditions=conditions)


def in_turns(
    candidates: Candidates, annotator: str, among: "np.ndarray", size: int, seed: int
) -> Picks:
    """Return one random row of each group in turn; an exhausted group is skipped.

    The score is one over the size of the group.

    Args:
        candidates: the rows.
        annotator: whose label, a text, is the group.
        among: whether a row may be drawn, shape (n,).
        size: rows that are asked for.
        seed: seed of the draw.
    """
    codes, groups = candidates.codes(annotator)
    return groups_in_turns(candidates, codes, groups, among, size, seed)


def groups_in_turns(
    candidates: Candidates,
    codes: "np.ndarray",
    groups: Sequence[str],
    among: "np.ndarray",
    size: int,
    seed: int,
    worth: "np.ndarray | None" = None,
) -> Picks:
    """Return the same as `in_turns` for groups that are known.

    Args:
        candidates: the rows.
        codes: number of each row's group, shape (n,); of no meaning where a row may not be drawn.
        groups: names of the groups, which the draw of their order goes by.
        among: whether a row may be drawn, shape (n,).
        size: rows that are asked for.
        seed: seed of the draw.
        worth: a group gives the row with the largest first, and draws between equals, shape (n,).
    """
    import numpy as np

    chosen = np.flatnonzero(among)
    draws = candidates.order(seed)[chosen]
    ranks = np.zeros(len(chosen)) if worth is None else -worth[chosen]
    chosen = chosen[np.lexsort((draws, ranks, codes[chosen]))]
    counts = np.bincount(codes[chosen], minlength=len(groups))
    starts = np.cumsum(counts) - counts
    turns = np.arange(len(chosen)) - starts[codes[chosen]]
    group_keys = order_keys(seed, groups)[codes[chosen]]
    positions = chosen[np.lexsort((group_keys, turns))][:size]
    return Picks(positions, 1 / counts[codes[positions]])
