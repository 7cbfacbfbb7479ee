r"""The mathematical answer that a text states: a box, or what follows "answer is" or a heading.

The last statement counts. All patterns are bounded, so the time is linear in the text.
"""

import re
from collections.abc import Iterator

_TOKEN = re.compile(
    r"\\{1,2}(?:boxed|fbox)(?![A-Za-z])\s{0,20}+(?:\{|(?=([^\n$]{0,200}+)))|\\.|[{}]", re.DOTALL
)
# The content of a box without braces ends at the end of its formula, or where words begin.
_BARE_END = re.compile(
    r"\\[)\]]|\\\\?(?:boxed|fbox)|[.,;:]?(?:\s+|\A)[A-Za-z]{2}|\.\s|[.,;:]*\s*\Z"
)
_MAX_GAP = 120
_MAX_STATED = 2_000
_NAME = r"(?:[A-Za-z]|\\[a-z]{2,8}\b)(?:_(?:\w|\{\w{1,4}\}))?"
_JOINER = re.compile(
    r"(?:(?<=\n)[ \t]*(?:[-\u2022]|\d{1,2}[.)]|\([a-z\d]\))(?=\s)"
    r"|[\s$,;*&]|\\[,;:!\s\\()\[\]&]|\\q?quad\b|\\l?or\b|\\vee\b|\\l?and\b|(?:\band|\bor)\b"
    r"|\\(?:text|textbf|mathrm|textrm|mbox)\s?\{[\s,;~]*(?:and|or)?[\s,;~]*\}|~"
    r"|\\(?:begin|end)\{(?:aligned|align\*?|gathered|cases)\}"
    r"|\.(?=[\s$*]{0,9}\n)"
    rf"|{_NAME}\s{{0,9}}&?=)*+"
)
_ANCHOR = re.compile(
    r"(?<![A-Za-z])answers?[*_`]{0,4}\s{0,9}"
    r"(?:(?:is|are)\b[*_]{0,4}\s{0,9}:?|[*_`]{0,4}[:\uff1a])[*_]{0,4}"
    r"|^[#>*_ \t]{0,9}(?:the[ ]|our[ ]|my[ ])?(?:(?:final|correct)[ ])?answers?[*_ \t]{0,9}$"
    r"|\u7b54\u6848[*_\u3011]{0,4}(?:\u662f|\u4e3a|[:\uff1a])[*_]{0,4}",
    re.IGNORECASE | re.MULTILINE,
)
_FILLER = re.compile(
    r"(?:[\s:,*]|(?:therefore|thus|then|hence|so|now|indeed|simply|clearly|just|exactly|equal to"
    r"|given by|the (?:number|value))\b){0,9}+",
    re.IGNORECASE,
)
_FORMULA = re.compile(
    r"\$\$(.{1,1000}?)\$\$|\\\[(.{1,1000}?)\\\]|\\\((.{1,1000}?)\\\)|\$((?:\\.|[^$\\\n]){1,1000}+)\$",
    re.DOTALL,
)
_SENTENCE = re.compile(r"(?<=[^\s.])\.\s+(?=[A-Z])")
_MATHS = re.compile(r"[-+(\[{\\$\d.|\u221a\u03c0\u221e]|[A-Za-z](?![A-Za-z'\u2019])(?!\s+[a-z]{2})")


def extract_answer(text: str) -> str | None:
    r"""Return the last box, else the last statement of an answer, None if there is neither.

    Boxes with only punctuation, "and", "or", a name or a bullet between them are one answer:
    `\boxed{1}, \boxed{2}` is "1, 2". If the last box is cut off, there is no answer. Without a box,
    a statement that begins as mathematics counts more than one that begins with a word: "The answer
    is verified" does not replace "Answer: 6".
    """
    boxes = _boxes(text)
    if boxes is None:
        return None
    if boxes:
        contents = [boxes[-1][2]]
        for before, after in zip(boxes[-2::-1], boxes[:0:-1], strict=True):
            gap = text[before[1] : after[0]]
            if len(gap) > _MAX_GAP or not _JOINER.fullmatch(gap):
                break
            contents.append(before[2])
        return ", ".join(dict.fromkeys(reversed(contents)))
    best, best_rank = None, 0
    for content, rank in _statements(text):
        if rank >= best_rank:
            best, best_rank = content, rank
    return best


