"""Decontamination: find rows of a pool that contain text of a benchmark's questions.

A row is contaminated if it shares a piece of text with a question, or contains a short question.
`nt_pkg.prompts.cleaning.rules` has the two rules: what a piece is, and where short questions are
looked for. The published one is that of open-r1's script, with n = 8; NaturalReasoning, the paper's
pool, was cleaned with n = 13 (arXiv 2502.13124).

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
from nt_pkg.pools._base import RawRow
from nt_pkg.prompts.cleaning.ngrams import Grams, Integers, Sieve, blocks
from nt_pkg.prompts.cleaning.rules import RULES, Rule

logger = logging.getLogger("nt")

REASON = "contaminated"
BLOCK_CHARS = 1 << 18  # its arrays fit into a processor's cache
_SAY_EVERY_SECONDS = 10.0


@dataclass(frozen=True)
class Match:
    """The question of a benchmark that shares most with a text.

    `shared_ngrams` counts distinct n-grams. It is 0 for a short question, found as a whole.
    """

    benchmark: str
    question: str
    shared_ngrams: int


class Questions:
    """The n-grams of the questions of some benchmarks."""

    def __init__(
        self,
        items: Mapping[str, Sequence[Item]],
        ngram: int,
        rule: str = "plain",
        hash_bits: int = 64,
        block_chars: int = BLOCK_CHARS,
    ) -> None:
        """Index the questions.

        Args:
            items: items by name of the benchmark.
            ngram: words per n-gram, 2 at least.
            rule: "plain" or "published".
            hash_bits: bits of the hashes; fewer cost time but change no result.
            block_chars: characters processed at a time.
        """
        self.ngram, self.rule = ngram, rule
        self.num_questions = {name: len(each) for name, each in items.items()}
        self.num_short: Counter[str] = Counter()
        self._rule: Rule = RULES[rule](ngram, hash_bits)
        self._block_chars = block_chars
        self._items = [(name, each) for name in sorted(items) for each in items[name]]
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
        grams = self._rule.read(texts)
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
        for row, question in self._rule.short(grams):
            found.setdefault(row, Counter())[question] += 0
        return {row: self._best(found[row]) for row in sorted(found)}

    def _read(self) -> Iterator[Grams]:
        """Yield the n-grams of all questions; rows and bytes are numbered over all blocks."""
        forms = (
            (number, form)
            for number, (_, item) in enumerate(self._items)
            for form in self._rule.forms(item.question)
        )
        num_bytes, short = 0, set[int]()
        for block in blocks(forms, lambda each: len(each[1]), self._block_chars):
            numbers = np.array([number for number, _ in block])
            part = self._rule.read([form for _, form in block])
            for row in np.flatnonzero(part.sizes < self._rule.size).tolist():
                if self._rule.add_short(int(numbers[row]), part, row):
                    short.add(int(numbers[row]))
            yield replace(
                part,
                rows=numbers[part.rows],
                starts=part.starts + num_bytes,
                ends=part.ends + num_bytes,
            )
            num_bytes += len(part.text)
        self.num_short.update(self._items[number][0] for number in short)

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
            benchmark, item = self._items[question]
            match = Match(benchmark, item.id, number)
            before = best.get(benchmark, match)
            best[benchmark] = min(before, match, key=lambda m: (-m.shared_ngrams, m.question))
        return [best[name] for name in sorted(best)]


def _joined(parts: list[Integers]) -> Integers:
    return np.concatenate([np.zeros(0, np.int64), *parts])


class Decontamination:
    """Marks contaminated rows in a stream, and records what matched."""

    def __init__(self, questions: Questions) -> None:
        """Start without matches of questions that must not be in a row."""
        self._questions = questions
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
            matches = self._questions.matches([row.question for row in block])
            for position, row in enumerate(block):
                found = matches.get(position, [])
                self._found += [(row.source_row, match) for match in found]
                yield RawRow(row.source_row, "", defect=REASON) if found else row

    def account(self) -> dict[str, Any]:
        """Return what has matched in the rows read so far."""
        rows = Counter(match.benchmark for _, match in self._found)
        return {
            "rule": self._questions.rule,
            "ngram": self._questions.ngram,
            "benchmarks": {
                name: {
                    "questions": number,
                    "short_questions": self._questions.num_short[name],  # without an n-gram
                    "contaminated_rows": rows[name],
                }
                for name, number in sorted(self._questions.num_questions.items())
            },
            "matches": [
                {
                    "source_row": row,
                    "benchmark": match.benchmark,
                    "question": match.question,
                    "shared_ngrams": match.shared_ngrams,
                }
                for row, match in sorted(self._found, key=lambda each: (each[0], each[1].benchmark))
            ],
        }


def start_decontamination(
    spec: Mapping[str, Any], folders: Sequence[Path | None]
) -> Decontamination:
    """Return the decontamination of a pool.

    Args:
        spec: `decontaminate` of the pool's spec: ngram, rule, and against, a list of benchmarks
            with benchmark (its name), kind and params.
        folders: folder with the files of each of these benchmarks; None for generated ones.

    Raises:
        ValueError: a benchmark's files cannot be read.
    """
    items = {
        each["benchmark"]: load_items(each["kind"], each["params"], folder)
        for each, folder in zip(spec["against"], folders, strict=True)
    }
    found = Decontamination(Questions(items, spec["ngram"], spec["rule"]))
    for name, count in found.account()["benchmarks"].items():
        logger.info(
            "decontamination: %d questions of %s, %d of them too short for an n-gram",
            *(count["questions"], name, count["short_questions"]),
        )
    return found
