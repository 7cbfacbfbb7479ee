"""What changed between two reports of one study, from their summaries alone.

Scores of the same run, benchmark and mode are compared, and averaged over the seeds that both
reports have. A changed average is tested over its seeds (paired) if there are enough and both sides
had the same prompts; otherwise over questions, with the errors of both sides as if they were
independent. They mostly answered the same questions, so that test is conservative: it misses
changes rather than inventing them. p values are corrected over all changed averages (Holm).
"""

import math
from collections.abc import Iterable, Mapping, Sequence

from nt_pkg.report.changes.causes import Pair, Sides, find_causes, find_origins
from nt_pkg.report.changes.records import (
    NOT_ASKED,
    ChangedRuns,
    ChangedScore,
    ChangedVerdict,
    Changes,
)
from nt_pkg.report.records import Effect
from nt_pkg.report.summary import KeptClaim, KeptScore, Summary
from nt_pkg.report.wording import sort_modes
from nt_pkg.statistics.tests import (
    MIN_QUESTIONS,
    MIN_SEEDS,
    Paired,
    average_seeds,
    compare_independent,
    correct_holm,
    run_paired_t,
)
from nt_pkg.statistics.verdicts import NO_DATA, judge

ScorePair = Pair[KeptScore]
_RunGroup = tuple[str, str, str]  # student, subset, format
_Place = tuple[str, str, str, str, str]  # and benchmark, mode
_Key = tuple[str, str, str, str, str, int]  # and seed


def compare_summaries(old: Summary, new: Summary, earlier: str = "") -> Changes:
    """Return what changed from one summary to another.

    Args:
        old: summary of the earlier report.
        new: that of the later one.
        earlier: the user's name for the earlier report.
    """
    sides = Sides(old, new)
    before, now = ({_key(score): score for score in each.scores} for each in (old, new))
    averages: dict[_Place, list[ScorePair]] = {}
    for key in sorted(set(before) & set(now), key=str):
        averages.setdefault(key[:5], []).append((before[key], now[key]))
    changed = {place: pairs for place, pairs in averages.items() if any(map(_differs, pairs))}
    verdicts, num_verdicts, num_moved = _compare_verdicts(old, new)
    subsets = [{subset.subset for subset in each.subsets} for each in (old, new)]
    return Changes(
        scores=_describe_scores(list(changed.values()), sides),
        verdicts=tuple(verdicts),
        origins=tuple(find_origins(sides)),
        runs=(*_one_sided("added", now, before), *_one_sided("removed", before, now)),
        num_scores=sum(map(len, averages.values())),
        num_changed=sum(_differs(pair) for pairs in changed.values() for pair in pairs),
        num_averages=len(averages),
        num_verdicts=num_verdicts,
        num_moved=num_moved,
        num_subsets=len(subsets[0] & subsets[1]),
        earlier=earlier,
    )


def measure_change(pairs: Sequence[ScorePair], *, is_asked_alike: bool) -> tuple[Paired, str]:
    """Return now minus before, averaged over seeds, and what it was tested over.

    Args:
        pairs: scores of the same run, one pair a seed.
        is_asked_alike: both sides had the same prompts, so seeds can be paired.

    Returns:
        The difference, and "seeds" or "questions"; no p value if there are too few of both.
    """
    over_seeds = run_paired_t([now.accuracy - old.accuracy for old, now in pairs])
    # Without a spread (for example, one question at every seed) seeds say nothing about chance.
    if is_asked_alike and len(pairs) >= MIN_SEEDS and over_seeds.standard_error:
        return over_seeds, "seeds"
    errors = [score.standard_error for pair in pairs for score in pair]
    known = [error for error in errors if error is not None]
    fewest = min(score.num_questions for pair in pairs for score in pair)
    if fewest < MIN_QUESTIONS or len(known) < len(errors) or not any(known):
        return Paired(over_seeds.mean, None, None, None), "questions"
    return compare_independent(over_seeds.mean, known, fewest), "questions"


def _key(score: KeptScore) -> _Key:
    run = score.student, score.subset, score.format
    return *run, score.benchmark, score.mode, score.seed


def _differs(pair: ScorePair) -> bool:
    old, now = (
        (each.accuracy, each.mean_tokens, each.num_questions, each.repeats) for each in pair
    )
    return old != now


def _describe_scores(
    changed: Sequence[Sequence[ScorePair]], sides: Sides
) -> tuple[ChangedScore, ...]:
    tests = [measure_change(p, is_asked_alike=sides.is_asked_alike(p)) for p in changed]
    raw = [test.p_value for test, _ in tests]
    corrected = iter(correct_holm([p_value for p_value in raw if p_value is not None]))
    p_values = [None if p_value is None else next(corrected) for p_value in raw]
    found = [
        _describe_score(pairs, test, basis, p_value, "; ".join(find_causes(sides, pairs)))
        for pairs, (test, basis), p_value in zip(changed, tests, p_values, strict=True)
    ]
    order = ("above", "below", "no difference seen", NO_DATA)
    return tuple(
        sorted(found, key=lambda s: (order.index(s.verdict), -abs(s.difference), _place_of(s)))
    )


