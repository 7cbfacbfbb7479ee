r"""Synthetic rows in the shape of NaturalReasoning; text of benchmarks stands in some of them.

Lengths and shares are those of the public set (paper.md is silent; its card and arXiv 2502.13124):
questions of 55 words, reference answers none, of one word, of 2 to 9 and longer ones, answers of
the second model of 430 words. Words are as unevenly frequent as those of a language, and there are
formulas and signs outside ASCII, so that JSON has something to escape.

Our choice: one question in 200 is an earlier one in other letters, one in 100 an earlier one with
two words changed; parts of 200 questions of the benchmarks are planted, half of them in the rows
that the slow peers see too.

A file depends on the seed and its own number only, and is written once.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PART_ROWS = 50_000
NUM_BENCHMARKS, NUM_QUESTIONS, QUESTION_WORDS = 5, 40_000, 70
NUM_PLANTED, PEER_ROWS = 200, 20_000
_PROMPT_WORDS, _ANSWER_WORDS, _TRACE_WORDS = 55, 430, 3400  # 3,400 words are about 4,400 tokens
_SHARES = np.cumsum([0.1829, 0.0971, 0.2158, 0.5042])  # none, one word, short, long
_STATED = np.cumsum([0.45, 0.15, 0.40])  # a number, an expression, prose
_VOCABULARY, _BOOK_WORDS = 20_000, 3_000_000
_SECONDS_BETWEEN_LINES = 10.0

Integers = NDArray[np.int64]


class Language:
    """Words of which frequent ones are short, and texts of them."""

    def __init__(self, seed: int) -> None:
        """Draw the words; texts come from a generator with the same seed."""
        draw = np.random.default_rng(0)  # one language, whatever is said in it
        letters = draw.integers(97, 123, (_VOCABULARY, 14), np.uint8)
        sizes = np.rint(
            1.0 + 0.6 * np.log2(np.arange(_VOCABULARY) + 2) + draw.normal(0, 1, _VOCABULARY)
        )
        sizes = np.clip(sizes, 1, 14).astype(int)
        words = [bytes(row[:n]).decode() for row, n in zip(letters, sizes, strict=True)]
        for at in range(30, _VOCABULARY, 40):
            words[at] = (f"$x_{{{at}}}$", f"\\frac{{{at}}}{{7}}", f'"{words[at]}"', f"{at}\u00b0")[
                at // 40 % 4
            ]
        self._words = np.array(words, dtype=object)
        weights = 1 / (np.arange(_VOCABULARY) + 2.7)
        self._shares = np.cumsum(weights) / weights.sum()
        self._draw = np.random.default_rng(seed)

    def words(self, number: int) -> "NDArray[np.object_]":
        """Return words in the order of a text, shape (number,)."""
        picked: NDArray[np.object_] = self._words[
            np.searchsorted(self._shares[:-1], self._draw.random(number))
        ]
        return picked

    def texts(self, number: int, words: int) -> list[str]:
        """Return texts of `words` words, give or take ten."""
        lengths = self._draw.integers(words - 10, words + 11, number)
        drawn = self.words(int(lengths.sum()))
        ends = np.cumsum(lengths)
        pieces = zip(ends - lengths, ends, strict=True)
        return [" ".join(drawn[start:end]).capitalize() + "." for start, end in pieces]


class Book:
    """One long text, of which long answers are pieces: what matters of them is their length."""

    def __init__(self) -> None:
        """Write the book: a sentence of 18 words, a paragraph of 72."""
        words = Language(seed=7).words(_BOOK_WORDS)
        words[17::18] += "."
        words[71::72] += "\n"
        self._text = " ".join(words)
        sizes = np.fromiter((len(word) for word in words), np.int64, len(words)) + 1
        self._starts = np.cumsum(sizes) - sizes

    def pieces(self, draw: np.random.Generator, lengths: Integers) -> list[str]:
        """Return pieces of so many words, from anywhere in the book."""
        firsts = draw.integers(0, _BOOK_WORDS - int(lengths.max()) - 1, len(lengths))
        starts, ends = self._starts[firsts], self._starts[firsts + lengths]
        return [self._text[a : b - 1] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]

    def traces(self, draw: np.random.Generator, number: int) -> list[str]:
        """Return as many reasonings of 4,400 tokens, a few of them three times as long."""
        lengths = draw.lognormal(np.log(_TRACE_WORDS), 0.5, number).clip(50, 14_000)
        return self.pieces(draw, lengths.astype(np.int64))


def questions() -> list[list[str]]:
    """Return the questions of each benchmark."""
    texts = Language(seed=1).texts(NUM_QUESTIONS, QUESTION_WORDS)
    return [texts[at::NUM_BENCHMARKS] for at in range(NUM_BENCHMARKS)]


def stated(draw: np.random.Generator) -> str:
    """Return what an answer comes down to: a number, an expression, or words."""
    kind, value = np.searchsorted(_STATED, draw.random()), draw.integers(1, 9)
    return (f"{value}", f"\\frac{{{value}}}{{x+1}}", f"it grows by about {value} parts")[kind]


def write_benchmarks(folder: Path) -> list[Path]:
    """Write the benchmarks in the shape of MATH-500, if they are not there; return their files."""
    paths = [folder / f"benchmark-{at}" / "test.jsonl" for at in range(NUM_BENCHMARKS)]
    if not all(path.exists() for path in paths):
        for path, texts in zip(paths, questions(), strict=True):
            rows = (
                {"problem": text, "answer": "1", "subject": "any", "unique_id": str(at)}
                for at, text in enumerate(texts)
            )
            _write(path, rows)
    return paths


def write_parts(folder: Path, num_rows: int) -> None:
    """Write the files of the first rows that are not there yet; the last has rows to spare."""
    num_parts = -(-num_rows // PART_ROWS)
    missing = [at for at in range(num_parts) if not part_path(folder, at).exists()]
    if not missing:
        return
    book, planted, said = Book(), _planted(), time.monotonic()
    for count, at in enumerate(missing):
        _write(part_path(folder, at), _rows(book, at, planted))
        if time.monotonic() - said > _SECONDS_BETWEEN_LINES:
            said = time.monotonic()
            print(f"rows: {count + 1} of {len(missing)} files", file=sys.stderr, flush=True)


def part_path(folder: Path, number: int) -> Path:
    """Return where a file of rows stands."""
    return folder / "pool" / f"part-{number:03}.jsonl"


def _planted() -> dict[int, list[str]]:
    """Return words of a benchmark's question by the row that they are planted in."""
    half, first = NUM_PLANTED // 2, questions()[0]
    rows = np.linspace(3, PEER_ROWS, half, endpoint=False, dtype=int).tolist()
    rows += np.linspace(PEER_ROWS + 3, 1_100_000, half, endpoint=False, dtype=int).tolist()
    return {row: first[at].split()[9:30] for at, row in enumerate(rows)}


