"""The input of a report: one frozen record per kind of artifact.

A record has only what the report reads. Its fields are named as in the artifact; `read_record`
checks their types. So a missing field is an error that names the file, and code that uses a field
that no record has fails in the type checker.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from nt_pkg.config.base import IMPORTED, UNTRAINED
from nt_pkg.config.report import Report
from nt_pkg.files.json_files import NOT_OURS
from nt_pkg.report.wording import MINUS, capitalise
from nt_pkg.statistics.verdicts import NO_DATA

Settings = Mapping[str, object]  # how something was made: a spec, sampling, versions
Counts = Mapping[str, int]
Kind = TypeVar("Kind")


@dataclass(frozen=True)
class Source:
    """Where a record comes from: its file, the digest of its spec, the command that rebuilds it."""

    path: str
    spec_digest: str
    command: str


@dataclass(frozen=True)
class Histogram:
    """Counts in bins from one edge to the next."""

    edges: Sequence[int]
    counts: Sequence[int]


@dataclass(frozen=True)
class Histograms:
    """Lengths, domains and strategies of some rows; empty if the rows have no labels."""

    num_tokens: Histogram | None = None
    domain: Counts = field(default_factory=dict)
    strategies: Counts = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.num_tokens or self.domain or self.strategies)


@dataclass(frozen=True)
class Reading:
    """A further accuracy: of a group of questions, over groups, or by another grader."""

    accuracy: float
    standard_error: float | None = None
    num: int = 0  # questions of a group
    num_groups: int = 0  # of a macro average
    no_answer_rate: float | None = None  # of another grader


@dataclass(frozen=True, kw_only=True)
class RunName:
    """Names of a run. Subset and format "none": untrained; subset "imported": from elsewhere."""

    student: str
    subset: str
    format: str
    seed: int

    @property
    def is_trained(self) -> bool:
        """Whether the student was trained on a subset."""
        return self.subset not in (UNTRAINED, IMPORTED)


@dataclass(frozen=True, kw_only=True)
class Score(RunName):
    """A score file: one run on one benchmark in one mode."""

    benchmark: str
    mode: str
    num_questions: int
    repeats: int
    accuracy: float
    standard_error: float | None
    mean_tokens: float | None  # None: not known, or all generations failed
    mean_tokens_complete: float | None = None  # without answers that were cut
    median_tokens: float | None
    truncation_rate: float
    no_answer_rate: float
    thinking_rate: float
    failed: int
    token_histogram: Histogram
    by_category: Mapping[str, Reading] = field(default_factory=dict)
    by_level: Mapping[str, Mapping[str, Reading]] = field(default_factory=dict)
    macro: Mapping[str, Reading] = field(default_factory=dict)
    alternatives: Mapping[str, Reading] = field(default_factory=dict)
    sampling: Settings = field(default_factory=dict)
    prompt_digest: str | None = None
    versions: Settings = field(default_factory=dict)
    engine: Settings = field(default_factory=dict)
    spec: Settings = field(default_factory=dict)
    is_confidential: bool = False  # no text of its questions and answers may be shown
    source: Source | None = None


ScoresBySeed = dict[int, dict[str, Score]]  # seed -> benchmark -> score


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Loss per response token of examples that a training did not learn from."""

    num_examples: int
    num_loss_tokens: int
    loss_before: float
    loss_after: float


@dataclass(frozen=True, kw_only=True)
class Run(RunName):
    """A finished training, with the number of examples left out."""

    num_examples: int
    num_tokens: int
    num_steps: int
    final_loss: float
    loss_curve: Sequence[tuple[int, float]]
    wall_seconds: float
    tokens_per_second: float
    world_size: int
    zero_stage: int
    held_out: HeldOut | None = None
    dropped: Counts = field(default_factory=dict)
    examples: Settings = field(default_factory=dict)  # spec of the examples
    versions: Settings = field(default_factory=dict)
    spec: Settings = field(default_factory=dict)
    source: Source | None = None


@dataclass(frozen=True)
class LabelMean:
    """Mean of a numeric label over rows, with its standard error over rows."""

    mean: float
    standard_error: float | None  # None: one row
    num_rows: int


@dataclass(frozen=True, kw_only=True)
class Subset:
    """One draw of a subset."""

    subset: str
    selector: str
    seed: int
    size: int
    num_available: int
    pool: str
    teacher: str
    params: Settings = field(default_factory=dict)
    unusable: Counts = field(default_factory=dict)
    conditions: Counts = field(default_factory=dict)  # rows that fulfil each of the selector's
    one_per_question: Counts = field(default_factory=dict)  # counts of the choice of answers
    ids: str = ""  # digest of which rows it has
    some_ids: str = ""  # a sample of them
    histograms: Histograms = field(default_factory=Histograms)
    means: Mapping[str, LabelMean] = field(default_factory=dict)  # of numeric labels
    spec: Settings = field(default_factory=dict)
    source: Source | None = None

    @property
    def choice(self) -> Settings:
        """The rule by which one answer per question was chosen before the selector; or nothing."""
        made = self.spec.get("one_per_question")
        return {k: v for k, v in made.items() if k != "code"} if isinstance(made, Mapping) else {}

    @property
    def around(self) -> Settings:
        """What decided about the rows besides the selector: size, budget, choice of answers."""
        own = ("selector", "params", "code", "one_per_question")
        rest = {key: value for key, value in self.spec.items() if key not in own}
        return {**rest, "pool": self.pool, "teacher": self.teacher, "size": self.size} | {
            "choice": self.choice
        }

    @property
    def is_random(self) -> bool:
        """Whether nothing that a trace says decided about its rows."""
        return self.selector == "random" and self.choice.get("rule", "random") == "random"


