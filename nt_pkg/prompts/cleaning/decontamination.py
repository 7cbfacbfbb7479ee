"""Decontamination: find rows of a pool that contain text of a benchmark's questions.

A row is contaminated if it shares a word n-gram with a question, or if it equals a question of
fewer than n words. Words are separated by white space in the lower-cased text, as in open-r1's
script. NaturalReasoning, the paper's pool, was cleaned with n = 13 (arXiv 2502.13124); open-r1 and
s1 use n = 8. The fuzzy rule of open-thoughts may be added: a row that is nearly a question, letter
by letter.

Hashes only propose candidates. Every hit is confirmed by comparing the words, so a collision never
drops a row.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nt_pkg.benchmarks._base import Item
from nt_pkg.benchmarks._questions import load_items
from nt_pkg.identity.caseless import caseless
from nt_pkg.pools._base import RawRow
from nt_pkg.prompts.cleaning.fuzzy import FuzzyTexts
from nt_pkg.prompts.cleaning.ngrams import Grams, Hasher, Integers, Sieve, blocks

logger = logging.getLogger("nt")

REASON = "contaminated"
BLOCK_CHARS = 1 << 18  # its arrays fit into a processor's cache
_SAY_EVERY_SECONDS = 10.0


@dataclass(frozen=True)
class Match:
    """The question of a benchmark that shares most with a text.

    `shared_ngrams` counts distinct n-grams. It is 0 if the text equals a question of fewer than n
    words, or nearly equals one: then `ratio` is their similarity, up to 100.
    """

    benchmark: str
    question: str
    shared_ngrams: int
    ratio: float | None = None


class Questions:
    """The n-grams of the questions of some benchmarks."""

    def __init__(
        self,
        items: Mapping[str, Sequence[Item]],
        ngram: int,
        hash_bits: int = 64,
        block_chars: int = BLOCK_CHARS,
    ) -> None:
        """Index the questions.

        Args:
            items: items by name of the benchmark.
            ngram: words per n-gram, 2 at least.
            hash_bits: bits of the hashes; fewer cost time but change no result.
            block_chars: characters processed at a time.
        """
        self.ngram = ngram
        self.num_questions = {name: len(each) for name, each in items.items()}
        self.num_short: Counter[str] = Counter()
        self._hasher, self._block_chars = Hasher(ngram, hash_bits), block_chars
        self.items = [(name, each) for name in sorted(items) for each in items[name]]
        self._short: dict[str, set[int]] = {}
        self._longest_short = 0
        self._members: dict[int, dict[bytes, set[int]]] = {}
        parts = list(self._read())
        self._text = b"".join(part.text for part in parts)
        hashes = np.concatenate([np.zeros(0, np.uint64), *(part.hashes for part in parts)])
        order = np.argsort(hashes, kind="stable")
        self._question = _joined([part.rows for part in parts])[order]
        self._starts = _joined([part.starts for part in parts])[order]
        self._ends = _joined([part.ends for part in parts])[order]
        self._hashes, self._first = np.unique(hashes[order], return_index=True)
        self._last = np.append(self._first[1:], len(hashes))
        self._sieve = Sieve(self._hashes, hash_bits)

    def matches(self, texts: Sequence[str]) -> dict[int, list[Match]]:
        """Return the contaminated texts by position, with the best match of each benchmark."""
        grams = self._hasher.grams(texts)
        shared: dict[int, set[bytes]] = {}
        groups: dict[bytes, int] = {}
        for position, group in self._candidates(grams):
            words = grams.gram(position)
            if words in self._group(group):
                shared.setdefault(int(grams.rows[position]), set()).add(words)
                groups[words] = group
        found = {
            row: Counter(
                question for words in each for question in self._members[groups[words]][words]
            )
            for row, each in shared.items()
        }
        # The normalised text has at least as many words, so these rows are all that could be short.
        for row in np.flatnonzero(grams.num_words <= self._longest_short).tolist():
            for question in self._short.get(caseless(texts[row]), ()):
                found.setdefault(row, Counter())[question] += 0
        return {row: self._best(found[row]) for row in sorted(found)}

    def _read(self) -> Iterator[Grams]:
        """Yield the n-grams of all questions; rows and bytes are numbered over all blocks."""
        num_questions = num_bytes = 0
        questions = (item.question for _, item in self.items)
        for texts in blocks(questions, len, self._block_chars):
            part = self._hasher.grams(texts)
            for row in np.flatnonzero(part.num_words < self.ngram).tolist():
                self._add_short(num_questions + row)
            yield replace(
                part,
                rows=part.rows + num_questions,
                starts=part.starts + num_bytes,
                ends=part.ends + num_bytes,
            )
            num_questions += len(texts)
            num_bytes += len(part.text)

    def _add_short(self, question: int) -> None:
        benchmark, item = self.items[question]
        if text := caseless(item.question):
            self.num_short[benchmark] += 1
            self._short.setdefault(text, set()).add(question)
            self._longest_short = max(self._longest_short, len(text.split()))

    def _candidates(self, grams: Grams) -> Iterator[tuple[int, int]]:
        """Yield position and group of the n-grams that have the hash of a question's n-gram."""
        if not len(self._hashes):
            return iter(())
        positions = self._sieve.maybe(grams.hashes)
        hashes = grams.hashes[positions]
        groups = np.searchsorted(self._hashes, hashes)
        groups[groups == len(self._hashes)] = 0
        hits = np.flatnonzero(self._hashes[groups] == hashes)
        return zip(positions[hits].tolist(), groups[hits].tolist(), strict=True)

    def _group(self, group: int) -> dict[bytes, set[int]]:
        """Return the n-grams with one hash, each with its questions."""
        if group not in self._members:
            members: dict[bytes, set[int]] = {}
            for entry in range(self._first[group], self._last[group]):
                words = self._text[self._starts[entry] : self._ends[entry]]
                members.setdefault(words, set()).add(int(self._question[entry]))
            self._members[group] = members
        return self._members[group]

    def _best(self, shared: Mapping[int, int]) -> list[Match]:
        best: dict[str, Match] = {}
        for question, number in shared.items():
            benchmark, item = self.items[question]
            match = Match(benchmark, item.id, number)
            before = best.get(benchmark, match)
            best[benchmark] = min(before, match, key=lambda m: (-m.shared_ngrams, m.question))
        return [best[name] for name in sorted(best)]


