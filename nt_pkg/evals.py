"""Scores: from split outputs and their grades to the numbers of one score file."""

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from nt_pkg.benchmarks._base import Grade, Item
from nt_pkg.thinking import Thought


def score(
    items: Sequence[Item],
    samples: Sequence[Mapping[str, Any]],
    grades: Sequence[Grade],
    splits: Sequence[Thought],
    repeats: int,
) -> dict[str, Any]:
    """Return the measured fields of a score file.

    A failed sample stays in the denominator as a wrong answer; only the token numbers leave it out.
    Accuracies and rates lie in [0, 1]; token numbers are of the whole completion.

    Args:
        items: questions of the benchmark.
        samples: rows of the samples artifact, one per question and repeat.
        grades: verdict on each sample, same order.
        splits: parts of each sample, same order.
        repeats: answers per question.

    Raises:
        ValueError: a sample is missing, stands there twice or belongs to no question.
    """
    assert len(samples) == len(grades) == len(splits)
    _check_complete(items, samples, repeats)
    failed = [sample["status"] != "ok" for sample in samples]
    hits: Counter[str] = Counter()
    for sample, grade, is_failed in zip(samples, grades, failed, strict=True):
        hits[sample["question_id"]] += grade.is_correct and not is_failed
    means = {item.id: hits[item.id] / repeats for item in items}
    tokens = [
        sample["completion_tokens"]
        for sample, is_failed in zip(samples, failed, strict=True)
        if not is_failed
    ]
    num = len(samples)
    return {
        "num_questions": len(items),
        "repeats": repeats,
        "accuracy": statistics.fmean(means.values()),
        "standard_error": standard_error(list(means.values())),
        "by_category": _by_category(items, means),
        "mean_tokens": statistics.fmean(tokens) if tokens else None,
        "median_tokens": statistics.median(tokens) if tokens else None,
        "token_histogram": token_histogram(tokens),
        "truncation_rate": sum(sample["finish_reason"] == "length" for sample in samples) / num,
        "no_answer_rate": sum(grade.extracted is None for grade in grades) / num,
        "thinking_rate": sum(split.is_closed and bool(split.reasoning) for split in splits) / num,
        "failed": sum(failed),
    }


def standard_error(means: Sequence[float]) -> float | None:
    """Return the standard error of the mean of per-question means; None for a single question.

    Answers to one question are not independent, so questions and not answers are the unit.
    """
    if len(means) < 2:
        return None
    return statistics.stdev(means) / math.sqrt(len(means))


def token_histogram(tokens: Sequence[int]) -> dict[str, list[int]]:
    """Return counts in bins [edge, next edge) whose edges are 0 and the powers of two."""
    num_bins = max((count.bit_length() for count in tokens), default=0) + 1
    counts = [0] * num_bins
    for count in tokens:
        counts[count.bit_length()] += 1
    return {"edges": [0, *(2**power for power in range(num_bins))], "counts": counts}


def _by_category(
    items: Sequence[Item], means: Mapping[str, float]
) -> dict[str, dict[str, int | float]]:
    groups: dict[str, list[float]] = {}
    for item in items:
        groups.setdefault(item.category, []).append(means[item.id])
    return {
        category: {"num": len(values), "accuracy": statistics.fmean(values)}
        for category, values in sorted(groups.items())
    }


def _check_complete(
    items: Sequence[Item], samples: Sequence[Mapping[str, Any]], repeats: int
) -> None:
    expected = Counter(product((item.id for item in items), range(repeats)))
    found = Counter((sample["question_id"], sample["repeat"]) for sample in samples)
    if not expected:
        raise ValueError("nothing to score: the benchmark has no questions, or repeats is 0")
    for what, keys in (("missing", expected - found), ("not asked for", found - expected)):
        if keys:
            listed = [f"{question}#{repeat}" for question, repeat in sorted(keys)]
            raise ValueError(
                f"{keys.total()} samples are {what} (question#repeat): {', '.join(listed[:10])}"
                f"{', ...' if len(listed) > 10 else ''}; delete the samples file and run again"
            )