@dataclass(frozen=True, kw_only=True)
class Pool:
    """A pool as it was ingested."""

    pool: str
    num_rows_in: int
    num_kept: int  # prompts; with `samples` several per row of the source
    samples: int = 1
    dropped: Counts = field(default_factory=dict)
    histograms: Histograms = field(default_factory=Histograms)
    spec: Settings = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TraceSet:
    """The traces of a teacher over a pool, by outcome."""

    pool: str
    teacher: str
    num_rows: int
    failed: Counts
    incomplete: Counts
    mean_tokens: float | None


@dataclass(frozen=True, kw_only=True)
class AnnotationCounts:
    """The labels of an annotator: rows, failures by reason."""

    pool: str
    teacher: str
    annotator: str
    num_rows: int
    failed: Counts


@dataclass(frozen=True, kw_only=True)
class Sample(RunName):
    """An answer that a reader can open."""

    benchmark: str
    mode: str
    question: str
    reasoning: str | None
    answer: str | None
    gold: str | None
    is_correct: bool


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """Rows that two subsets of a pool share: means over `num_pairs` pairs of draws.

    Pairs are draws of one seed; of a subset with itself, draws of two seeds. `expected` is what two
    random draws of these sizes would share.
    """

    pool: str
    a: str
    b: str
    num_pairs: int
    size_a: int
    size_b: int
    shared: float
    expected: float

    @property
    def jaccard(self) -> float:
        """Rows in both as a share of the rows in either."""
        return self.shared / (self.size_a + self.size_b - self.shared)


@dataclass(frozen=True, kw_only=True)
class Trace:
    """A trace that a reader can open; texts are None if the pool is confidential."""

    id: str
    pool: str
    teacher: str
    status: str
    num_tokens: int
    question: str | None = None
    reference_answer: str | None = None
    reasoning: str | None = None
    answer: str | None = None
    labels: Mapping[str, object] = field(default_factory=dict)
    unlabelled: Mapping[str, str] = field(default_factory=dict)  # annotator -> why it has no label
    subsets: Sequence[str] = ()  # that picked it


@dataclass(frozen=True, kw_only=True)
class PickedTrace:
    """A row that one subset picked, with its place and score."""

    trace: Trace
    rank: int
    score: float


@dataclass(frozen=True, kw_only=True)
class Pick:
    """What one subset picked and another did not, at one seed: counts, and rows of each side."""

    a: str
    b: str
    seed: int
    num_both: int
    num_only_a: int
    num_only_b: int
    only_a: Sequence[PickedTrace] = ()
    only_b: Sequence[PickedTrace] = ()


@dataclass(frozen=True)
class Question:
    """The text of a benchmark's question, as it is asked, and its right answer."""

    text: str
    gold: str


@dataclass(frozen=True, kw_only=True)
class SolvedQuestion:
    """A question that a reader can open; texts are None if the benchmark is confidential.

    Shares are of right answers over the seeds and repeats of a side; answers are of one of them.
    """

    id: str
    share_a: float
    share_b: float
    question: str | None = None
    gold: str | None = None
    answer_a: str | None = None
    answer_b: str | None = None


