r"""Reproduce the letter that the benchmarks' own scripts and simple-evals read from an output.

This allows comparison with published numbers. The functions get the whole output, as the scripts
do, and return what the scripts return, with all their oddities (docs/benchmarks.md). They follow
TIGER-AI-Lab/MMLU-Pro f418b11, SuperGPQA/SuperGPQA 03a3e27 and openai/simple-evals ee3b031. The
scripts can take quadratic or exponential time; here the time is linear in the length of the output.
SuperGPQA's script gives up a pattern after five seconds; this one finishes it.
"""

import random
import re
from collections.abc import Iterator, Sequence

from nt_pkg.benchmarks._base import Grade, Item

_GUESS_SEED = 12345  # the script's seed

_SIMPLE_EVALS = re.compile(r"answer[ \t]*+:[ \t]*+\$?([A-D])", re.IGNORECASE)

_IS = re.compile(r"answer is \(?([A-J])")
_COLON = re.compile(r"[aA]nswer:(?=\s*+([A-J]))")
_ALONE = re.compile(r"\b[A-J]\b")

# Parts of what SuperGPQA accepts before and after a letter.
_WRAPPER = r"\\(?:boxed|mathbf|mathrm|text)\{"
_RUN = rf"(?:{_WRAPPER}|[*${{(\[\\])*+"
_BEHIND = r"(?=[\\}$\]]*+(?:[\s:.*)]|$))"
_THE = r"\s++(?:\w++\s++)?(?:answer|option)(?:\w++\s)?\s++"
_LABELS = [
    re.compile(pattern + rf"{_RUN}\s*+([A-J]){_BEHIND}", re.IGNORECASE)
    for pattern in (
        rf"the{_THE}is?+:?+\s*+",
        r"answer[*\s]*+:\s*+",
        r"^[^\w\r\n\\]*+(?:\\(?!(?:boxed|mathbf|mathrm|text)\{)[^\w\r\n\\]*+)*+",
    )
]
_CONTENT_THE = re.compile(rf"[Tt]he{_THE}is")
_CONTENT_ANSWER = re.compile(r"(?i:answer)")
_NO_WORD = re.compile(r"[^\w\r\n]*+")
_WRAPPERS = re.compile(_WRAPPER)
_BLANKS = re.compile(r"\s*+")
_TERMINATED = re.compile(r"[\\}$\]]*+(?:[\s:.*)]|$)")


def simple_evals(text: str) -> str | None:
    """Return what simple-evals reads from an output, with "a" to "d" kept in lower case."""
    found = _SIMPLE_EVALS.search(text)
    return found[1] if found else None


def mmlu_pro(text: str) -> str | None:
    """Return what the three steps of MMLU-Pro's script read from an output."""
    found = _IS.search(text)
    if found:
        return found[1]
    first = _COLON.search(text)
    if first is None:
        return _last_alone(text)
    end = text.find("\n", first.end())
    for hit in _COLON.finditer(text, first.start()):
        if 0 <= end < hit.start():
            break
        last = hit
    return last[1]


def _last_alone(text: str) -> str | None:
    start, window = len(text), 256
    while start > 0:
        start = max(0, len(text) - window)
        letter = None
        for hit in _ALONE.finditer(text, start):
            letter = hit[0]
        if letter:
            return letter
        window *= 16
    return None


def supergpqa(text: str, options: Sequence[str]) -> str | None:
    """Return what SuperGPQA's script reads from an output: by label, else by an option's text."""
    text = text.rstrip()
    last_line = text[text.rfind("\n") + 1 :]
    for where in (last_line, text):
        for pattern in _LABELS:
            found = pattern.search(where)
            if found:
                return found[1]
    for where in (last_line, text):
        for starts in (_behind_the(where), _behind_answer(where), _behind_no_word(where)):
            content = _option_at(where, starts, options)
            if content is not None:
                return _label(content, options)
    return None


