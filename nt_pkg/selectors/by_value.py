"""By value: any label that is a number decides (ours).

Rows without a number are left out and counted.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from nt_pkg.config.base import Strict
from nt_pkg.selectors._base import Candidates, Picks, Selector
from nt_pkg.selectors._values import among, by_power, by_rank, label_name, numbers, within

if TYPE_CHECKING:  # a start of Snakemake imports the selectors of its study
    import numpy as np

_BOUNDED = ("band", "quantiles")


class ByValueParams(Strict):
    """Which label, and how it decides."""

    label: str = Field(description="Catalogue name of the annotator.")
    field: str | None = Field(None, description="Field of its labels, if they have several.")
    rule: Literal["highest", "lowest", "band", "quantiles", "power"] = Field(
        "highest",
        description="Highest or lowest first; a uniform sample of a band of values, or of a band "
        "of ranks; or kept with probability (value / scale) to the power, at most 1.",
    )
    at_least: float | None = Field(
        None,
        description="Lower end: of a band, a value; of quantiles, the share of the rows below, "
        "such as 0.25.",
    )
    at_most: float | None = Field(
        None, description="Upper end: a value, or the share of the rows up to it."
    )
    scale: float | None = Field(None, gt=0, description="Rule power: a value kept for sure.")
    power: float | None = Field(
        None, description="Rule power: above 0, higher values are kept; below 0, lower ones."
    )

    @model_validator(mode="after")
    def _fits_the_rule(self) -> Self:
        bounds, powers = (self.at_least, self.at_most), (self.scale, self.power)
        if (self.rule in _BOUNDED) != any(each is not None for each in bounds):
            raise ValueError("at_least and at_most: rules band and quantiles take one or both")
        if not all(powers) if self.rule == "power" else any(each is not None for each in powers):
            raise ValueError("scale and power: rule power needs both, and power is not 0")
        if None not in bounds and self.at_least > self.at_most:  # type: ignore[operator]
            raise ValueError(f"at_least {self.at_least} is above at_most {self.at_most}")
        if self.rule == "quantiles" and not all(each is None or 0 <= each <= 1 for each in bounds):
            raise ValueError("at_least and at_most of quantiles are shares, from 0 to 1")
        return self


def select_by_value(params: ByValueParams, candidates: Candidates, size: int, seed: int) -> Picks:
    """Return rows by their value, which is the score; the probability is that of rule power."""
    import numpy as np

    values = numbers(candidates, params.label, params.field)
    known = ~np.isnan(values)
    name = label_name(params.label, params.field)

    def choose(rows: Candidates) -> Picks:
        own = values[known]
        if not len(rows):
            return Picks(np.empty(0, int), own)
        if params.rule == "power":
            return _by_power(params, name, rows, own, size, seed)
        if params.rule in _BOUNDED:
            picks = _within(params, name, rows, own, size, seed)
        else:
            picks = by_rank(rows, own, size, seed, params.rule == "highest")
        return replace(picks, scores=own[picks.positions])

    return among(candidates, known, f"a number in {name}", choose)


def _by_power(
    params: ByValueParams, name: str, rows: Candidates, values: "np.ndarray", size: int, seed: int
) -> Picks:
    assert params.scale is not None
    assert params.power is not None
    if values.min() < 0:
        raise ValueError(
            f"label {name} has the value {values.min():g}, and rule power takes none below 0: take "
            "highest, lowest, a band or quantiles"
        )
    return by_power(rows, values, params.scale, params.power, size, seed)


def _within(
    params: ByValueParams, name: str, rows: Candidates, values: "np.ndarray", size: int, seed: int
) -> Picks:
    import numpy as np

    lowest, highest = params.at_least, params.at_most
    if params.rule == "quantiles":
        # Values that occur, not ones in between: equal rows are on one side.
        lowest, highest = (
            None if share is None else float(np.quantile(values, share, method="inverted_cdf"))
            for share in (lowest, highest)
        )
    words = [
        f"{word} {bound:g}"
        for word, bound in (("at least", lowest), ("at most", highest))
        if bound is not None
    ]
    bounds = (-np.inf if lowest is None else lowest, np.inf if highest is None else highest)
    return within(rows, values, bounds, size, seed, f"{name} {' and '.join(words)}")


SELECTOR = Selector(
    params=ByValueParams, requires=lambda params: (params.label,), select=select_by_value
)