@dataclass(frozen=True, kw_only=True)
class Solved:
    """Who solved a benchmark's questions: counts by outcome, and questions of each.

    A side solved a question if more than half of its answers are right. Outcomes are both, only A,
    only B and neither.
    """

    comparison: str
    a: str
    b: str
    benchmark: str
    counts: Counts
    questions: Mapping[str, Sequence[SolvedQuestion]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RuleRun:
    """A rule as it ran: its jobs, their total seconds, the rules whose files it reads."""

    rule: str
    stage: str
    num_jobs: int
    seconds: float | None  # None: it is running
    reads: Sequence[str]


@dataclass(frozen=True)
class Timings:
    """How long the work took, by stage and by rule."""

    seconds_per_stage: Mapping[str, float] = field(default_factory=dict)
    rules: Sequence[RuleRun] = ()


@dataclass(frozen=True)
class Side:
    """What else differs between the sides of a comparison: means over their runs.

    `tokens` and the rates are of answers, `train_tokens` and `train_steps` of trainings; None if
    there is none. `tokens_complete` leaves out answers that were cut.
    """

    tokens: float | None = None
    tokens_complete: float | None = None
    truncation_rate: float | None = None
    no_answer_rate: float | None = None
    num_examples: float | None = None
    train_tokens: float | None = None
    train_steps: float | None = None


@dataclass(frozen=True)
class Effect:
    """One comparison of a study; `p_value` is corrected over its family, `p_value_raw` is not.

    If the claim is about lengths (`tokens`), p values and verdict are of the ratio of tokens;
    the difference in accuracy is shown but not tested.
    """

    name: str
    kind: str
    claim: str | None
    contrast: str
    benchmark: str
    verdict: str = NO_DATA
    models: str = ""  # the verdict on the two models, beside one on recipes
    num_seeds: int = 0
    difference: float | None = None
    standard_error: float | None = None
    interval: tuple[float, float] | None = None
    level: float = 0.95  # of the interval; 0.9 of a claim that sides are alike
    p_value: float | None = None
    p_value_raw: float | None = None
    p_value_models: float | None = None  # not corrected
    family: str = ""  # over which p values are corrected
    tokens_ratio: float | None = None
    tokens_error: float | None = None  # these two only for claims about lengths
    tokens_interval: tuple[float, float] | None = None
    note: str = ""
    basis: str = "recipes"  # the verdict is about recipes or models
    spread: str = ""  # where the variance between trainings comes from
    degrees: float | None = None  # degrees of freedom of that variance
    spread_alike: float | None = None  # p value: these recipes vary as the others do
    question_error: float | None = None  # what the choice of questions adds to standard_error
    # The difference that it finds with 80 % power; of a claim that sides are alike, the margin.
    mde80: float | None = None
    seeds_needed: int | None = None  # to find the paper's difference, or to show the margin
    paper: float | None = None  # the published difference; of a claim about lengths, their ratio
    within: float | None = None  # the claim is that the difference is smaller than this
    tokens: str | None = None  # the claim is about lengths: longer, fewer or alike
    a: Side = Side()
    b: Side = Side()
    sides: tuple[str, str] = ("", "")  # in words
    of: str = ""  # what sets it apart from a comparison with the same sides, in words

    @property
    def title(self) -> str:
        """The comparison in words, such as `Long traces - random ones (hard questions)`."""
        a, b = self.sides
        words = f"{capitalise(a)} {MINUS} {b}" if a and b else self.name
        return f"{words} ({self.of})" if self.of else words


@dataclass(frozen=True, kw_only=True)
class TrueRecipe:
    """What many trainings of a recipe score: mean and standard deviation over seeds, shares."""

    name: str
    digest: str
    num_seeds: int
    mean: float
    sd: float


@dataclass(frozen=True, kw_only=True)
class TrueEffect:
    """What many trainings found for a comparison: difference (a share) or ratio, with its error."""

    name: str
    digest: str
    num_seeds: int
    difference: float | None
    standard_error: float | None
    tokens_ratio: float | None = None
    tokens_error: float | None = None


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What a study with many seeds found."""

    study: str
    effects: Sequence[TrueEffect]
    recipes: Sequence[TrueRecipe]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A verdict next to the truth.

    source: `measured`, `design`, or empty if nothing is known. value, error: the true difference (a
    share), or ratio of tokens. mde80: the difference that this study sees with 80 % power.
    """

    name: str
    verdict: str
    outcome: str
    source: str = ""
    value: float | None = None
    error: float | None = None
    num_seeds: int = 0
    mde80: float | None = None


@dataclass(frozen=True)
class Study:
    """The study's settings: its part `report`, accuracies of a uniform guess, names in words."""

    name: str
    report: Report
    chance: Mapping[str, float] = field(default_factory=dict)  # by benchmark
    labels: Mapping[str, str] = field(default_factory=dict)  # by benchmark
    words: Mapping[str, Sequence[str]] = field(default_factory=dict)  # that mark a strategy


@dataclass(frozen=True)
class Inputs:
    """The whole input of a report. If a list is empty, its parts are left out."""

    study: Study
    scores: Sequence[Score] = ()
    subsets: Sequence[Subset] = ()
    pools: Sequence[Pool] = ()
    traces: Sequence[TraceSet] = ()
    annotations: Sequence[AnnotationCounts] = ()
    runs: Sequence[Run] = ()
    samples: Sequence[Sample] = ()
    timings: Timings = field(default_factory=Timings)
    truth: Truth | None = None  # of the file that the study names
    recipes: Mapping[str, str] = field(default_factory=dict)  # digests, seeds aside
    overlaps: Sequence[Overlap] = ()
    picks: Sequence[Pick] = ()
    pool_sample: Sequence[Trace] = ()
    solved: Sequence[Solved] = ()


def read_record(kind: type[Kind], found: Mapping[str, object], where: Path | str) -> Kind:
    """Return a record made from fields; unknown fields are ignored.

    Raises:
        ValueError: a field is missing or of another type; `where` and the field are named.
    """
    try:
        adapter: TypeAdapter[Kind] = _adapter(cast(Hashable, kind))
        record = adapter.validate_python(found)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()
        )
        raise ValueError(
            f"{where} is not a {kind.__name__} as the report reads it ({wrong}): it was edited or "
            f"not written by this version of this project. {NOT_OURS}"
        ) from error
    return record


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
