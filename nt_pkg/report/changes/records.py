"""What changed between two reports: one frozen record per kind of change."""

from dataclasses import dataclass

NOT_ASKED = "not asked"  # instead of a verdict, for the report without the comparison


@dataclass(frozen=True, kw_only=True)
class ChangedScore:
    """A score averaged over the seeds that both reports have, and the causes of its change."""

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
    """A comparison or claim whose verdict changed, or that only one report has."""

    kind: str
    name: str
    title: str  # the comparison in words
    before: str
    before_difference: float | None
    before_error: float | None
    now: str
    now_difference: float | None
    now_error: float | None
    note: str


@dataclass(frozen=True, kw_only=True)
class ChangedRuns:
    """The scores of a run group that only one of two reports has."""

    student: str
    subset: str
    format: str
    change: str  # added or removed
    is_whole: bool  # the other report has nothing of the group
    seeds: str
    benchmarks: str
    modes: str
    num_scores: int


@dataclass(frozen=True, kw_only=True)
class ChangedOrigin:
    """Something that was made differently: how many of how many, the difference, its result."""

    stage: str
    what: str
    number: int
    of: int
    differences: str
    result: str


@dataclass(frozen=True)
class Changes:
    """What changed, and how much was compared.

    scores: averages over seeds that changed. verdicts: comparisons and claims with another verdict,
    or in only one report. origins: what was made differently, and subsets with other rows.
    runs: scores that only one report has, by run group.
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
    earlier: str = ""  # the user's name for the earlier report
