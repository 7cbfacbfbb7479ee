"""Which answers a reader can open on the page, and how much of each."""

from collections.abc import Sequence
from dataclasses import replace

from nt_pkg.report.records import Sample

MAX_SAMPLES = 24  # of one benchmark: nobody reads more, and 100 runs of long traces take megabytes
MAX_LETTERS = 6000  # of one text: the beginning and the end of a reasoning say most


def choose_samples(samples: Sequence[Sample]) -> list[Sample]:
    """Return up to 24 samples of every benchmark, spread over the runs, half of them right.

    The middle of texts of more than 6,000 characters is cut, with a note of how much.
    """
    chosen: list[Sample] = []
    for benchmark in sorted({sample.benchmark for sample in samples}):
        inside = [sample for sample in samples if sample.benchmark == benchmark]
        right = [sample for sample in inside if sample.is_correct]
        wrong = [sample for sample in inside if not sample.is_correct]
        fewer = min(len(right), len(wrong), MAX_SAMPLES // 2)
        few, many = sorted((right, wrong), key=len)
        kept = [*_spread(few, fewer), *_spread(many, MAX_SAMPLES - fewer)]
        places = {id(sample) for sample in kept}
        chosen += [sample for sample in inside if id(sample) in places]
    return [
        replace(
            sample,
            question=shorten(sample.question),
            reasoning=shorten(sample.reasoning or ""),
            answer=shorten(sample.answer or ""),
            gold=shorten(sample.gold or ""),
        )
        for sample in chosen
    ]


def _spread(samples: Sequence[Sample], number: int) -> list[Sample]:
    """Return about evenly spaced members, including the first."""
    if len(samples) <= number:
        return list(samples)
    return [samples[at * len(samples) // number] for at in range(number)]


def shorten(text: str) -> str:
    """Return a text of at most 6,000 characters and a note of how many were left out."""
    if len(text) <= MAX_LETTERS:
        return text
    head, tail = 2 * MAX_LETTERS // 3, MAX_LETTERS // 3
    left_out = len(text) - head - tail
    return f"{text[:head]}\n[... {left_out:,} characters left out ...]\n{text[-tail:]}"
