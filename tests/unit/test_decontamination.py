"""Decontamination finds what a plain search over sets of word tuples finds, and nothing else."""

import re
import string
import sys
from collections.abc import Callable, Sequence
from functools import cache
from itertools import accumulate
from random import Random
from typing import Any

import pytest

from nt_pkg.benchmarks._base import Item
from nt_pkg.config.report import Report
from nt_pkg.files.json_files import write_json
from nt_pkg.files.schemas import Row
from nt_pkg.identity.caseless import caseless
from nt_pkg.identity.seeds import rng
from nt_pkg.plan.study_plan import Plan
from nt_pkg.plan.validate import load_study
from nt_pkg.pools._base import RawRow
from nt_pkg.prompts.cleaning import decontamination
from nt_pkg.prompts.cleaning.decontamination import Decontamination, Match, Questions
from nt_pkg.prompts.cleaning.ngrams import words_of
from nt_pkg.prompts.cleaning.rules import RULES
from nt_pkg.prompts.ingest import ingest
from nt_pkg.report.collect import collect
from nt_pkg.report.records import Study

Matches = dict[int, list[Match]]

# The last five: upper and lower case that differ in length, a sign that depends on what follows,
# white space that only Python's split knows, a combining mark, half of a surrogate pair.
WORDS = [*"abcde", "x=1", "Of", "of", "é", "İstanbul", "ΟΔΟΣ", "u\u3000v\x1dw", "e\u0301", "\ud83d"]


def items(*questions: str) -> list[Item]:
    return [Item(f"q{number}", question, "") for number, question in enumerate(questions)]


def by_definition(benchmarks: dict[str, list[Item]], n: int, texts: Sequence[str]) -> Matches:
    """Return the matches, from the rule's description."""

    @cache
    def grams(text: str) -> set[tuple[str, ...]]:
        words = text.lower().split()
        return {tuple(words[at : at + n]) for at in range(len(words) - n + 1)}

    found: Matches = {}
    for row, text in enumerate(texts):
        for name in sorted(benchmarks):
            shared = [
                Match(name, item.id, len(grams(item.question) & grams(text)))
                for item in benchmarks[name]
                if grams(item.question) & grams(text)
                or (
                    len(item.question.split()) < n
                    and caseless(item.question)
                    and caseless(item.question) == caseless(text)
                )
            ]
            if shared:
                best = min(shared, key=lambda m: (-m.shared_ngrams, m.question))
                found.setdefault(row, []).append(best)
    return found


def plain_by_definition(benchmarks: dict[str, list[Item]], n: int, texts: Sequence[str]) -> Matches:
    """Return the matches of the plain rule, from its description, for ASCII without LaTeX."""
    size = 7 * n // 2

    @cache
    def words(text: str) -> list[str]:
        return re.findall(r"[a-z0-9]+", text.lower())

    @cache
    def starts(text: str) -> set[int]:
        return set(accumulate(map(len, words(text)), initial=0))

    @cache
    def grams(text: str) -> set[str]:
        line = "".join(words(text))
        return {line[at : at + size] for at in starts(text) if at + size <= len(line)}

    def holds(text: str, question: str) -> bool:
        line, asked = "".join(words(text)), "".join(words(question))
        if len(asked) >= size or not asked:
            return False
        if len(asked) < 20:
            return re.sub(r"[^a-z0-9+=-]", "", text.lower()) in (
                each + re.sub(r"[^a-z0-9+=-]", "", question.lower()) for each in ("", "problem")
            )
        found = (at for at in starts(text) if line.startswith(asked, at))
        return any(at + len(asked) in starts(text) for at in found)

    found: Matches = {}
    for row, text in enumerate(texts):
        for name in sorted(benchmarks):
            shared = [
                Match(name, item.id, len(grams(item.question) & grams(text)))
                for item in benchmarks[name]
                if grams(item.question) & grams(text) or holds(text, item.question)
            ]
            if shared:
                best = min(shared, key=lambda m: (-m.shared_ngrams, m.question))
                found.setdefault(row, []).append(best)
    return found


DEFINITIONS = {"published": by_definition, "plain": plain_by_definition}


def sentence(draw: Random, longest: int) -> str:
    words = draw.choices(WORDS, k=draw.randrange(longest))
    blanks = draw.choices([" ", "  ", "\n", "\t", "\u00a0"], k=len(words))
    return "".join(blank + word for blank, word in zip(blanks, words, strict=True))


