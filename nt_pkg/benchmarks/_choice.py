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

_ANCHOR = re.compile(
    r"\b(?:answer|option|choice)\W{0,4}\s+is\b|\banswer[\s*_]{0,4}[:\uff1a]|\\(?:boxed|fbox)\s*\{",
    re.IGNORECASE,
)
_ANCHOR_WORDS = ("answer", "option", "choice", "\\boxed", "\\fbox")
# Bounded, so that a text with many openings is not scanned to its end for each of them.
_BEFORE = re.compile(
    r"(?:[\s*_`\"'$(\[{:\uff1a]|\\[(\[,;]|\\(?:boxed|fbox|text|textbf|mathrm|mathbf|mathit)\b"
    r"|\b(?:option|choice|letter|probably|therefore|thus)\b){0,40}+",
    re.IGNORECASE,
)
_LETTER = re.compile(r"([A-J])(?![\w'\u2019])", re.IGNORECASE)
_CLOSERS = re.compile(r"[*_`\"'$)\]}\\]{0,20}+")
_END = re.compile(r"[ \t]{0,20}+(?:[.,;:!)\n\r-]|\Z)")
_ANOTHER = re.compile(
    r"\s{0,20}+(?:,|/|&|\\&|\bor\b|\band\b|,\s*(?:or|and)\b)[\s(*$\\{]{0,20}+"
    r"([A-J])(?=[*_`\"'$)\]}\\]{0,20}+(?:\s*\Z|[.,;:)\n\r]|\s+(?:and|or)\b))",
    re.IGNORECASE,
)
_REASON = re.compile(r"\s+(?:because|since|as|due|by|from|based|for|which)\b")
_OPENED = re.compile(r"[(\[{*$]\Z")
_ALONE = re.compile(r"[*_`\"'$(\[{]{0,20}+([A-J])[*_`\"'$)\]}]{0,20}+[.:]?", re.IGNORECASE)
_LISTED = re.compile(r"[*(]{0,4}([A-J])[).:][*]{0,4}\s+\S.*", re.IGNORECASE)


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
    for start in _anchor_words(text):
        anchor = _ANCHOR.match(text, start)
        found = _stated(text, anchor.end()) if anchor else None
        if found is not None:
            return found if found and found in OPTION_LETTERS[:num_options] else None
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return None
    alone = _ALONE.fullmatch(lines[-1].strip())
    if alone is None and len(lines) == 1:
        alone = _LISTED.fullmatch(lines[0].strip())
    letter = alone[1].upper() if alone else ""
    return letter if letter and letter in OPTION_LETTERS[:num_options] else None


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
    if letter is None:
        return None
    closers = _CLOSERS.match(text, letter.end())
    assert closers is not None
    if _ANOTHER.match(text, closers.end()):
        return ""
    is_marked = bool(closers[0]) or bool(_OPENED.search(text[start : letter.start()]))
    if is_marked or _END.match(text, closers.end()):
        return letter[1].upper()
    # An unmarked letter before a word: "A", "I" and small letters are likely words themselves.
    is_word = letter[1].islower() or letter[1] in "AI"
    if is_word and not _REASON.match(text, closers.end()):
        return None
    return letter[1].upper()


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
