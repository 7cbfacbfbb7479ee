"""What changed between two reports: a frozen record for each kind of change."""

from dataclasses import dataclass

NOT_ASKED = "not asked"  # in place of the verdict of the report that does not ask


@dataclass(frozen=True, kw_only=True)
class ChangedScore:
    """A score averaged over the seeds that both reports have, and what is behind its change."""

    student: str
    subset: str
    format: str
    benchmark: str
    mode: str
    num_seeds: int
    num_changed: int  # of these seeds
    before: float
    before_error: float | None
    before_tokens: float | None
    now: float
    now_error: float | None
    now_tokens: float | None
    difference: float
    p_value: float | None  # corrected
    basis: str
    low: float | None
    high: float | None
    causes: str
    verdict: str


@dataclass(frozen=True, kw_only=True)
class ChangedVerdict:
    """A comparison or claim whose verdict is another one, or that one report only asks."""

    kind: str
    name: str
    before: str
    before_difference: float | None
    before_error: float | None
    now: str
    now_difference: float | None
    now_error: float | None
    note: str


@dataclass(frozen=True, kw_only=True)
class ChangedRuns:
    """The scores of a run group that one of two reports has."""

    student: str
    subset: str
    format: str
    change: str  # came or went
    is_whole: bool  # the other report has nothing of the group
    seeds: str
    benchmarks: str
    modes: str
    num_scores: int


@dataclass(frozen=True, kw_only=True)
class ChangedOrigin:
    """Something that was made differently: how many of how many, what differs, what came of it."""

    stage: str
    what: str
    number: int
    of: int
    differences: str
    result: str


@dataclass(frozen=True)
class Changes:
    """What changed, beside the number of what was compared.

    scores: averages over seeds that changed. verdicts: comparisons and claims with another verdict,
    or asked by one report only. origins: what was made differently, and subsets with other rows.
    runs: scores that one report has and the other has not, by run group.
    """

    scores: tuple[ChangedScore, ...]
    verdicts: tuple[ChangedVerdict, ...]
    origins: tuple[ChangedOrigin, ...]
    runs: tuple[ChangedRuns, ...]
    num_scores: int
    num_changed: int
    num_averages: int
    num_verdicts: int
    num_moved: int  # comparisons with another difference and the same verdict
    num_subsets: int
    earlier: str = ""  # how the user calls the earlier report
