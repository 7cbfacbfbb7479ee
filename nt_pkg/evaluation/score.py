"""Scores: from split outputs and their grades to the numbers of one score file."""

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from nt_pkg.benchmarks._base import Grade, Item
from nt_pkg.dialogue.split_reasoning import Thought
from nt_pkg.statistics.histograms import token_histogram

MOST_UNANSWERED = 0.5  # a higher no-answer rate is a warning


def score(
    items: Sequence[Item],
    samples: Sequence[Mapping[str, Any]],
    grades: Sequence[Grade],
    splits: Sequence[Thought],
    repeats: int,
) -> dict[str, Any]:
    """Return the measured fields of a score file.

    A failed sample stays in the denominator as a wrong answer; only the token numbers leave it out,
    as they do samples whose tokens are not known.
    Accuracies and rates lie in [0, 1]; token numbers are of the whole completion. `accuracy` is
    micro, the mean over questions; `macro` holds the mean over the groups of each level.

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
    check_complete(items, samples, repeats)
    failed = [sample["status"] != "ok" for sample in samples]
    means = _question_means(items, samples, grades, repeats)
    counted = [
        sample
        for sample, is_failed in zip(samples, failed, strict=True)
        if not is_failed and sample["completion_tokens"] is not None
    ]
    tokens = [sample["completion_tokens"] for sample in counted]
    complete = [
        sample["completion_tokens"] for sample in counted if sample["finish_reason"] != "length"
    ]
    num = len(samples)
    return {
        "num_questions": len(items),
        "repeats": repeats,
        "accuracy": statistics.fmean(means.values()),
        "standard_error": standard_error(list(means.values())),
        "by_category": _by_group(_groups_of(items)["category"], means),
        "by_level": {
            level: _by_group(groups, means)
            for level, groups in _groups_of(items).items()
            if level != "category"
        },
        "macro": {
            level: macro([[means[each] for each in group] for group in groups.values()])
            for level, groups in _groups_of(items).items()
            if len(groups) > 1
        },
        "mean_tokens": statistics.fmean(tokens) if tokens else None,
        "mean_tokens_complete": statistics.fmean(complete) if complete else None,
        "median_tokens": statistics.median(tokens) if tokens else None,
        "token_histogram": token_histogram(tokens),
        "truncation_rate": sum(sample["finish_reason"] == "length" for sample in samples) / num,
        "no_answer_rate": sum(grade.extracted is None for grade in grades) / num,
        "thinking_rate": sum(split.is_closed and bool(split.reasoning) for split in splits) / num,
        "failed": sum(failed),
    }


def standard_error(means: Sequence[float]) -> float | None:
    """Return the standard error of the mean of per-question means; None for a single question.

    Answers to one question are not independent, so questions and not answers are the unit. This is
    what resampling questions, with all their answers, comes to with ever more draws, times
    sqrt(n / (n - 1)): exact, without a seed, and at once for 26,529 questions.
    """
    if len(means) < 2:
        return None
    return statistics.stdev(means) / math.sqrt(len(means))


def accuracy_of(
    items: Sequence[Item],
    samples: Sequence[Mapping[str, Any]],
    grades: Sequence[Grade],
    repeats: int,
) -> dict[str, float | None]:
    """Return accuracy, standard error and no-answer rate by another grader's verdicts."""
    means = _question_means(items, samples, grades, repeats)
    return {
        "accuracy": statistics.fmean(means.values()),
        "standard_error": standard_error(list(means.values())),
        "no_answer_rate": sum(grade.extracted is None for grade in grades) / len(grades),
    }


def macro(groups: Sequence[Sequence[float]]) -> dict[str, float | int | None]:
    """Return the mean over groups of the mean over their questions, with its standard error.

    The error is that of resampling questions inside every group, in closed form. A group of one
    question has no spread of its own and takes that of all questions.
    """
    overall = [value for group in groups for value in group]
    error = None
    if len(overall) > 1:
        spread = statistics.variance(overall)
        parts = [(statistics.variance(g) if len(g) > 1 else spread) / len(g) for g in groups]
        error = math.sqrt(math.fsum(parts)) / len(groups)
    return {
        "num_groups": len(groups),
        "accuracy": statistics.fmean(map(statistics.fmean, groups)),
        "standard_error": error,
    }


def _question_means(
    items: Sequence[Item],
    samples: Sequence[Mapping[str, Any]],
    grades: Sequence[Grade],
    repeats: int,
) -> dict[str, float]:
    """Return the share of right answers of every question; a failed sample is wrong."""
    hits: Counter[str] = Counter()
    for sample, grade in zip(samples, grades, strict=True):
        hits[sample["question_id"]] += grade.is_correct and sample["status"] == "ok"
    return {item.id: hits[item.id] / repeats for item in items}


def _groups_of(items: Sequence[Item]) -> dict[str, dict[str, list[str]]]:
    """Return the ids of every group of every level, "category" first."""
    found: dict[str, dict[str, list[str]]] = {"category": {}}
    for item in items:
        for level, name in (("category", item.category), *item.levels):
            found.setdefault(level, {}).setdefault(name, []).append(item.id)
    return {level: dict(sorted(groups.items())) for level, groups in found.items()}


def _by_group(
    groups: Mapping[str, Sequence[str]], means: Mapping[str, float]
) -> dict[str, dict[str, int | float | None]]:
    found: dict[str, dict[str, int | float | None]] = {}
    for name, ids in groups.items():
        values = [means[each] for each in ids]
        found[name] = {
            "num": len(values),
            "accuracy": statistics.fmean(values),
            "standard_error": standard_error(values),
        }
    return found


def check_complete(
    items: Sequence[Item], samples: Sequence[Mapping[str, Any]], repeats: int
) -> None:
    """Refuse samples that are not exactly one per question and repeat.

    Raises:
        ValueError: a sample is missing, stands there twice or belongs to no question.
    """
    expected = Counter(product((item.id for item in items), range(repeats)))
    found = Counter((sample["question_id"], sample["repeat"]) for sample in samples)
    if not expected:
        raise ValueError("nothing to score: the benchmark has no questions, or repeats is 0")
    for what, keys in (("missing", expected - found), ("not asked for", found - expected)):
        if keys:
            listed = [f"{question}#{repeat}" for question, repeat in sorted(keys)]
            raise ValueError(
                f"{keys.total()} samples are {what} (question#repeat): {', '.join(listed[:10])}"
                f"{', ...' if len(listed) > 10 else ''}; the samples belong to other "
                "questions, or were not written by this project: start the study again with "
                "--forcerun sample_answers"
            )
