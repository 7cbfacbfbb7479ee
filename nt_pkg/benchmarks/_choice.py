r"""Multiple choice: rows of files, prompts, and the letter that an answer states.

An answer states a letter after "answer is", after "answer:" or in a box, or consists of a letter
alone. The last statement counts. A word is not a letter: "the answer is a ratio" states none.
Several letters, or one beyond the item's options, do not count either. Case does not matter. The
time is linear in the length of any text.
"""

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from nt_pkg.benchmarks._base import Grade, Item
from nt_pkg.config.base import Strict

OPTION_LETTERS = "ABCDEFGHIJ"
_BATCH_ROWS = 1024
_FIELD_BYTES = 1 << 24  # some columns with annotators' remarks are long

_FOLD = str.maketrans({chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)})
_BE = r"(?:is|are|(?:must|should|would|will|has\s+to|can\s+only)(?:\s+\w{1,10})?\s+be|must|should)"
_MARKS = r"*_`\"'$)\]}\\\u2019\u201d\u00bb\u300d\u3011"
_OPEN_MARKS = r"*_`\"'$(\[{\u2018\u201c\u00ab\u300c\u3010"
_ANCHOR = re.compile(
    rf"\b(?:answers?|option|choice)\W{{0,4}}\s+{_BE}\b|\banswers?[\s*_]{{0,4}}[:\uff1a]"
    r"|\\(?:boxed|fbox)\s*\{"
    r"|\u7b54\u6848[*_\u3011]{0,4}\s?(?:\u662f|\u4e3a|\u9009|:)?|\u6545\u9009|\u5e94\u9009",
    re.IGNORECASE,
)
_HEADING = re.compile(
    r"[#>*_ \t]{0,9}(?:the[ ]|our[ ]|my[ ])?(?:(?:final|correct)[ ])?answer[*_: \t]{0,9}\n",
    re.IGNORECASE,
)
_ANCHOR_WORDS = (
    "answer", "option", "choice", "\\boxed", "\\fbox", "correct", "right", "best",
    "\u7b54\u6848", "\u6545\u9009", "\u5e94\u9009",
)  # fmt: skip
# "Option B is correct": the letter stands before the word.
_BEFORE_CORRECT = re.compile(
    rf"(?:\b(?P<named>(?i:option|choice|answer))|(?<![A-Za-z]))[\s{_OPEN_MARKS}]{{0,9}}"
    rf"(?<![A-Za-z'\u2019])(?P<letter>[A-Ja-j])(?![A-Za-z'\u2019])[{_MARKS}]{{0,9}}\s+is\s+"
    r"(?:therefore\s+|clearly\s+|indeed\s+)?(?:the\s+)?(?:only\s+)?\Z"
)
_DOUBT = re.compile(
    r"\b(?:if|whether|why|suppose|assume|unless)\b(?:\s+that)?[\s*(]{0,4}\Z"
    r"|(?<![A-Za-z])[A-J][)*]{0,4}(?:\s*,|\s+(?:and|or|nor))[\s*(]{0,4}\Z",
    re.IGNORECASE,
)
# Bounded, so that a text with many openings is not scanned to its end for each of them.
_BEFORE = re.compile(
    rf"(?:[\s:\uff1a{_OPEN_MARKS}]|-(?=\s)|\\[(\[,;]"
    r"|\\(?:boxed|fbox|text|textbf|mathrm|mathbf|mathit)\b"
    r"|\b(?:option|choice|letter|probably|therefore|thus|clearly|then|simply|both)\b){0,40}+",
    re.IGNORECASE,
)
_LETTER = re.compile(
    r"([A-J])(?![A-Za-z0-9_\u00c0-\u024f]|['\u2019][A-Za-z])|([A-J])(?=_(?:\W|\Z))", re.IGNORECASE
)
# Behind a letter that is a variable of a formula, or a function.
_FORMULA = re.compile(
    r"[ \t$]{0,4}(?:[=^+<>]|/(?![ \t(*]{0,4}[A-J]\b)|_[\w{\\]|-(?=[A-Za-z])"
    r"|\\(?:approx|propto|times|cdot|sim|simeq|equiv|leq?|geq?|neq?|pm|to|rightarrow|in|div|ll|gg"
    r"|frac|sqrt)(?![A-Za-z]))|\((?=[a-z\\]{1,6}[),])"
)
_CLOSERS = re.compile(rf"[{_MARKS}]{{0,20}}+")
_END = re.compile(r"[ \t]{0,20}+(?:[.,;:!)\n\r\u3002\uff0c\u3001-]|\Z)")
_JOIN = (
    rf"[{_MARKS}]{{0,20}}+\s{{0,20}}+(?:,\s*(?:or|and)\b|,|/|&|\\&|\bor\b|\band\b"
    r"|\\text\s?\{\s*(?:or|and)\s*\})(?:[\s*(\[$\\{]|\\?(?:boxed|fbox|text))"
    r"{0,20}+"
)
_ANOTHER = re.compile(
    rf"{_JOIN}([A-J])(?![A-Za-z0-9'\u2019])"
    rf"(?=[{_MARKS}]{{0,20}}+(?:\s*\Z|[.,;:)\n\r]|\s+(?:and|or|are|both)\b))",
    re.IGNORECASE,
)
_BOX_BEFORE = re.compile(rf"\\(?:boxed|fbox)\s*\{{[\\A-Za-z{{(\s]{{0,20}}([A-J])(?:{_JOIN})\Z")
_CORRECT = ("correct", "right", "best")
_REASON = re.compile(r"\s+(?:because|since|as|due|by|from|based|for|which)\b")
_OPENED = re.compile(rf"[{_OPEN_MARKS}]\Z")
_ALONE = re.compile(
    rf"[{_OPEN_MARKS}]{{0,20}}+([A-J])[{_MARKS}]{{0,20}}+[.:\u3002]?", re.IGNORECASE
)
_LISTED = re.compile(r"[*(]{0,4}([A-J])[).:][*]{0,4}\s+(\S.*)", re.IGNORECASE)
_LABELLED_WORDS = 3  # "(a) The tension is 5 N." is part a; "a) 5 N" may be an option