def _rows(book: Book, part: int, planted: dict[int, list[str]]) -> "Any":
    draw = np.random.default_rng([2, part])
    asked = Language(seed=100 + part).texts(PART_ROWS, _PROMPT_WORDS)
    for at in range(1, PART_ROWS):
        row = part * PART_ROWS + at
        if row in planted:
            words = asked[at].split()
            asked[at] = " ".join([*words[:17], *planted[row], *words[38:]])
        elif at % 200 == 57:
            asked[at] = asked[at - 50].upper()
        elif at % 100 == 23:
            asked[at] = f"So, {asked[at - 20]} Why"
        elif at % 5 == 0:  # a second paragraph
            asked[at] = asked[at].replace(". ", ".\n\n").replace(" ", "\n\n", 1)
    for first in range(0, PART_ROWS, 1000):
        lengths = draw.normal(_ANSWER_WORDS, 120, 1000).clip(60, 1500).astype(np.int64)
        answers = book.pieces(draw, lengths)
        kinds = np.searchsorted(_SHARES[:-1], draw.random(1000))
        sizes = np.choose(
            kinds, [1, 1, draw.integers(2, 10, 1000), 10 + draw.geometric(0.02, 1000)]
        )
        references = book.pieces(draw, sizes.clip(1, 400))
        for at in range(1000):
            yield {
                "question": asked[first + at],
                "reference_answer": references[at].strip() if kinds[at] else "",
                "responses": [
                    {
                        "response_model": "Llama3.3-70B-Instruct",
                        "response": f"{answers[at]}\n\nThe answer is $\\boxed{{{stated(draw)}}}$.",
                    }
                ],
            }


def _write(path: Path, rows: "Any") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    temporary.rename(path)


if __name__ == "__main__":
    write_benchmarks(Path(sys.argv[1]))
    write_parts(Path(sys.argv[1]), int(sys.argv[2]))
