"""Who solved which question: the student of one side of a comparison, or that of the other."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from nt_pkg.benchmarks._questions import load_items
from nt_pkg.config.filters import expand_comparison, match_scores
from nt_pkg.config.report import Comparison
from nt_pkg.identity.seeds import digest_ints
from nt_pkg.plugins.registry import plugin
from nt_pkg.report.records import Question, Score, ScoresBySeed, Solved, SolvedQuestion
from nt_pkg.report.runs import AnswersOf, is_untrained
from nt_pkg.report.samples import shorten
from nt_pkg.report.wording import describe_filter

BOTH, ONLY_A, ONLY_B, NEITHER = "both", "only A", "only B", "neither"
# Questions to open of every outcome, comparison and benchmark: those that differ say most.
_NUM_SHOWN = {ONLY_A: 4, ONLY_B: 4, BOTH: 1, NEITHER: 1}
MAX_SHOWN = 600  # of the whole study
SEED = 0


def read_questions(kind: str, params: dict[str, Any], source: Path | None) -> dict[str, Question]:
    """Return the questions of a benchmark by id, as they are asked.

    Args:
        kind: module of the benchmark.
        params: its parameters as they stand in a spec.
        source: folder of its files, if it has any.
    """
    prompt = plugin("benchmarks", kind).prompt
    items = load_items(kind, params, source)
    return {item.id: Question(prompt(item), item.gold) for item in items}


def compare_questions(
    comparisons: Sequence[Comparison],
    scores: Sequence[Score],
    answers: AnswersOf,
    said: Callable[[Score, Collection[str]], Mapping[str, str]],
    questions: Callable[[str], Mapping[str, Question]],
) -> list[Solved]:
    """Return who solved the questions of every benchmark, for every comparison.

    Args:
        comparisons: the comparisons of the study; lengths are not their business.
        scores: all scores.
        answers: returns the share of right answers per question of a score.
        said: returns the first answer of a score to some questions; not called for one of a
            confidential benchmark.
        questions: returns the questions of a benchmark by id; not called for a confidential one.
    """
    found: list[Solved] = []
    left = MAX_SHOWN
    for comparison in comparisons:
        if comparison.tokens:
            continue
        filters = expand_comparison(comparison)
        cells = [match_scores(scores, side, comparison.name) for side in filters]
        sides = _pair(cells)
        names = [sorted({name for own in side.values() for name in own}) for side in sides]
        for benchmark in (name for name in names[0] if name in names[1]):
            own = [[by[benchmark] for by in side.values() if benchmark in by] for side in sides]
            solved = _compare(comparison.name, filters, benchmark, own, answers)
            if solved is None:
                continue
            counts, chosen = solved
            shown = [] if left < len(chosen) else chosen
            left -= len(shown)
            opened = _open(benchmark, own, shown, said, questions)
            a, b = (describe_filter(side) for side in filters)
            found.append(
                Solved(
                    comparison=comparison.name,
                    a=a,
                    b=b,
                    benchmark=benchmark,
                    counts=counts,
                    questions=opened,
                )
            )
    return found


_Chosen = tuple[str, str, float, float]  # outcome, question, share right of a and of b


def _pair(cells: Sequence[ScoresBySeed]) -> list[ScoresBySeed]:
    """Return both sides with the seeds that both have; an untrained student's go with any."""
    if any(map(is_untrained, cells)):
        return list(cells)
    both = set(cells[0]) & set(cells[1])
    return [{seed: side[seed] for seed in sorted(both)} for side in cells]


def _compare(
    comparison: str,
    filters: Sequence[object],
    benchmark: str,
    own: Sequence[Sequence[Score]],
    answers: AnswersOf,
) -> tuple[dict[str, int], list[_Chosen]] | None:
    """Return counts by outcome, and the questions to show; None if sides were asked otherwise."""
    shares = [_average([answers(score) for score in side]) for side in own]
    if not shares[0] or shares[0].keys() != shares[1].keys():
        return None
    by_outcome: dict[str, list[_Chosen]] = {name: [] for name in (BOTH, ONLY_A, ONLY_B, NEITHER)}
    for question, a in shares[0].items():
        b = shares[1][question]
        outcome = {(True, True): BOTH, (True, False): ONLY_A, (False, True): ONLY_B}.get(
            (a > 0.5, b > 0.5), NEITHER
        )
        by_outcome[outcome].append((outcome, question, a, b))
    chosen = []
    for outcome, number in _NUM_SHOWN.items():
        members = by_outcome[outcome]
        names = (question for _, question, *_ in members)
        order = np.argsort(digest_ints(names, "solved", SEED, comparison, benchmark))
        chosen += [members[at] for at in order[:number]]
    return {name: len(members) for name, members in by_outcome.items()}, chosen


def _average(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the share of right answers per question over runs that answered the same ones."""
    if not runs or any(run.keys() != runs[0].keys() for run in runs):
        return {}
    return {question: fmean(run[question] for run in runs) for question in runs[0]}


def _open(
    benchmark: str,
    own: Sequence[Sequence[Score]],
    chosen: Sequence[_Chosen],
    said: Callable[[Score, Collection[str]], Mapping[str, str]],
    questions: Callable[[str], Mapping[str, Question]],
) -> dict[str, list[SolvedQuestion]]:
    hidden = any(score.is_confidential for side in own for score in side)
    asked = {} if hidden or not chosen else questions(benchmark)
    wanted = {question for _, question, _, _ in chosen}
    answers = [{} if hidden or not wanted else said(side[0], wanted) for side in own]
    found: dict[str, list[SolvedQuestion]] = {}
    for outcome, question, a, b in chosen:
        text = asked.get(question)
        found.setdefault(outcome, []).append(
            SolvedQuestion(
                id=question,
                share_a=a,
                share_b=b,
                question=_shortened(text.text if text else None),
                gold=_shortened(text.gold if text else None),
                answer_a=_shortened(answers[0].get(question)),
                answer_b=_shortened(answers[1].get(question)),
            )
        )
    return found


def _shortened(text: str | None) -> str | None:
    return None if text is None else shorten(text)