def ascii_planted(draw: Random, n: int) -> tuple[dict[str, list[Item]], list[str]]:
    """Return the same in ASCII, with longer words."""
    benchmarks, texts = planted(draw, n)

    def changed(text: str) -> str:
        marks = {
            "é": "cat",
            "u\u3000v\x1dw": "3.5",
            "e\u0301": "tree",
            "\ud83d": "a-1",
            "\u00a0": "; ",
        }
        for old, new in marks.items():
            text = text.replace(old, new)
        text = re.sub(r"\b[a-e]\b", lambda found: found[0] * 4, text)
        return text.encode("ascii", "ignore").decode()

    for name, known in benchmarks.items():
        benchmarks[name] = [Item(each.id, changed(each.question), "") for each in known]
    texts = [changed(text) for text in texts]
    texts[1] = f"Problem: {benchmarks['easy'][1].question}"
    return benchmarks, texts


def planted(draw: Random, n: int) -> tuple[dict[str, list[Item]], list[str]]:
    """Return two benchmarks and 400 texts, a third of which hold part of a question."""
    benchmarks = {
        name: items(*(sentence(draw, 4 * n) for _ in range(60))) for name in ("easy", "hard")
    }
    texts = [sentence(draw, 5 * n) for _ in range(200)]
    for at in range(0, len(texts), 3):
        asked = draw.choice(benchmarks[draw.choice(["easy", "hard"])]).question
        words = asked.upper().split() if at % 2 else asked.split()
        part = " ".join(words[: n + draw.randrange(-1, n)])
        texts[at] = part if at % 4 else f"{texts[at]} {part} {sentence(draw, 6)}"
    return benchmarks, texts


@pytest.mark.parametrize("block_chars", [1, 100, 1 << 18])
@pytest.mark.parametrize("n", [2, 8, 13])
def test_matches_are_those_of_the_definition(n: int, block_chars: int) -> None:
    benchmarks, texts = planted(rng("decontamination", n), n)
    expected = by_definition(benchmarks, n, texts)
    assert len(texts) / 4 < len(expected) and (n == 2 or len(expected) < len(texts) / 2)

    questions = Questions(benchmarks, n, "published", block_chars=block_chars)

    assert questions.matches(texts) == expected
    assert [questions.matches([text]).get(0, []) for text in texts] == [
        expected.get(row, []) for row in range(len(texts))
    ]


@pytest.mark.parametrize("block_chars", [1, 100, 1 << 18])
@pytest.mark.parametrize("n", [2, 5, 8, 13])
def test_plain_matches_are_those_of_the_definition(n: int, block_chars: int) -> None:
    benchmarks, texts = ascii_planted(rng("plain", n), n)
    expected = plain_by_definition(benchmarks, n, texts)
    assert 10 < len(expected) < len(texts)
    assert any(each.shared_ngrams == 0 for found in expected.values() for each in found)

    questions = Questions(benchmarks, n, block_chars=block_chars)

    assert questions.matches(texts) == expected


LONG = (
    r"If $f(x) = \frac{3x-2}{x-2}$, what is the value of $f(-2) +f(-1)+f(0)$? Express your answer "
    r"as a common fraction in terms of $\pi$ and $\left(\theta \leq 30^\circ\right)$."
)
SHORT = r"What is the greatest integer $n$ with $n \leq \sqrt{17}$?"
SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": lambda q: q,
    "$ x $": lambda q: re.sub(r"\$([^$]+)\$", r"$ \1 $", q),
    r"\( \)": lambda q: re.sub(r"\$([^$]+)\$", r"\\(\1\\)", q),
    "$$ $$": lambda q: q.replace("$", "$$"),
    "no marks": lambda q: q.translate(str.maketrans("", "", string.punctuation)),
    "blanks for marks": lambda q: re.sub(r"[^\w\s]", " ", q),
    "blanks around marks": lambda q: re.sub(r"([^\w\s\\])", r" \1 ", q),
    "zero-width spaces": lambda q: q.replace(" ", " \u200b"),
    "zero-width in words": lambda q: "\u200b".join(q),
    "soft hyphens": lambda q: q.replace("e", "e\u00ad"),
    "upper case": str.upper,
    "full width": lambda q: q.translate({c: c + 0xFEE0 for c in range(0x21, 0x7F) if c != 92}),
    "characters": lambda q: (
        q.replace(r"\pi", "π").replace(r"\theta", "θ").replace(r"\leq", "≤").replace(r"^\circ", "°")
    ),
    "another fraction": lambda q: q.replace(r"\frac", r"\dfrac").replace(r"\leq", r"\le"),
    "no sizes": lambda q: q.replace(r"\left", "").replace(r"\right", ""),
    "bold": lambda q: re.sub(r"(\w{4,})", r"**\1**", q.replace("\\", "\\ ")).replace("\\ ", "\\"),
    "lines": lambda q: q.replace(" ", "\n"),
    "\\, in formulas": lambda q: q.replace("+", r"\,+\,"),
    "minus": lambda q: q.replace("-", "\u2212"),
    "a byte of zero": lambda q: q.replace(" ", "\0 "),
}