def _describe_score(
    pairs: Sequence[ScorePair], test: Paired, basis: str, p_value: float | None, causes: str
) -> ChangedScore:
    like = pairs[0][1]
    olds, news = ([pair[side] for pair in pairs] for side in (0, 1))
    before, before_error = _average(olds)
    now, now_error = _average(news)
    low, high = test.interval or (None, None)
    return ChangedScore(
        student=like.student,
        subset=like.subset,
        format=like.format,
        benchmark=like.benchmark,
        mode=like.mode,
        num_seeds=len(pairs),
        num_changed=sum(map(_differs, pairs)),
        before=before,
        before_error=before_error,
        before_tokens=_mean(score.mean_tokens for score in olds),
        now=now,
        now_error=now_error,
        now_tokens=_mean(score.mean_tokens for score in news),
        difference=test.mean,
        p_value=p_value,
        basis=basis,
        low=low,
        high=high,
        causes=causes,
        verdict=NO_DATA if p_value is None else judge(test.mean, p_value, has_claim=False),
    )


def _average(scores: Sequence[KeptScore]) -> tuple[float, float | None]:
    accuracy, error = average_seeds([score.accuracy for score in scores])
    return accuracy, scores[0].standard_error if error is None else error


def _place_of(score: ChangedScore) -> _Place:
    return score.student, score.subset, score.format, score.benchmark, score.mode


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _compare_verdicts(old: Summary, new: Summary) -> tuple[list[ChangedVerdict], int, int]:
    """Return changed verdicts, the number of shared ones, and of shared ones that moved."""
    found: list[ChangedVerdict] = []
    num_both = num_moved = 0
    for kind, *both in (
        ("claim", _by_name(old.claims), _by_name(new.claims)),
        ("comparison", _by_name(old.effects), _by_name(new.effects)),
    ):
        before, now = both
        for name in dict.fromkeys((*now, *before)):
            each = _compare_verdict(kind, name, before.get(name), now.get(name))
            num_both += name in before and name in now
            if each.before != each.now:
                found.append(each)
            else:
                num_moved += each.before_difference != each.now_difference
    return found, num_both, num_moved


def _by_name(found: Sequence[Effect | KeptClaim]) -> dict[str, Effect | KeptClaim]:
    return {each.name: each for each in found}


def _compare_verdict(
    kind: str, name: str, old: Effect | KeptClaim | None, now: Effect | KeptClaim | None
) -> ChangedVerdict:
    before_difference, before_error = _measured(old)
    now_difference, now_error = _measured(now)
    asks_other = old is not None and now is not None and _asked(old) != _asked(now)
    return ChangedVerdict(
        kind=kind,
        name=name,
        title=next((e.title for e in (now, old) if isinstance(e, Effect)), name),
        before=old.verdict if old else NOT_ASKED,
        before_difference=before_difference,
        before_error=before_error,
        now=now.verdict if now else NOT_ASKED,
        now_difference=now_difference,
        now_error=now_error,
        note="its definition changed" if asks_other else "",
    )


def _measured(found: Effect | KeptClaim | None) -> tuple[float | None, float | None]:
    return (found.difference, found.standard_error) if isinstance(found, Effect) else (None, None)


def _asked(found: Effect | KeptClaim) -> tuple[object, ...]:
    if isinstance(found, KeptClaim):
        return found.text, tuple(found.parts)
    said = found.claim, found.within, found.tokens
    return found.kind, found.contrast, found.benchmark, *said


def _one_sided(
    change: str, here: Mapping[_Key, KeptScore], there: Mapping[_Key, KeptScore]
) -> list[ChangedRuns]:
    """Return the scores that only one side has, one record per run group."""
    groups: dict[_RunGroup, list[KeptScore]] = {}
    for key in sorted(set(here) - set(there), key=str):
        groups.setdefault(key[:3], []).append(here[key])
    others = {key[:3] for key in there}
    return [
        ChangedRuns(
            student=group[0],
            subset=group[1],
            format=group[2],
            change=change,
            is_whole=group not in others,
            seeds=", ".join(str(seed) for seed in sorted({m.seed for m in members})),
            benchmarks=", ".join(sorted({m.benchmark for m in members})),
            modes=", ".join(sort_modes(sorted({m.mode for m in members}))),
            num_scores=len(members),
        )
        for group, members in groups.items()
    ]
