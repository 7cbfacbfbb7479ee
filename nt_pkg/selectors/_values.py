"""Labels that are numbers or names, and rules by them that several selectors share."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from nt_pkg.selectors._base import (
    Candidates,
    Picks,
    codes_of,
    in_random_order,
    keep_with_probability,
)

if TYPE_CHECKING:  # a start of Snakemake imports the selectors of its study
    import numpy as np
    import pyarrow as pa


def label_name(label: str, field: str | None) -> str:
    """Return how messages call a label, or one field of it."""
    return label if field is None else f"{label}.{field}"


def numbers(candidates: Candidates, label: str, field: str | None) -> "np.ndarray":
    """Return labels that are numbers, or true (1) and false (0), shape (n,); NaN where none is.

    Raises:
        ValueError: the labels are of another kind, or have no such field.
    """
    import numpy as np
    import pyarrow as pa

    column = _column(candidates, label, field)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    known = (pa.types.is_integer, pa.types.is_floating, pa.types.is_null)
    if not any(is_of(column.type) for is_of in known):
        raise ValueError(
            f"label {label_name(label, field)} is no number but {_kind(column.type)}: selector "
            "`stratified` goes by names, and annotator `column` with `type: number` reads numbers "
            "from texts"
        )
    values: np.ndarray = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.where(np.isfinite(values), values, np.nan)


def names(candidates: Candidates, label: str, field: str | None) -> "tuple[np.ndarray, list[str]]":
    """Return the number of each row's name, shape (n,), -1 where there is none; and the names.

    Whole numbers, true and false are names too.

    Raises:
        ValueError: the labels are of another kind, or have no such field.
    """
    import pyarrow as pa

    column = _column(candidates, label, field)
    kinds = pa.types
    known = (
        kinds.is_string,
        kinds.is_large_string,
        kinds.is_integer,
        kinds.is_boolean,
        kinds.is_null,
    )
    if not any(is_of(column.type) for is_of in known):
        raise ValueError(
            f"label {label_name(label, field)} is no name but {_kind(column.type)}: selectors "
            "`by_value` and `combine` go by numbers, and annotator `column` with `type: text` "
            "makes names of numbers"
        )
    codes, found = codes_of(column.cast(pa.large_string()).fill_null(""))
    codes = codes.copy()
    codes[column.is_null().to_numpy(zero_copy_only=False)] = -1
    return codes, found


def _kind(of: "pa.DataType") -> str:
    """Return what labels of a type are, in words."""
    import pyarrow as pa

    known = {
        "text": pa.types.is_large_string(of) or pa.types.is_string(of),
        "a list": pa.types.is_list(of) or pa.types.is_large_list(of),
        "a number with a fraction": pa.types.is_floating(of),
    }
    return next((word for word, holds in known.items() if holds), str(of))


def _column(candidates: Candidates, label: str, field: str | None) -> "pa.Array":
    """Return the labels of an annotator, or one field of them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = candidates.labels[label]
    fields = [each.name for each in column.type] if pa.types.is_struct(column.type) else []
    if field is None and not fields:
        return column
    if field not in fields:
        has = f"it has {', '.join(fields)}" if fields else "its labels have no fields"
        what = "name one with `field`" if field is None else f"no field {field!r}"
        raise ValueError(f"label {label}: {what}; {has}")
    return pc.struct_field(column, field)


def among(
    candidates: Candidates, known: "np.ndarray", what: str, choose: Callable[[Candidates], Picks]
) -> Picks:
    """Return what a rule picks of the rows with a label; the others are counted.

    Args:
        candidates: the rows.
        known: whether a row has the label, shape (n,).
        what: the label, for the count.
        choose: the rule, which gets those rows alone.
    """
    import numpy as np
    import pyarrow as pa

    kept = np.flatnonzero(known)
    labels = {name: column.take(pa.array(kept)) for name, column in candidates.labels.items()}
    picks = choose(replace(candidates, ids=candidates.ids.take(pa.array(kept)), labels=labels))
    lost = len(known) - len(kept)
    unusable = {f"without {what}": lost} if lost else {}
    return replace(picks, positions=kept[picks.positions], unusable=unusable)


def by_rank(
    candidates: Candidates, values: "np.ndarray", size: int, seed: int, highest: bool
) -> Picks:
    """Return the rows with the highest or the lowest values; the seed decides between equals.

    Args:
        candidates: the rows.
        values: one of each, and the score, shape (n,).
        size: rows that are asked for.
        seed: seed of the draw.
        highest: whether the highest goes first.
    """
    import numpy as np

    ranks = -values if highest else values
    positions = np.lexsort((candidates.order(seed), ranks))[:size]
    return Picks(positions, values[positions])


def within(
    candidates: Candidates,
    values: "np.ndarray",
    bounds: tuple[float, float],
    size: int,
    seed: int,
    condition: str,
) -> Picks:
    """Return a uniform sample of the rows whose value is within bounds, both included.

    Args:
        candidates: the rows.
        values: one of each, shape (n,).
        bounds: the lowest and the highest value.
        size: rows that are asked for.
        seed: seed of the draw.
        condition: what these rows have in common.
    """
    inside = (values >= bounds[0]) & (values <= bounds[1])
    return in_random_order(candidates, inside, size, seed, condition)


def by_power(
    candidates: Candidates,
    values: "np.ndarray",
    scale: float,
    power: float,
    size: int,
    seed: int,
) -> Picks:
    """Return rows kept with probability (value / scale) ** power, at most 1.

    Args:
        candidates: the rows.
        values: one of each, not negative, shape (n,).
        scale: the value from which on a row is kept for sure; with a negative power, up to which.
        power: not 0.
        size: rows that are asked for.
        seed: seed of the draw.
    """
    import numpy as np

    different, rows = np.unique(values, return_inverse=True)
    # Python's power: numpy's differs by the last digit from processor to processor.
    chances = [
        1.0 if power < 0 and value <= scale else min(1.0, (value / scale) ** power)
        for value in different.tolist()
    ]
    return keep_with_probability(candidates, np.array(chances)[rows], size, seed)
