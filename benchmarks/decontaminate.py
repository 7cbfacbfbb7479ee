"""What decontamination costs, against the way of open-r1's script.

    python -m benchmarks.decontaminate [ROWS]             # also: make bench-decontaminate

Seeded synthetic prompts of about 55 words are searched for the 8-grams of 40,000 synthetic
questions of about 70 words in five benchmarks; parts of 200 questions are planted. Ours looks at
all rows (as many as NaturalReasoning has, if not said otherwise). The other way is written here
from its description: n-grams as strings, a set per benchmark, a set per row, a `datasets.map` per
benchmark in one process; it looks at the first 20,000 rows, and its hits are compared with ours.
Beside it stands the same without `datasets`, a bare loop. Times are CPU seconds of all threads,
without the making of the texts. Prints a table and as its last line one JSON object.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from nt_pkg.benchmarks._base import Item
from nt_pkg.decontamination import BLOCK_CHARS, Questions
from nt_pkg.ngrams import blocks
from tests.workflow.sandbox import table

ROWS = 1_145_824  # prompts of NaturalReasoning
SUBSET, CHUNK = 20_000, 20_000
NUM_BENCHMARKS, NUM_QUESTIONS, NUM_PLANTED = 5, 40_000, 200
PROMPT_WORDS, QUESTION_WORDS, NGRAM = 55, 70, 8
_VOCABULARY = 20_000


class Texts:
    """Random texts whose words are as unevenly frequent as those of a language."""

    def __init__(self, seed: int) -> None:
        self._draw = np.random.default_rng(seed)
        letters = self._draw.integers(97, 123, (_VOCABULARY, 12), np.uint8)
        lengths = self._draw.integers(3, 12, _VOCABULARY)
        words = [bytes(row[:n]).decode() for row, n in zip(letters, lengths, strict=True)]
        self._words = np.array(words, dtype=object)
        weights = 1 / (np.arange(_VOCABULARY) + 2.7)
        self._shares = np.cumsum(weights) / weights.sum()

    def make(self, number: int, words: int) -> list[str]:
        """Return `number` texts of `words` words, give or take ten, the first in upper case."""
        lengths = self._draw.integers(words - 10, words + 11, number)
        drawn = self._words[np.searchsorted(self._shares, self._draw.random(lengths.sum()))]
        ends = np.cumsum(lengths)
        pieces = zip(ends - lengths, ends, strict=True)
        return [" ".join(drawn[start:end]).capitalize() + "." for start, end in pieces]


def prompts(num_rows: int, questions: list[str]) -> Iterator[list[str]]:
    """Yield all prompts in chunks; half of the planted ones are among those that both ways see."""
    half = NUM_PLANTED // 2
    planted = np.linspace(0, min(num_rows, SUBSET), half, endpoint=False, dtype=int).tolist()
    if num_rows > SUBSET:
        planted += np.linspace(SUBSET, num_rows, half, endpoint=False, dtype=int).tolist()
    part = {row: questions[7 * at].split()[9:30] for at, row in enumerate(planted)}
    texts = Texts(seed=1)
    for first in range(0, num_rows, CHUNK):
        chunk = texts.make(min(CHUNK, num_rows - first), PROMPT_WORDS)
        for at in range(len(chunk)):
            if at % 5 == 0:  # a second paragraph
                chunk[at] = chunk[at].replace(" ", "\n\n", 1)
            if first + at in part:
                words = chunk[at].split()
                chunk[at] = " ".join([*words[:17], *part[first + at], *words[38:]])
        yield chunk


class OpenR1:
    """The n-gram decontamination of open-r1, from its description."""

    def __init__(self, benchmarks: dict[str, list[str]]) -> None:
        self._known = {
            name: {gram for text in texts for gram in self._grams(text)}
            for name, texts in benchmarks.items()
        }

    def hits(self, texts: list[str]) -> set[int]:
        """Return the rows that share an n-gram with a benchmark."""
        from datasets import Dataset  # type: ignore[import-untyped]

        found = Dataset.from_dict({"problem": texts})
        for name in self._known:
            # Named, because else datasets would pickle the whole set to name the result.
            found = found.map(self._finder(name), new_fingerprint=f"in{name}")
        columns = [found[f"in_{name}"] for name in self._known]
        return {row for row, marks in enumerate(zip(*columns, strict=True)) if any(marks)}

    def bare_hits(self, texts: list[str]) -> set[int]:
        """Return the same, without `datasets`."""
        finders = [(f"in_{name}", self._finder(name)) for name in self._known]
        return {
            row
            for key, find in finders
            for row, text in enumerate(texts)
            if find({"problem": text})[key]
        }

    def _finder(self, name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
        known = self._known[name]

        def find(row: dict[str, Any]) -> dict[str, Any]:
            grams = set(self._grams(row["problem"]))
            return {**row, f"in_{name}": any(gram in known for gram in grams)}

        return find

    @staticmethod
    def _grams(text: str) -> list[str]:
        words = text.lower().split()
        return [" ".join(words[at : at + NGRAM]) for at in range(len(words) - NGRAM + 1)]


def timed(find: Callable[[list[str]], set[int]], texts: list[str]) -> tuple[set[int], float]:
    """Return what a function finds, and its CPU seconds."""
    begun = time.process_time()
    return find(texts), time.process_time() - begun


def main() -> int:
    """Measure, print the table, and end with one JSON object."""
    num_rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    questions = Texts(seed=0).make(NUM_QUESTIONS, QUESTION_WORDS)
    benchmarks = {f"b{at}": questions[at::NUM_BENCHMARKS] for at in range(NUM_BENCHMARKS)}
    items = {
        name: [Item(str(number), text, "") for number, text in enumerate(texts)]
        for name, texts in benchmarks.items()
    }

    begun = time.process_time()
    index = Questions(items, NGRAM)
    indexed = time.process_time() - begun
    print(f"ours: index of {NUM_QUESTIONS} questions in {indexed:.1f} s", flush=True)
    hits: set[int] = set()
    seconds, done, said = 0.0, 0, time.monotonic()
    subset: list[str] = []
    for chunk in prompts(num_rows, questions):
        subset += chunk[: max(0, SUBSET - done)]
        begun = time.process_time()
        for block in blocks(chunk, len, BLOCK_CHARS):
            hits.update(done + row for row in index.matches(block))
            done += len(block)
        seconds += time.process_time() - begun
        if time.monotonic() - said > 10:
            said = time.monotonic()
            print(f"ours: {done} of {num_rows} rows in {seconds:.1f} s", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20

    import datasets

    datasets.disable_progress_bars()
    begun = time.process_time()
    other = OpenR1(benchmarks)
    other_indexed = time.process_time() - begun
    print(f"open-r1: index in {other_indexed:.1f} s", flush=True)
    other_hits, other_seconds = timed(other.hits, subset)
    bare_hits, bare_seconds = timed(other.bare_hits, subset)
    hits_equal = other_hits == bare_hits == {row for row in hits if row < SUBSET}

    rate, other_rate, bare_rate = (
        number / spent
        for number, spent in (
            (num_rows, seconds), (len(subset), other_seconds), (len(subset), bare_seconds),
        )
    )  # fmt: skip
    rows = [
        ("ours", num_rows, len(hits), f"{indexed:.1f}", f"{seconds:.1f}", round(rate)),
        ("open-r1's way", len(subset), len(other_hits), f"{other_indexed:.1f}",
         f"{other_seconds:.1f}", round(other_rate)),
        ("the same without datasets", len(subset), len(bare_hits), f"{other_indexed:.1f}",
         f"{bare_seconds:.1f}", round(bare_rate)),
    ]  # fmt: skip
    print(table(("what", "rows", "hits", "index, CPU s", "rows, CPU s", "rows/s per core"), rows))
    print(
        json.dumps(
            {
                "decontaminate_ratio_vs_open_r1": round(rate / other_rate, 1),
                "ratio_vs_bare_loop": round(rate / bare_rate, 1),
                "rows_per_second": round(rate),
                "seconds": round(indexed + seconds, 1),
                "peak_gib": round(peak, 2),
                "hits_equal": hits_equal,
            }
        )
    )
    return 0 if hits_equal else 1


if __name__ == "__main__":
    sys.exit(main())
