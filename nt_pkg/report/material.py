"""What tables and figures draw from: the records of a study, and what was worked out of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from nt_pkg.report.cells import Cell
from nt_pkg.report.changes.records import Changes
from nt_pkg.report.claims import JudgedClaim
from nt_pkg.report.records import Effect, Inputs


@dataclass(frozen=True)
class Material(Inputs):
    """The records of a study, with its cells, effects and claims.

    `changes` is what changed since an earlier report; None: there is none to compare with.
    """

    cells: Sequence[Cell] = ()
    effects: Sequence[Effect] = ()
    claims: Sequence[JudgedClaim] = ()
    changes: Changes | None = None

    @property
    def benchmarks(self) -> list[str]:
        """The benchmarks of the study, sorted."""
        return sorted({cell.benchmark for cell in self.cells})