def _label(content: str, options: Sequence[str]) -> str:
    # The script compares with escaped texts, and then looks up the first equal option.
    escaped = [re.escape(each) for each in options]
    text = options[escaped.index(content)] if content in escaped else content
    return chr(65 + list(options).index(text))


def _behind_the(text: str) -> Iterator[int]:
    for head in _CONTENT_THE.finditer(text):
        if text.startswith(":", head.end()):
            yield _blanks_end(text, head.end() + 1)
        yield _blanks_end(text, head.end())


def _behind_answer(text: str) -> Iterator[int]:
    for head in _CONTENT_ANSWER.finditer(text):
        yield _blanks_end(text, head.end())


def _behind_no_word(text: str) -> Iterator[int]:
    found = _NO_WORD.match(text)
    assert found is not None
    yield from range(found.end(), -1, -1)


def _blanks_end(text: str, start: int) -> int:
    found = _BLANKS.match(text, start)
    assert found is not None
    return found.end()


def _option_at(text: str, starts: Iterator[int], options: Sequence[str]) -> str | None:
    """Return the option that a backtracking search finds first after a run of brackets.

    Its order at each position: first enter a wrapper, then try the options, then skip a bracket. No
    position is tried twice, because the result depends only on the position.
    """
    seen: set[int] = set()
    for start in starts:
        waiting = [(start, False)]
        while waiting:
            at, is_tried = waiting.pop()
            if is_tried:
                found = _option_behind_blanks(text, at, options)
                if found is not None:
                    return found
                if text[at : at + 1] in ("*", "$", "{", "(", "[", "\\"):
                    waiting.append((at + 1, False))
            elif at not in seen:
                seen.add(at)
                waiting.append((at, True))
                wrapper = _WRAPPERS.match(text, at)
                if wrapper:
                    waiting.append((wrapper.end(), False))
    return None


def _option_behind_blanks(text: str, at: int, options: Sequence[str]) -> str | None:
    end = _blanks_end(text, at)
    for option in options:
        if text.startswith(option, end) and _TERMINATED.match(text, end + len(option)):
            return option
    return None


def grade_simple_evals(answers: Sequence[tuple[Item, str]]) -> list[Grade]:
    """Return the grades of simple-evals; a lower-case letter is wrong."""
    found = [(item, simple_evals(text)) for item, text in answers]
    return [Grade(letter == item.gold, letter) for item, letter in found]


def grade_mmlu_pro(answers: Sequence[tuple[Item, str]]) -> list[Grade]:
    """Return the grades of MMLU-Pro's local script, which guesses where it finds nothing.

    One stream of guesses runs over the subjects in order, and over the questions of each by number.
    The script counts every subject twice and keeps the second count.
    """
    grades: dict[int, Grade] = {}
    draws = random.Random(_GUESS_SEED)
    by_subject: dict[str, list[int]] = {}
    order = sorted(range(len(answers)), key=lambda at: int(answers[at][0].id))
    for at in order:
        by_subject.setdefault(answers[at][0].category, []).append(at)
    for _, members in sorted(by_subject.items()):
        letters = [mmlu_pro(answers[at][1]) for at in members]
        for _ in range(2):
            for at, letter in zip(members, letters, strict=True):
                item = answers[at][0]
                guess = letter or "ABCDEFGHIJ"[draws.randint(0, len(item.options) - 1)]
                grades[at] = Grade(guess == item.gold, letter)
    return [grades[at] for at in range(len(answers))]


def grade_mmlu_pro_without_guess(answers: Sequence[tuple[Item, str]]) -> list[Grade]:
    """Return the grades of MMLU-Pro's three steps; an answer without a letter is wrong."""
    found = [(item, mmlu_pro(text)) for item, text in answers]
    return [Grade(letter == item.gold, letter) for item, letter in found]


def grade_supergpqa(answers: Sequence[tuple[Item, str]]) -> list[Grade]:
    """Return the grades of SuperGPQA's script; a lower-case or missing letter is wrong."""
    found = [(item, supergpqa(text, item.options)) for item, text in answers]
    return [Grade(letter == item.gold, letter) for item, letter in found]
