"""Question identity: two prompts with the same normalised text are the same prompt."""

import hashlib
import re
import unicodedata

_ID_DIGITS = 32
_QUESTION_DIGITS = 24

_WIDTHS = {
    code: unicodedata.normalize("NFKC", chr(code))
    for code in range(0xFF01, 0xFFEF)
    if unicodedata.decomposition(chr(code)).startswith(("<wide>", "<narrow>"))
} | {0x0345: "\u03b9"}  # the only mark that folding turns into a letter
# A word from its first Latin or Greek capital.
_CAPITALISED = re.compile(r"[A-Z\u0391-\u03a9][^\W\d_]*")
_SHORT_WORDS = frozenset(
    ["am", "an", "as", "at", "be", "by", "do", "go", "he", "if", "in", "is", "it", "me", "my", "no",
     "of", "on", "or", "so", "to", "up", "us", "we"]
)  # fmt: skip
_NOUN_FOLLOWS = re.compile(r" (?!(?:is|and|or|has|was|can)\b)[^\W\d_]{2}")


def normalise_question(question: str) -> str:
    """Return the text that identifies a question; doing it twice changes nothing.

    Characters are composed (NFC), full-width and half-width ones are ordinary ones, blanks are
    single. Superscripts and subscripts stay, as 2\u2075 is not 25. Case is folded where it only
    shows where a sentence begins: not in words of one or two letters (P and p, Mg and mg) unless
    they are English, not in words of both cases (MeV and meV), and not in commands of LaTeX.
    """
    text = unicodedata.normalize("NFC", question)
    if not text.isascii():
        text = unicodedata.normalize("NFC", text.translate(_WIDTHS))
    folded = _without_plain_case(" ".join(text.split()))
    # Folding can leave characters that compose; without the second pass this is not idempotent.
    return unicodedata.normalize("NFC", folded)


def _without_plain_case(text: str) -> str:
    """Return a text with case folded, except in words whose case carries meaning."""
    parts, at = [], 0
    for word in _CAPITALISED.finditer(text):
        if _has_meaning(text, word):
            parts += [text[at : word.start()].casefold(), word[0]]
            at = word.end()
    return "".join([*parts, text[at:].casefold()])


def _has_meaning(text: str, found: re.Match[str]) -> bool:
    """Return whether case carries meaning in a word, of which all from its first capital is found.

    "A" is the article only at the beginning of a sentence.
    """
    word, start = found[0], found.start()
    before = text[start - 1 : start]
    if before and (before == "\\" or before.isalpha() or unicodedata.combining(before)):
        return True
    if word == "A":
        begins = start == 0 or (before == " " and text[start - 2] in ".?!:")
        return not (begins and _NOUN_FOLLOWS.match(text, found.end()))
    if len(word) <= 2:
        return word.casefold() not in _SHORT_WORDS
    return not (word.isupper() or word[1:].islower())


def question_id(question: str) -> str:
    """Return the first 32 hex digits of the sha256 of the normalised question.

    Raises:
        UnicodeEncodeError: the text contains half of a surrogate pair, which has no UTF-8 form.
    """
    return normalised_id(normalise_question(question))


def normalised_id(text: str, copy: int = 0) -> str:
    """Return the id of a question that is already normalised.

    `copy` is the number of a row's answer if there are several answers to the question. Their ids
    count up from the first one in the last 8 digits, so they differ, are sorted next to each other
    and are in one shard.
    """
    digits = hashlib.sha256(text.encode()).hexdigest()[:_ID_DIGITS]
    if not copy:
        return digits
    head, tail = digits[:_QUESTION_DIGITS], digits[_QUESTION_DIGITS:]
    return f"{head}{(int(tail, 16) + copy) % 16 ** len(tail):0{len(tail)}x}"


def sample_id(row_id: str, sample: int) -> str:
    """Return the id under which a row's question is asked once more, counted from 0, its own.

    Samples are 2**24 apart in the last 8 digits, and answers that a pool already has (`copy`) are
    1 apart: 128 samples and 16 million answers never meet.
    """
    head, tail = row_id[:_QUESTION_DIGITS], row_id[_QUESTION_DIGITS:]
    return f"{head}{(int(tail, 16) + sample * 2**24) % 16 ** len(tail):0{len(tail)}x}"


def question_digits(row_id: str) -> str:
    """Return the digits that the ids of all answers to one question share."""
    return row_id[:_QUESTION_DIGITS]


def shard_ids(shard: int, num_shards: int) -> tuple[str, str | None]:
    """Return the first id of a shard, and the first id after it, None for the last shard.

    Shards are equally wide ranges of ids. Ids are digests, so all shards get about the same number
    of rows, and the rows of a shard are contiguous in a file that is ordered by id.
    """
    starts = [-(-edge * 16**_ID_DIGITS // num_shards) for edge in (shard, shard + 1)]
    first, behind = (f"{start:0{_ID_DIGITS}x}" for start in starts)
    return first, behind if shard + 1 < num_shards else None