def _joined(parts: list[Integers]) -> Integers:
    return np.concatenate([np.zeros(0, np.int64), *parts])


class _NearlyQuestions:
    """The questions of some benchmarks, to find texts with nearly the same letters."""

    def __init__(self, items: Sequence[tuple[str, Item]], threshold: float) -> None:
        self._items = items
        texts = [caseless(item.question) for _, item in items]
        self._texts = FuzzyTexts(texts, threshold)

    def matches(self, texts: Sequence[str]) -> dict[int, list[Match]]:
        """Return the texts that are nearly a question, by position, with the nearest matches."""
        best: dict[int, dict[str, Match]] = {}
        for row, known, ratio in self._texts.matches([caseless(text) for text in texts]):
            benchmark, item = self._items[known]
            match = Match(benchmark, item.id, 0, ratio)
            own = best.setdefault(row, {})
            before = own.get(benchmark, match)
            own[benchmark] = min(before, match, key=lambda m: (-(m.ratio or 0), m.question))
        return {row: list(own.values()) for row, own in best.items()}


class Decontamination:
    """Marks contaminated rows in a stream, and records what matched."""

    def __init__(self, questions: Questions, fuzzy: float | None = None) -> None:
        """Start without matches.

        Args:
            questions: questions that must not be in a row.
            fuzzy: lowest ratio at which a row counts as nearly a question; None turns this off.
        """
        self._questions, self._fuzzy = questions, fuzzy
        self._nearly = _NearlyQuestions(questions.items, fuzzy) if fuzzy else None
        self._found: list[tuple[int, Match]] = []

    def mark(self, rows: Iterable[RawRow]) -> Iterator[RawRow]:
        """Yield all rows; contaminated ones get the defect "contaminated" and lose their text.

        Rows with other defects are checked too, because the list of dropped rows shows the
        beginning of their text. A benchmark's text must not be written anywhere: some benchmarks
        are distributed on the condition that they never become public.
        """
        num_rows, said = 0, time.monotonic()
        for block in blocks(rows, lambda row: len(row.question) + 1, BLOCK_CHARS):
            num_rows += len(block)
            if time.monotonic() - said > _SAY_EVERY_SECONDS:
                said = time.monotonic()
                logger.info("decontamination: %d rows, %d matches", num_rows, len(self._found))
            matches = self._matches([row.question for row in block])
            for position, row in enumerate(block):
                found = matches.get(position, [])
                self._found += [(row.source_row, match) for match in found]
                yield RawRow(row.source_row, "", defect=REASON) if found else row

    def _matches(self, texts: list[str]) -> dict[int, list[Match]]:
        matches = self._questions.matches(texts)
        for row, nearly in (self._nearly.matches(texts) if self._nearly else {}).items():
            found = matches.setdefault(row, [])
            known = {match.benchmark for match in found}
            found += [match for match in nearly if match.benchmark not in known]
        return matches

    def account(self) -> dict[str, Any]:
        """Return what has matched in the rows read so far."""
        rows = Counter(match.benchmark for _, match in self._found)
        nearly = Counter(match.benchmark for _, match in self._found if match.ratio)
        return {
            "ngram": self._questions.ngram,
            **({"fuzzy": self._fuzzy} if self._fuzzy else {}),
            "benchmarks": {
                name: {
                    "questions": number,
                    "short_questions": self._questions.num_short[name],  # fewer than n words
                    "contaminated_rows": rows[name],
                    **({"fuzzy_rows": nearly[name]} if self._fuzzy else {}),
                }
                for name, number in sorted(self._questions.num_questions.items())
            },
            "matches": [
                {
                    "source_row": row,
                    "benchmark": match.benchmark,
                    "question": match.question,
                    "shared_ngrams": match.shared_ngrams,
                    **({"ratio": round(match.ratio, 2)} if match.ratio else {}),
                }
                for row, match in sorted(self._found, key=lambda each: (each[0], each[1].benchmark))
            ],
        }


def start_decontamination(
    spec: Mapping[str, Any], folders: Sequence[Path | None]
) -> Decontamination:
    """Return the decontamination of a pool.

    Args:
        spec: `decontaminate` of the pool's spec: ngram, optionally fuzzy, and against, a list of
            benchmarks with benchmark (its name), kind and params.
        folders: folder with the files of each of these benchmarks; None for generated ones.

    Raises:
        ValueError: a benchmark's files cannot be read.
    """
    items = {
        each["benchmark"]: load_items(each["kind"], each["params"], folder)
        for each, folder in zip(spec["against"], folders, strict=True)
    }
    found = Decontamination(Questions(items, spec["ngram"]), spec.get("fuzzy"))
    for name, count in found.account()["benchmarks"].items():
        logger.info(
            "decontamination: %d questions of %s, %d of them shorter than %d words",
            *(count["questions"], name, count["short_questions"], spec["ngram"]),
        )
    return found