def _boxes(text: str) -> list[tuple[int, int, str]] | None:
    """Return (start, end, content) of each innermost box that is not empty, in one pass.

    Return None if the last box that the text opens is never closed.
    """
    found: list[tuple[int, int, str]] = []
    open_braces: list[tuple[int, int] | None] = []  # a box's start and its content's, else None
    last_opened, last_closed = -1, -1
    last = len(text.rstrip())
    for token in _TOKEN.finditer(text):
        word = token[0]
        if word == "}":
            box = open_braces.pop() if open_braces else None
            if box is None:
                continue
            last_closed = max(last_closed, box[0])
            content = text[box[1] : token.start()].strip()
            if content and not (found and found[-1][0] > box[0]):
                found.append((box[0], token.end(), content))
        elif word == "{":
            open_braces.append(None)
        elif "box" in word:
            last_opened = token.start()
            if word.endswith("{"):
                open_braces.append((token.start(), token.end()))
            elif token.end() < last:
                last_closed = token.start()
                bare = token[1] or ""
                end = _BARE_END.search(bare)
                content = bare[: end.start() if end else None].strip()
                if content:
                    found.append((token.start(), token.end() + len(content), content))
    return None if last_opened > last_closed else found


def _statements(text: str) -> Iterator[tuple[str, int]]:
    """Yield what each anchor states, in order, with its rank: 3 for mathematics, 1 for a phrase."""
    anchors = list(_ANCHOR.finditer(text))
    ends = [*(anchor.start() for anchor in anchors[1:]), len(text)]
    for anchor, end in zip(anchors, ends, strict=False):
        rest = text[anchor.end() : min(end, anchor.end() + _MAX_STATED)]
        filler = _FILLER.match(rest)
        rest = rest[filler.end() if filler else 0 :]
        if formulas := _formulas(rest):
            yield formulas, 3
        elif line := _line(rest):
            is_phrase = anchor[0].rstrip("*_ \t").lower().endswith(("is", "are"))
            yield line, 3 if _MATHS.match(line) else 1 if is_phrase else 2


def _formulas(text: str) -> str:
    """Return the formulas at the start of a text, those that are joined as one answer."""
    found: list[str] = []
    end = 0
    while formula := _FORMULA.match(text, end):
        found.append(next(filter(None, formula.groups()), "").strip().rstrip(".,").strip())
        gap = _FORMULA.search(text, formula.end(), formula.end() + 1000 + _MAX_GAP)
        if gap is None or not _JOINER.fullmatch(text[formula.end() : gap.start()][:_MAX_GAP]):
            break
        if "\n" in text[formula.end() : gap.start()].strip(" "):
            break
        end = gap.start()
    return ", ".join(dict.fromkeys(filter(None, found)))


def _line(text: str) -> str:
    line = text.lstrip().split("\n", 1)[0]
    line = _SENTENCE.split(line, maxsplit=1)[0]
    return strip_marks(line.replace("**", "").strip().rstrip("."))


def strip_marks(text: str) -> str:
    """Return a text without the delimiters of a formula, bold or code that enclose it."""
    for _ in range(4):
        before = text
        text = text.strip()
        for mark in ("$$", "$", "**", "`"):
            inner = text[len(mark) : -len(mark)]
            if len(text) > 2 * len(mark) and text.startswith(mark) and text.endswith(mark):
                text = inner.strip() if mark[0] not in inner else text
        for opening, closing in (("\\(", "\\)"), ("\\[", "\\]")):
            if text.startswith(opening) and text.endswith(closing) and opening not in text[2:]:
                text = text[2:-2].strip()
        if text == before:
            break
    return text