class ChoiceParams(Strict):
    """Parameters of a multiple-choice benchmark."""

    num_questions: int | None = Field(
        default=None, ge=1, description="number of questions, in digest order; null takes all"
    )


def grade_choices(answers: Sequence[tuple[Item, str]]) -> list[Grade]:
    """Return a grade per answer; no letter, or several letters, is no answer and so wrong."""
    grades = []
    for item, text in answers:
        found = extract_letter(text, len(item.options))
        grades.append(Grade(found == item.gold, found))
    return grades


def extract_letter(text: str, num_options: int) -> str | None:
    """Return the letter that an answer states, in upper case, None for no or several letters."""
    if not text.isascii():  # most are, and that is known without reading them
        text = text.translate(_FOLD)
    for start in _anchor_words(text):
        found = _statement(text, start)
        if found is not None:
            return found if found and found in OPTION_LETTERS[:num_options] else None
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return None
    alone = _ALONE.fullmatch(lines[-1].strip())
    letter = alone[1].upper() if alone else ""
    if alone is None and len(lines) == 1:
        letter = _listed(lines[0].strip())
    return letter if letter and letter in OPTION_LETTERS[:num_options] else None


def _listed(line: str) -> str:
    """Return the letter of a line that is one option, "" if it is something else."""
    found = _LISTED.fullmatch(line)
    if found is None or _ANOTHER.match(line, found.start(1) + 1):
        return ""
    is_part = found[1].islower() and len(found[2].split()) > _LABELLED_WORDS
    return "" if is_part else found[1].upper()


def _statement(text: str, start: int) -> str | None:
    """Return what the anchor word at `start` states: as `_stated`."""
    anchor = _ANCHOR.match(text, start)
    if anchor is not None:
        return _stated(text, anchor.end())
    line = text.rfind("\n", max(0, start - 40), start) + 1
    heading = _HEADING.match(text, line) if line or start < 40 else None
    if heading is not None and heading.end() > start:
        return _stated(text, heading.end())
    if not text.startswith(_CORRECT, start):
        return None
    before = _BEFORE_CORRECT.search(text[max(0, start - 60) : start])
    if before is None or (before["letter"].islower() and not before["named"]):
        return None
    if _DOUBT.search(before.string[: before.start("named" if before["named"] else "letter")]):
        return None
    return before["letter"].upper()


def _anchor_words(text: str) -> Iterator[int]:
    """Yield the positions of words that begin statements, last first; much faster than `_ANCHOR`.

    The dotted capital I is replaced, because it alone gets longer in lower case, which would shift
    the positions.
    """
    lower = text.replace("\u0130", "i").lower()
    last = [lower.rfind(word) for word in _ANCHOR_WORDS]
    while (at := max(last)) >= 0:
        yield at
        which = last.index(at)
        last[which] = lower.rfind(_ANCHOR_WORDS[which], 0, at + len(_ANCHOR_WORDS[which]) - 1)


