"""Near-duplicates are those of the definition: n-grams in common, the earlier question stays."""

from collections.abc import Sequence
from functools import cache
from random import Random
from typing import Any

import pytest

from nt_pkg.files.schemas import Row
from nt_pkg.identity.question_id import normalised_id, question_id
from nt_pkg.identity.seeds import rng
from nt_pkg.plan.study_plan import Plan
from nt_pkg.plan.validate import load_study
from nt_pkg.pools._base import RawRow
from nt_pkg.prompts.cleaning import near_duplicates
from nt_pkg.prompts.cleaning.near_duplicates import finder, num_bands
from nt_pkg.prompts.ingest import ingest

SPEC = {"threshold": 0.55, "ngram": 3}


@cache
def grams(text: str) -> frozenset[tuple[str, ...]]:
    words = text.lower().split()
    return frozenset(zip(words, words[1:], words[2:], strict=False))


def similarity(one: str, other: str) -> float:
    either = grams(one) | grams(other)
    return len(grams(one) & grams(other)) / len(either) if either else 0.0


def by_definition(texts: Sequence[str], threshold: float) -> set[int]:
    """Return the rows that are dropped if every pair is compared."""
    kept: list[int] = []
    for row, text in enumerate(texts):
        if all(similarity(text, texts[other]) < threshold for other in kept):
            kept.append(row)
    return set(range(len(texts))) - set(kept)


def edited(draw: Random, text: str, edits: int) -> str:
    words = text.split()
    for at in draw.sample(range(len(words)), min(edits, len(words))):
        words[at] = f"new{draw.randrange(1000)}"
    return " ".join(words)


def questions(draw: Random, number: int) -> list[str]:
    """Return questions; each but the first 100 is an edited copy of an earlier one, or new."""
    found: list[str] = []
    for row in range(number):
        if row < 100 or row % 2:
            found.append(" ".join(f"w{draw.randrange(3000)}" for _ in range(draw.randrange(2, 60))))
        else:
            found.append(edited(draw, draw.choice(found), draw.randrange(1, 5)))
    return found


def find(texts: Sequence[str]) -> dict[int, int]:
    return finder(SPEC)(enumerate(texts))


def test_rows_found_are_those_of_the_definition() -> None:
    """Nothing is dropped that must not be, and of the rest at most 1 % is missed."""
    texts = questions(rng("near-duplicates"), 800)
    expected = by_definition(texts, 0.55)
    assert 150 < len(expected) < 400

    found = find(texts)

    for row, kept in found.items():
        assert kept < row and kept not in found
        assert similarity(texts[row], texts[kept]) >= 0.55
    assert set(found) <= expected
    assert len(found) >= 0.99 * len(expected)


def test_order_and_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = rng("order")
    rows = list(enumerate(questions(draw, 300)))
    expected = finder(SPEC)(rows)
    for block_chars in (1, 1000, 1 << 18):
        monkeypatch.setattr(near_duplicates, "_BLOCK_CHARS", block_chars)
        draw.shuffle(rows)
        assert finder(SPEC)(rows) == expected != {}


def words(first: int, last: int) -> str:
    return " ".join(f"w{number}" for number in range(first, last))


def test_similarity_of_the_threshold_is_enough() -> None:
    """11 of 20 n-grams are 0.55, and 10 of 20 are less."""
    first = words(0, 17)
    assert similarity(first, words(4, 22)) == 11 / 20
    assert similarity(first, words(5, 22)) == 10 / 20

    assert find([first, words(4, 22)]) == {1: 0}
    assert find([first, words(5, 22)]) == {}


def test_a_row_is_dropped_only_for_one_that_it_resembles() -> None:
    """The third resembles the second alone, which is gone: it stays."""
    chain = [words(0, 40), words(8, 48), words(16, 56)]
    assert [similarity(chain[0], each) >= 0.55 for each in chain[1:]] == [True, False]
    assert similarity(chain[1], chain[2]) >= 0.55

    assert find(chain) == {1: 0}


def test_the_most_similar_kept_row_is_named() -> None:
    texts = [words(0, 40), words(14, 54), words(6, 46), words(13, 53)]
    assert similarity(texts[0], texts[1]) < 0.55

    assert find(texts) == {2: 0, 3: 1}