@pytest.mark.parametrize("around", ["{}", "Problem: {}", "Solve it.\n\n{} Show your work."])
@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("question", [LONG, SHORT], ids=["long", "short"])
def test_spelling_makes_no_difference(question: str, spelling: str, around: str) -> None:
    questions = Questions({"m": items("Another question.", question)}, 13)
    rows = ["Why?", around.format(SPELLINGS[spelling](question)), "Why?"]

    assert {row: found[0].question for row, found in questions.matches(rows).items()} == {1: "q1"}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("Evaluate $\\log_2 64$.", True),
        ("evaluate \\(\\log_264\\)", True),
        ("Problem 7: Evaluate $\\log_264$.", True),
        ("**Question.** Evaluate log_264", True),
        ("Evaluate $\\log_264$. Then add 1.", False),
        ("Evaluate $\\log_265$.", False),
        ("Evaluate $-\\log_264$.", False),
        ("Reevaluate $\\log_264$.", False),
    ],
)
def test_very_short_question_matches_only_as_a_whole(text: str, matches: bool) -> None:
    """Fewer than 20 letters and digits are in many rows by chance."""
    found = Questions({"m": items("Evaluate $\\log_264$.")}, 13).matches([text])

    assert found == ({0: [Match("m", "q0", 0)]} if matches else {})


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("What is the area of a circle of radius 2?", True),
        ("So what is the area of a circle of radius 2, please?", True),
        ("What is the area of a circle of radius 25?", False),
        ("Somewhat is the area of a circle of radius 2?", False),
        ("What is the area of a circle of radius", False),
        ("What is the area of a circle", False),
    ],
)
def test_short_question_is_found_between_whole_words(text: str, matches: bool) -> None:
    found = Questions({"m": items("What is the area of a circle of radius 2?")}, 13)

    assert bool(found.matches([text])) == matches
    assert bool(found.matches(["x", text, "y"])) == matches


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("hash_bits", [1, 4, 12])
def test_equal_hashes_of_different_words_are_no_match(hash_bits: int, rule: str) -> None:
    """With so few bits nearly every n-gram collides with one of a question."""
    benchmarks, texts = (planted if rule == "published" else ascii_planted)(rng("collisions"), 8)

    found = Questions(benchmarks, 8, rule, hash_bits=hash_bits).matches(texts)

    assert found == DEFINITIONS[rule](benchmarks, 8, texts)


def test_one_shared_ngram_is_enough_and_one_word_less_is_not() -> None:
    words = [f"w{number}" for number in range(20)]
    questions = Questions({"m": items(" ".join(words))}, 13, "published")

    found = questions.matches(
        [" ".join(["But", *words[3:16], "?"]), " ".join(["But", *words[3:15], "?"])]
    )

    assert found == {0: [Match("m", "q0", 1)]}


def test_words_are_those_of_pythons_split() -> None:
    for blank in filter(str.isspace, map(chr, range(sys.maxunicode + 1))):
        for text in (f"{blank}A b", f"a B{blank}", f"a{blank}B", f"a {blank}b", blank):
            assert words_of(text) == " ".join(text.lower().split())


def test_ngrams_end_with_their_text() -> None:
    questions = Questions({"m": items("a b c", "d e f")}, 3, "published")

    assert questions.matches(["b c d", "a b", "c", "", "c d e"]) == {}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("Compute  ²√\uff14.", True),
        ("compute 2√4.", True),
        ("Compute ²√\uff14. Why?", False),
        ("compute", False),
        ("", False),
    ],
)
def test_short_question_matches_only_as_a_whole(text: str, matches: bool) -> None:
    found = Questions({"m": items("Compute ²√\uff14.", "")}, 13, "published").matches([text])

    assert found == ({0: [Match("m", "q0", 0)]} if matches else {})


