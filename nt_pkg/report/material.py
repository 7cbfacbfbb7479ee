"""The data of tables and figures: the records of a study, and what is computed from them."""

from collections.abc import Sequence
from dataclasses import dataclass

from nt_pkg.report.cells import Cell
from nt_pkg.report.changes.records import Changes
from nt_pkg.report.gains import Gain, Prediction
from nt_pkg.report.judging import JudgedClaim
from nt_pkg.report.records import Effect, Inputs, Judged


@dataclass(frozen=True)
class Material(Inputs):
    """The records of a study, with its cells, effects and claims.

    `judged` are the verdicts next to the truth, where it is known. `changes` is what changed since
    an earlier report; None if no earlier report was given.
    """

    cells: Sequence[Cell] = ()
    effects: Sequence[Effect] = ()
    claims: Sequence[JudgedClaim] = ()
    judged: Sequence[Judged] = ()
    changes: Changes | None = None
    gains: Sequence[Gain] = ()
    predictions: Sequence[Prediction] = ()

    @property
    def benchmarks(self) -> list[str]:
        """The benchmarks of the study, sorted."""
        return sorted({cell.benchmark for cell in self.cells})
