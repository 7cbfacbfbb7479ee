"""The fuzzy rule finds what comparing all pairs finds."""

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from rapidfuzz import fuzz

from nt_pkg.benchmarks._base import Item
from nt_pkg.identity.seeds import rng
from nt_pkg.plan.study_plan import Plan
from nt_pkg.plan.validate import load_study
from nt_pkg.pools._base import RawRow
from nt_pkg.prompts.cleaning import fuzzy
from nt_pkg.prompts.cleaning.decontamination import Decontamination, Questions
from nt_pkg.prompts.cleaning.fuzzy import FuzzyTexts

# Code points that are equal modulo 256 or 64, letters outside the first plane, half of a pair.
ALPHABETS = ["ab", "abcdefgh ", "aáÁ\u0161\u0261 ", "xyz\U0001d465\ud83d\n"]


def by_definition(known: Sequence[str], texts: Sequence[str], threshold: float) -> set[Any]:
    return {
        (row, at, fuzz.ratio(text, other))
        for row, text in enumerate(texts)
        for at, other in enumerate(known)
        if text and other and fuzz.ratio(text, other) >= threshold
    }


def text(draw: Random, letters: str, size: int) -> str:
    return "".join(draw.choices(letters, k=size))


def edited(draw: Random, asked: str, letters: str, edits: int, even: bool) -> str:
    """Return a text after insertions and deletions, in even distances or anywhere."""
    found = list(asked)
    for edit in range(edits):
        at = (edit * len(found)) // max(1, edits) if even else draw.randrange(len(found) + 1)
        if draw.random() < 0.5:
            found.insert(at, draw.choice(letters))
        elif found:
            del found[min(at, len(found) - 1)]
    return "".join(found)


@pytest.mark.parametrize("threshold", [95.0, 97.3, 100.0])
@pytest.mark.parametrize("letters", ALPHABETS)
def test_matches_are_those_of_all_pairs(letters: str, threshold: float) -> None:
    """The edits are about as many as are allowed, and as far apart as they can be, or anywhere."""
    draw = rng("fuzzy", ALPHABETS.index(letters), threshold)
    sizes = [*range(24), *(draw.randrange(24, 300) for _ in range(40))]
    known = [text(draw, letters, size) for size in sizes]
    texts = [text(draw, letters, size) for size in sizes]
    for asked in known:
        allowed = round((1 - threshold / 100) * 2 * len(asked))
        for more in (-2, -1, 0, 1, 2):
            for even in (True, False):
                texts.append(edited(draw, asked, letters, max(0, allowed + more), even))
    draw.shuffle(texts)
    expected = by_definition(known, texts, threshold)
    assert len(known) < len(expected) < len(known) * len(texts) / 10

    found = FuzzyTexts(known, threshold).matches(texts)

    assert found == sorted(expected)


def test_only_insertions_and_only_deletions_at_the_threshold() -> None:
    """The longest and the shortest text that is alike, at either end and in the middle."""
    known = ["".join(chr(97 + (at * at + 7 * at) % 26) for at in range(size)) for size in (38, 190)]
    texts = []
    for asked in known:
        more = 2 * len(asked) // 19
        for at in (0, len(asked) // 2, len(asked)):
            texts += [asked[:at] + "!" * count + asked[at:] for count in (more, more + 1)]
        texts += [asked[cut:] for cut in (len(asked) // 11, 1)]
    found = FuzzyTexts(known).matches(texts)

    assert set(found) == by_definition(known, texts, 95.0)
    assert len(found) == 2 * (3 + 2)


@pytest.mark.parametrize("pairs", [1, 7, 1000])
def test_pairs_are_looked_at_in_parts(pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = rng("parts")
    known = [text(draw, "ab", 40) for _ in range(60)]
    texts = [edited(draw, asked, "ab", 3, even=False) for asked in known]
    expected = FuzzyTexts(known).matches(texts)
    monkeypatch.setattr(fuzzy, "_PAIRS_AT_A_TIME", pairs)

    assert FuzzyTexts(known).matches(texts) == expected
    assert set(expected) == by_definition(known, texts, 95.0) != set()


def test_nothing_to_look_for_and_nothing_to_look_at() -> None:
    assert FuzzyTexts([]).matches(["a", ""]) == []
    assert FuzzyTexts(["", "abc", "a long one of some letters"]).matches([]) == []
    assert FuzzyTexts(["", "abc"]).matches(["", "abc", "abd"]) == [(1, 1, 100.0)]


ASKED = "How many positive whole-number divisors does the number 196 have in all"


def test_rows_that_are_nearly_a_question_are_contaminated() -> None:
    """Case and white space do not count; n-grams come first; the question is the nearest one."""
    items = {
        "m": [Item("q0", ASKED + " of it", ""), Item("q1", ASKED, "")],
        "other": [Item("q0", "Else?", "")],
    }
    rows = [
        RawRow(0, "What is it?"),
        RawRow(1, ASKED.replace("the", "a").replace(" ", "\n").upper()),
        RawRow(2, ASKED),
        RawRow(3, f"Or else? {ASKED.replace('the', 'a')}"),
    ]
    found = Decontamination(Questions(items, 8), fuzzy=95)

    marked = list(found.mark(rows))

    assert [(row.defect, row.question == "") for row in marked] == [
        ("", False), ("contaminated", True), ("contaminated", True), ("", False),
    ]  # fmt: skip
    account = found.account()
    assert account["fuzzy"] == 95
    assert account["benchmarks"]["m"]["contaminated_rows"] == 2
    assert account["benchmarks"]["m"]["fuzzy_rows"] == 1
    nearest, exact = account["matches"]
    assert nearest == {
        "source_row": 1, "benchmark": "m", "question": "q1", "shared_ngrams": 0,
        "ratio": round(100 * 2 * 68 / (71 + 69), 2),
    }  # fmt: skip
    assert exact == {"source_row": 2, "benchmark": "m", "question": "q0", "shared_ngrams": 5}


def test_spec_says_whether_it_was_looked_for(demo: dict[str, Any]) -> None:
    def spec(**options: Any) -> str:
        demo["pools"]["micro"]["decontaminate"] = {"against": ["micro_free"], **options}
        return Plan(load_study(demo)).pool_spec("micro")

    assert "fuzzy" not in spec()
    assert len({spec(), spec(fuzzy=95), spec(fuzzy=98)}) == 3