@pytest.mark.parametrize("rule", RULES)
def test_nothing_to_look_for_and_nothing_to_look_at(rule: str) -> None:
    assert Questions({"m": items("a b c")}, 2, rule).matches([]) == {}
    assert Questions({"m": []}, 2, rule).matches(["a b c", ""]) == {}
    found = Questions({"m": items("a", "", "$")}, 2, rule).matches(["a b c", "A", "", "?"])
    assert found == {1: [Match("m", "q0", 0)]}


ASKED = "How many positive whole-number divisors does the number 196 have in all"


def test_contaminated_rows_are_dropped_without_their_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else is wrong with a row: its beginning would be written."""
    rows = [
        RawRow(0, "What is it?"),
        RawRow(1, f"{ASKED}?", replay=ASKED),
        RawRow(2, f"Tell me: {ASKED.upper()} and why?"),
        RawRow(3, ASKED + " x" * 20_000),
        RawRow(4, f"<think> {ASKED}"),
        RawRow(5, f'{{"question": "{ASKED}', defect="unreadable"),
        RawRow(6, "What is that?"),
        RawRow(7, "what  IS it?"),
        RawRow(8, f"{ASKED}?", replay="another answer", copy=1),
        RawRow(9, "What is it?", replay="another answer", copy=1),
    ]
    questions = Questions({"m": items(ASKED, "Why?"), "other": items("Else?")}, 8)
    expected = None
    for block_chars in (1, 100, 1 << 18):
        monkeypatch.setattr(decontamination, "BLOCK_CHARS", block_chars)
        found = Decontamination(questions)

        kept: list[Row] = []
        dropped, counts = ingest(found.mark(rows), kept.extend)

        assert sorted(each["source_row"] for each in kept) == [0, 6, 9]
        assert counts == {"read": 10, "kept": 3, "contaminated": 6, "duplicate": 1}
        texts = [each["excerpt"] for each in dropped if each["reason"] == "contaminated"]
        assert texts == [""] * 6
        account = found.account()
        assert account["benchmarks"] == {
            "m": {"questions": 2, "short_questions": 1, "contaminated_rows": 6},
            "other": {"questions": 1, "short_questions": 1, "contaminated_rows": 0},
        }
        assert account["matches"][0] == {
            "source_row": 1, "benchmark": "m", "question": "q0", "shared_ngrams": 6,
        }  # fmt: skip
        assert [each["source_row"] for each in account["matches"]] == [1, 2, 3, 4, 5, 8]
        assert expected in (None, (kept, dropped, account))
        expected = (kept, dropped, account)


def test_empty_pool() -> None:
    found = Decontamination(Questions({"m": items(ASKED)}, 8))

    assert ingest(found.mark([]), list) == ([], {"read": 0, "kept": 0})
    assert found.account()["matches"] == []


def test_report_counts_the_rows_and_nothing_else_of_it(tmp_path: Any) -> None:
    pool = {"pool": "p", "read": 7, "kept": 5, "contaminated": 2, "spec": {}}
    write_json(tmp_path / "pool.json", {**pool, "decontamination": {"matches": [{"a": 1}]}})

    study = Study("s", Report(title="T"))
    [found] = collect(study, [tmp_path / "pool.json"], [], [], [], [], [], []).pools

    assert found.dropped == {"contaminated": 2}


def planned(demo: dict[str, Any], **changes: Any) -> Plan:
    """Return the plan of the demo with its pool decontaminated."""
    demo["benchmarks"]["exam"] = {"kind": "math500", "source": {"path": "pyproject.toml"}}
    demo["pools"]["micro"]["decontaminate"] = {"against": ["micro_free"], **changes}
    return Plan(load_study(demo))


def test_spec_says_what_was_looked_for(demo: dict[str, Any]) -> None:
    without = Plan(load_study(demo)).pool_spec("micro")
    assert "decontaminate" not in without
    same = planned(demo, ngram=13).pool_spec("micro")

    assert planned(demo).pool_spec("micro") == same != without
    assert planned(demo, ngram=8).pool_spec("micro") != same
    twice = planned(demo, against=["micro_free", "exam", "micro_free"]).pool_spec("micro")
    assert planned(demo, against=["exam", "micro_free"]).pool_spec("micro") == twice != same
    demo["benchmarks"]["micro_free"]["params"]["num_questions"] = 7
    assert planned(demo).pool_spec("micro") != same


def test_files_of_a_benchmark_are_fetched_for_it(demo: dict[str, Any]) -> None:
    asset = {"kind": "benchmarks", "name": "exam"}

    assert asset not in planned(demo).assets()
    assert asset in planned(demo, against=["exam"]).assets()
