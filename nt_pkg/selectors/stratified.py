"""Stratified: the same number of rows for every name that a label gives (ours).

`topics` is the same with the label `domain`. Rows without a name are left out and counted.
"""

from pydantic import Field

from nt_pkg.config.base import Strict
from nt_pkg.selectors._base import Candidates, Picks, Selector, groups_in_turns
from nt_pkg.selectors._values import among, label_name, names


class StratifiedParams(Strict):
    """Whose label."""

    label: str = Field(description="Catalogue name of the annotator; its labels are text.")
    field: str | None = Field(None, description="Field of its labels, if they have several.")


def select_stratified(
    params: StratifiedParams, candidates: Candidates, size: int, seed: int
) -> Picks:
    """Return one random row of each name in turn; a name that runs out drops out."""
    import numpy as np

    codes, groups = names(candidates, params.label, params.field)
    known = codes >= 0

    def choose(rows: Candidates) -> Picks:
        every = np.ones(len(rows), bool)
        return groups_in_turns(rows, codes[known], groups, every, size, seed)

    name = label_name(params.label, params.field)
    return among(candidates, known, f"a name in {name}", choose)


SELECTOR = Selector(
    params=StratifiedParams, requires=lambda params: (params.label,), select=select_stratified
)