def _stated(text: str, start: int) -> str | None:
    """Return the letter stated from `start` on, "" for several letters, None for no letter."""
    before = _BEFORE.match(text, start)
    assert before is not None
    letter = _LETTER.match(text, before.end())
    if letter is None or _FORMULA.match(text, letter.end()):
        return None
    closers = _CLOSERS.match(text, letter.end())
    assert closers is not None
    if _ANOTHER.match(text, letter.end()):
        return ""
    box = _BOX_BEFORE.search(text[max(0, start - 80) : start])
    if box is not None and box[1].upper() != letter[0].upper():
        return ""
    is_marked = bool(closers[0]) or bool(_OPENED.search(text[start : letter.start()]))
    if is_marked or _END.match(text, closers.end()):
        return letter[0].upper()
    # An unmarked letter before a word: "A", "I" and small letters are likely words themselves.
    is_word = letter[0].islower() or letter[0] in "AI"
    if is_word and not _REASON.match(text, closers.end()):
        return None
    return letter[0].upper()


def option_lines(options: Sequence[str], mark: str) -> str:
    """Return the options, one per line, each after its letter and `mark`."""
    return "\n".join(
        f"{letter}{mark} {text}" for letter, text in zip(OPTION_LETTERS, options, strict=False)
    )


def letters_of(options: Sequence[str]) -> str:
    """Return the letters of an item as a phrase: "A, B, C or D"."""
    letters = OPTION_LETTERS[: len(options)]
    return f"{', '.join(letters[:-1])} or {letters[-1]}"


def source_rows(
    source: Path | None, hub: str, suffixes: Sequence[str]
) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yield (row, its place) of all files with one of the suffixes, except those of other splits.

    Raises:
        ValueError: there is no file, or one is truncated. No error contains text of a row.
    """
    found = sorted(
        path
        for path in (source.rglob("*") if source else ())
        if path.suffix in suffixes and not path.name.startswith(("validation", "dev"))
    )
    if not found:
        wanted = " or ".join(f"*{suffix}" for suffix in suffixes)
        raise ValueError(f"no {wanted} in {source}; put the file of {hub} there")
    for path in found:
        try:
            for number, row in enumerate(_READERS[path.suffix](path), start=1):
                yield row if isinstance(row, Mapping) else {}, f"{path}, row {number}"
        except (OSError, csv.Error, UnicodeDecodeError, json.JSONDecodeError) as error:
            what = type(error).__name__  # the error's text may quote the row
            raise ValueError(f"{path} cannot be read ({what}); fetch it again") from None


def columns_of(row: Mapping[str, Any], columns: Sequence[str], place: str, hub: str) -> list[str]:
    """Return text columns of a row, stripped of surrounding blanks.

    Raises:
        ValueError: a column is missing, empty or not text.
    """
    bad = [name for name in columns if not isinstance(row.get(name), str) or not row[name].strip()]
    if bad:
        raise ValueError(
            f"{place}: {', '.join(bad)} missing, empty or not text; keep only the file of {hub} "
            "in this folder"
        )
    return [row[name].strip() for name in columns]


def options_of(row: Mapping[str, Any], letter: str, place: str) -> tuple[str, ...]:
    """Return the options of a row, stripped of surrounding blanks and without padding options.

    In 473 rows of MMLU-Pro the gold option is the only one that begins with a blank.

    Raises:
        ValueError: there are not 2 to 10 texts, or `letter` is none of them.
    """
    options = row.get("options")
    if options is None or not all(isinstance(each, str) for each in options):
        raise ValueError(f"{place}: options missing or not a list of texts; fetch the file again")
    texts = [each.strip() for each in options]
    while texts and texts[-1] == "N/A":
        texts.pop()
    if not 2 <= len(texts) <= len(OPTION_LETTERS):
        raise ValueError(f"{place}: {len(texts)} options, not 2 to 10; fetch the file again")
    if len(letter) != 1 or letter not in OPTION_LETTERS[: len(texts)]:
        raise ValueError(f"{place}: the gold letter is none of its {len(texts)} options")
    return tuple(texts)


def _csv(path: Path) -> Iterator[Mapping[str, Any]]:
    csv.field_size_limit(_FIELD_BYTES)
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file)


def _jsonl(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8") as file:
        yield from (json.loads(line) for line in file if line.strip())


def _parquet(path: Path) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_BATCH_ROWS):
                yield from batch.to_pylist()
    except pa.ArrowException as error:
        raise OSError(str(error)) from None


_READERS = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
