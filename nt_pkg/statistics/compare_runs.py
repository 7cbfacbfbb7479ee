"""Runs compared on the same questions: paired differences, intervals, and corrected p values.

The report compares over seeds, which says whether a selector is better. This compares two sets of
answers question by question, which says whether one model is better, and needs no second seed.
"""

import sys
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import stdtrit

from nt_pkg.files.layout import samples_of
from nt_pkg.files.parquet import read_parquet, read_table
from nt_pkg.files.schemas import GRADES, SAMPLES, Row
from nt_pkg.statistics.tests import MIN_QUESTIONS, correct_holm, run_paired_t
from nt_pkg.statistics.verdicts import ALPHA


@dataclass(frozen=True)
class Answered:
    """One run on one benchmark: its name, the benchmark, and the right share per question."""

    name: str
    benchmark: str
    means: Mapping[str, float]


@dataclass(frozen=True)
class Difference:
    """Accuracy of `a` minus that of `b`, a share, with a standard error over questions.

    `interval` is the 95 % interval of this pair alone, `joint_interval` that of all pairs together
    (Bonferroni). `p_value` is of a paired t test, two-sided, corrected over all pairs (Holm).
    """

    a: str
    b: str
    benchmark: str
    num_questions: int
    difference: float
    standard_error: float
    interval: tuple[float, float]
    joint_interval: tuple[float, float]
    p_value_raw: float
    p_value: float


def read_means(score: Path) -> dict[str, float]:
    """Return the share of right answers of every question, from the grades next to a score file.

    Scores of one benchmark share the texts of its ids, and questions with equal shares the number.
    """
    table = read_table(grades_of(score), GRADES, ("question_id", "is_correct"))
    counts = table.group_by("question_id", use_threads=False).aggregate(
        [("is_correct", "sum"), ("is_correct", "count")]
    )
    shares: dict[tuple[int, int], float] = {}
    return {
        sys.intern(question): shares.setdefault((right, number), right / number)
        for question, right, number in zip(*(c.to_pylist() for c in counts.columns), strict=True)
    }


def read_first_answers(score: Path, questions: Collection[str]) -> dict[str, str]:
    """Return the first answer to some questions, from the grades next to a score file."""
    table = read_table(grades_of(score), GRADES, ("question_id", "repeat", "answer"))
    wanted = pc.is_in(table["question_id"], pa.array(sorted(questions), pa.string()))
    rows = table.filter(pc.and_(wanted, pc.equal(table["repeat"], 0))).to_pylist()
    return {row["question_id"]: row["answer"] for row in rows}


def grades_of(score: Path) -> Path:
    """Return the file of grades next to a score file."""
    return score.with_suffix(".grades.parquet")


def question_lengths(samples: Sequence[Row]) -> dict[str, float | None]:
    """Return the mean tokens of the answers to every question, from rows of the samples artifact.

    Failed answers have no length, nor have those from elsewhere whose tokens are not known; a
    question with no other is None.
    """
    found: dict[str, list[int]] = defaultdict(list)
    for sample in samples:
        own = found[sample["question_id"]]
        if sample["status"] == "ok" and sample["completion_tokens"] is not None:
            own.append(sample["completion_tokens"])
    return {question: sum(n) / len(n) if n else None for question, n in found.items()}


def read_lengths(score: Path) -> dict[str, float | None]:
    """Return the mean tokens of every question, from the samples that a score file names.

    Does not read texts.
    """
    wanted = ("question_id", "completion_tokens", "status")
    shards = [score.parent / name for name in samples_of(score)]
    return question_lengths([r for path in shards for r in read_parquet(path, SAMPLES, wanted)])


def compare_runs(runs: Sequence[Answered], *, only_with_first: bool = False) -> list[Difference]:
    """Return the difference of every pair of runs that answered the same benchmark, a before b.

    Args:
        runs: at least two of one benchmark.
        only_with_first: compare with the first run of each benchmark only.

    Raises:
        ValueError: there is no pair, two runs of a benchmark answered other questions, or there are
            too few of them.
    """
    by_benchmark: dict[str, list[Answered]] = defaultdict(list)
    for run in runs:
        by_benchmark[run.benchmark].append(run)
    pairs = [
        (a, b)
        for members in by_benchmark.values()
        for a, b in combinations(members, 2)
        if not only_with_first or a is members[0]
    ]
    if not pairs:
        raise ValueError("nothing to compare: give at least two scores of one benchmark")
    tested = [(a, b, run_paired_t(_differences(a, b))) for a, b in pairs]
    raw = [float(test.p_value) for *_, test in tested if test.p_value is not None]
    found = []
    for (a, b, test), p_value in zip(tested, correct_holm(raw), strict=True):
        assert test.standard_error is not None and test.interval is not None
        assert test.p_value is not None
        half = float(stdtrit(len(a.means) - 1, 1 - ALPHA / 2 / len(pairs))) * test.standard_error
        found.append(
            Difference(
                a.name,
                b.name,
                a.benchmark,
                len(a.means),
                test.mean,
                test.standard_error,
                test.interval,
                (test.mean - half, test.mean + half),
                test.p_value,
                p_value,
            )
        )
    return found


def _differences(a: Answered, b: Answered) -> list[float]:
    where = f"{a.benchmark}: {a.name} and {b.name}"
    apart = set(a.means) ^ set(b.means)
    if apart:
        raise ValueError(
            f"{where} do not have the same questions: {len(apart)} are on one side only, such as "
            f"{min(apart)}; grade both with the same version and parameters of the benchmark"
        )
    if len(a.means) < MIN_QUESTIONS:
        raise ValueError(
            f"{where} have {len(a.means)} questions; {MIN_QUESTIONS} are needed for a test"
        )
    return [a.means[question] - b.means[question] for question in sorted(a.means)]