def test_many_copies_of_one_question_are_compared_with_it_alone() -> None:
    """All pairs of them would be two millions, each in up to 90 buckets."""
    draw = rng("copies")
    texts = [words(0, 50), *(edited(draw, words(0, 50), 1) for _ in range(2000))]

    assert find(texts) == dict.fromkeys(range(1, len(texts)), 0)


def test_texts_without_an_ngram_repeat_nothing() -> None:
    assert find([]) == {}
    assert find(["a b", "a b", "", "", "A B"]) == {}
    assert find(["a b", "a b c", "a b c"]) == {2: 1}


def test_bands_are_as_many_as_the_threshold_asks_for() -> None:
    for threshold in (0.5, 0.55, 0.8, 0.95):
        missed = (1 - threshold**5) ** num_bands(threshold)
        assert missed <= 0.01 < (1 - threshold**5) ** (num_bands(threshold) - 1)
    assert num_bands(0.55) == 90


ASKED = "How many positive whole-number divisors does the number 196 have in all"


def test_dropped_rows_name_the_row_that_stays() -> None:
    rows = [
        RawRow(0, "What is it?"),
        RawRow(1, f"{ASKED}?"),
        RawRow(2, f"Say: {ASKED}?"),
        RawRow(3, "what  IS it?"),
        RawRow(4, f"say: {ASKED}?"),
        RawRow(5, f"<think> {ASKED}?"),
    ]
    expected = None
    for turn in range(3):
        kept: list[Row] = []
        turned = [*rows[2 * turn :], *rows[: 2 * turn]]
        dropped, counts = ingest(turned, kept.extend, find_repeats=finder(SPEC))

        assert sorted(each["source_row"] for each in kept) == [0, 1]
        assert counts == {
            "read": 6, "kept": 2, "duplicate": 2, "near_duplicate": 1, "reasoning_tags": 1,
        }  # fmt: skip
        assert [(each["source_row"], each["reason"], each["repeats"]) for each in dropped] == [
            (2, "near_duplicate", question_id(f"{ASKED}?")),
            (3, "duplicate", question_id("What is it?")),
            (4, "duplicate", question_id(f"Say: {ASKED}?")),
            (5, "reasoning_tags", None),
        ]
        assert expected in (None, (kept, dropped, counts))
        expected = (kept, dropped, counts)


def test_answers_to_one_question_do_not_repeat_each_other() -> None:
    """They stay or go together; a question that goes names the first answer that stays."""
    rows = [
        RawRow(0, f"{ASKED}?", replay="a", copy=1),
        RawRow(1, f"{ASKED}?", replay="b"),
        RawRow(2, f"{ASKED}?", replay="c", copy=2),
        RawRow(3, f"Say: {ASKED}?", replay="d"),
        RawRow(4, f"Say: {ASKED}?", replay="e", copy=1),
        RawRow(5, f"say: {ASKED}?", replay="f", copy=1),
    ]
    kept: list[Row] = []
    dropped, counts = ingest(reversed(rows), kept.extend, find_repeats=finder(SPEC))

    first, said = normalised_id(f"{ASKED}?".casefold(), 1), f"say: {ASKED}?".casefold()
    assert sorted(row["replay"] for row in kept) == ["a", "b", "c"]
    assert counts == {"read": 6, "kept": 3, "duplicate": 1, "near_duplicate": 2}
    assert [(each["source_row"], each["reason"], each["repeats"]) for each in dropped] == [
        (3, "near_duplicate", first),
        (4, "near_duplicate", first),
        (5, "duplicate", normalised_id(said, 1)),
    ]


def test_spec_says_what_was_looked_for(demo: dict[str, Any]) -> None:
    def spec(**options: Any) -> str:
        demo["pools"]["micro"]["near_duplicates"] = options
        return Plan(load_study(demo)).pool_spec("micro")

    without = Plan(load_study(demo)).pool_spec("micro")
    assert "near_duplicates" not in without
    assert spec() == spec(threshold=0.55, ngram=3) != without
    assert len({spec(), spec(threshold=0.6), spec(ngram=5)}) == 3
