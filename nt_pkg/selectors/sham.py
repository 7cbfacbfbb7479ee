"""Sham: rows with a label that knows nothing, as a negative control (ours).

The label is a digest of the id and a salt, so half of any pool has it, whatever the rows hold. A
study in which this selector beats a random one, or loses to it, finds what is not there.

The half is the same at every seed, as that of a real rule is: chance in which rows it holds counts,
as it does for a real rule.
"""

from pydantic import Field

from nt_pkg.config.base import Strict
from nt_pkg.identity.seeds import digest_ints
from nt_pkg.selectors._base import Candidates, Picks, Selector, in_random_order


class ShamParams(Strict):
    """Which of the many labels that know nothing."""

    salt: int = Field(0, ge=0, description="Another number is another label (ours).")


def select_sham(params: ShamParams, candidates: Candidates, size: int, seed: int) -> Picks:
    """Return a uniform sample of the rows that have the label."""
    draws = digest_ints(candidates.ids.to_pylist(), "sham", params.salt)
    return in_random_order(candidates, draws % 2 == 0, size, seed, "the label of the sham")


SELECTOR = Selector(params=ShamParams, requires=(), select=select_sham)
