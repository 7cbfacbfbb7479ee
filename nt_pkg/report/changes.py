"""What changed between two reports of one study, from their summaries alone.

Scores of the same run, benchmark and mode are compared, and averaged over the seeds that both
reports have. A changed average is tested over its seeds (paired) if there are enough and both sides
were asked the same; otherwise over questions, with the errors of both sides as if they were
independent. They mostly answered the same questions, so that test is too careful: it overlooks
changes rather than invents them. p values are corrected over all changed averages (Holm).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy.special import stdtr, stdtrit

from nt_pkg.report.cells import average_seeds
from nt_pkg.report.made import Sides, find_causes, find_made, index_records
from nt_pkg.report.tables import Row
from nt_pkg.report.wording import sort_modes
from nt_pkg.statistics.tests import (
    ALPHA,
    MIN_QUESTIONS,
    MIN_SEEDS,
    Paired,
    correct_holm,
    judge,
    run_paired_t,
)

Record = Mapping[str, Any]
Pair = tuple[Record, Record]  # before, now

_GROUP = ("student", "subset", "format")
_PLACE = (*_GROUP, "benchmark", "mode")
SCORE = (*_PLACE, "seed")


@dataclass(frozen=True)
class Changes:
    """What changed, as rows of tables, beside the number of what was compared.

    scores: averages over seeds that changed. verdicts: comparisons and claims with another verdict,
    or asked by one report only. made: what was made otherwise, and subsets with other rows. runs:
    scores that one report has and the other has not, by run group.
    """

    scores: tuple[Row, ...]
    verdicts: tuple[Row, ...]
    made: tuple[Row, ...]
    runs: tuple[Row, ...]
    num_scores: int
    num_changed: int
    num_averages: int
    num_verdicts: int
    num_moved: int  # comparisons with another difference and the same verdict
    num_subsets: int


def compare_summaries(old: Record, new: Record) -> Changes:
    """Return what changed from one summary to another.

    Args:
        old: summary of the earlier report, as `nt_pkg.report.earlier.read_summary` returns it.
        new: that of the later one.
    """
    sides = Sides(old, new)
    before, now = (index_records(each["scores"], SCORE) for each in (old, new))
    averages: dict[tuple[Any, ...], list[Pair]] = {}
    for key in sorted(set(before) & set(now), key=str):
        averages.setdefault(key[:-1], []).append((before[key], now[key]))
    changed = {place: pairs for place, pairs in averages.items() if any(map(_differs, pairs))}
    verdicts, num_verdicts, num_moved = _compare_verdicts(old, new)
    subsets = [{subset["subset"] for subset in each["subsets"]} for each in (old, new)]
    return Changes(
        scores=_describe_scores(changed, sides),
        verdicts=tuple(verdicts),
        made=tuple(find_made(sides)),
        runs=(*_one_sided("came", now, before), *_one_sided("went", before, now)),
        num_scores=sum(map(len, averages.values())),
        num_changed=sum(_differs(pair) for pairs in changed.values() for pair in pairs),
        num_averages=len(averages),
        num_verdicts=num_verdicts,
        num_moved=num_moved,
        num_subsets=len(subsets[0] & subsets[1]),
    )


def measure_change(pairs: Sequence[Pair], *, is_asked_alike: bool) -> tuple[Paired, str]:
    """Return now minus before, averaged over seeds, and what it was tested over.

    Args:
        pairs: scores of the same run, one pair a seed.
        is_asked_alike: both sides got the same prompts, so their seeds differ by nothing else.

    Returns:
        The difference, and "seeds" or "questions"; without a p value if there are too few of both.
    """
    over_seeds = run_paired_t([now["accuracy"] - old["accuracy"] for old, now in pairs])
    # Without a spread (all seeds moved by one question, say) the seeds tell nothing about chance.
    if is_asked_alike and len(pairs) >= MIN_SEEDS and over_seeds.standard_error:
        return over_seeds, "seeds"
    mean = over_seeds.mean
    errors = [score["standard_error"] for pair in pairs for score in pair]
    fewest = min(int(score["num_questions"]) for pair in pairs for score in pair)
    if fewest < MIN_QUESTIONS or None in errors or not any(errors):
        return Paired(mean, None, None, None), "questions"
    # All seeds answer the same questions, so more of them do not make this error smaller.
    error = math.sqrt(math.fsum(each**2 for each in errors) / len(pairs))
    half_width = float(stdtrit(fewest - 1, 1 - ALPHA / 2)) * error
    p_value = 2 * float(stdtr(fewest - 1, -abs(mean / error)))
    return Paired(mean, error, (mean - half_width, mean + half_width), p_value), "questions"


def _differs(pair: Pair) -> bool:
    fields = ("accuracy", "mean_tokens", "num_questions", "repeats")
    return any(pair[0][field] != pair[1][field] for field in fields)


def _describe_scores(
    changed: Mapping[tuple[Any, ...], list[Pair]], sides: Sides
) -> tuple[Row, ...]:
    rows: list[dict[str, Any]] = []
    for place, pairs in changed.items():
        found, basis = measure_change(pairs, is_asked_alike=sides.is_asked_alike(pairs))
        row: dict[str, Any] = dict(zip(_PLACE, place, strict=True))
        row |= {"num_seeds": len(pairs), "num_changed": sum(map(_differs, pairs))}
        for side, scores in zip(("before", "now"), zip(*pairs, strict=True), strict=True):
            accuracy, error = average_seeds([float(score["accuracy"]) for score in scores])
            row[side] = accuracy
            row[f"{side}_error"] = scores[0]["standard_error"] if error is None else error
            row[f"{side}_tokens"] = _mean(score["mean_tokens"] for score in scores)
        row |= {"difference": found.mean, "p_value": found.p_value, "basis": basis}
        row["low"], row["high"] = found.interval or (None, None)
        rows.append(row | {"causes": "; ".join(find_causes(sides, pairs))})
    tested = [row for row in rows if row["p_value"] is not None]
    for row, p_value in zip(tested, correct_holm([r["p_value"] for r in tested]), strict=True):
        row["p_value"] = p_value
    for row in rows:
        row["verdict"] = (
            "not enough data"
            if row["p_value"] is None
            else judge(row["difference"], row["p_value"], has_claim=False)
        )
    order = ("above", "below", "no difference seen", "not enough data")
    return tuple(
        sorted(rows, key=lambda r: (order.index(r["verdict"]), -abs(r["difference"]), str(r)))
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _compare_verdicts(old: Record, new: Record) -> tuple[list[Row], int, int]:
    """Return comparisons and claims whose verdict changed, how many both have, how many moved."""
    rows: list[Row] = []
    num_both = num_moved = 0
    for section, kind in (("claims", "claim"), ("effects", "comparison")):
        before, now = (index_records(each[section], ("name",)) for each in (old, new))
        for key in dict.fromkeys((*now, *before)):
            sides = before.get(key), now.get(key)
            found = _compare_verdict(kind, key[0], *sides)
            num_both += None not in sides
            if found["before"] != found["now"]:
                rows.append(found)
            else:
                num_moved += found["before_difference"] != found["now_difference"]
    return rows, num_both, num_moved


def _compare_verdict(kind: str, name: str, old: Record | None, now: Record | None) -> Row:
    row: dict[str, Any] = {"kind": kind, "name": name}
    for side, record in (("before", old), ("now", now)):
        known = record or {}
        row[side] = known.get("verdict", "not asked")
        row[f"{side}_difference"] = known.get("difference")
        row[f"{side}_error"] = known.get("standard_error")
    asks = ("kind", "contrast", "claim", "text", "within", "tokens", "benchmark", "parts")
    if old and now and any(old.get(key) != now.get(key) for key in asks):
        return {**row, "note": "it asks something else now"}
    return {**row, "note": ""}


def _one_sided(
    change: str, here: Mapping[tuple[Any, ...], Record], there: Mapping[tuple[Any, ...], Record]
) -> list[Row]:
    """Return the scores that stand on one side only, one row per run group."""
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for key in sorted(set(here) - set(there), key=str):
        groups.setdefault(key[: len(_GROUP)], []).append(here[key])
    others = {key[: len(_GROUP)] for key in there}
    return [
        {
            **dict(zip(_GROUP, group, strict=True)),
            "change": change,
            "is_whole": group not in others,
            "seeds": ", ".join(str(seed) for seed in sorted({m["seed"] for m in members})),
            "benchmarks": ", ".join(sorted({m["benchmark"] for m in members})),
            "modes": ", ".join(sort_modes(sorted({m["mode"] for m in members}))),
            "num_scores": len(members),
        }
        for group, members in groups.items()
    ]
