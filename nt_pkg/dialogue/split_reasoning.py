"""Split an output into reasoning and answer; the only place that does, for teachers and students.

One of three pairs of tags opens and closes the reasoning:

    <think>                  </think>                    DeepSeek-R1, QwQ, and our own targets
    <|begin_of_thought|>     <|end_of_thought|>          OpenThoughts
    <|im_start|>think        <|im_start|>answer          s1

Unusual outputs are read like this:

no opening tag          everything up to the closing tag is reasoning: R1's template opened it
no closing tag          all text is reasoning and there is no answer, so that no answer is ever read
                        from the middle of a thought
no tag at all           all text is answer, and there is no reasoning
nested, several         everything up to the last closing tag is reasoning, including text between
                        the blocks; one closing tag closes all; the tags themselves are removed
opened again            an opening tag after the last closing tag leaves no answer
empty                   the reasoning is "", which differs from no reasoning
quoted                  a tag is plain text directly between two backticks or two matching quotation
                        marks, the first of which opens (not so in "5"</think>"5"), or inside a
                        fenced code block. A fence that is never closed does not count, nor does a
                        fence before another opening fence (one with the name of a language), so a
                        reasoning that ends in an open code block still ends; also if the answer has
                        code blocks, when the only closing tag would be inside a block otherwise
solution markers        OpenThoughts' answer is between <|begin_of_solution|> and
                        <|end_of_solution|>; without the first it begins after the reasoning,
                        without the second it was cut

The time is linear in the length of any text.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from nt_pkg.dialogue.formats import THINK_CLOSE, THINK_OPEN

_OPEN = (THINK_OPEN, "<|begin_of_thought|>", "<|im_start|>think")
_CLOSE = (THINK_CLOSE, "<|end_of_thought|>", "<|im_start|>answer")
_BEGIN, _END = "<|begin_of_solution|>", "<|end_of_solution|>"
TAGS = (*_OPEN, *_CLOSE, _BEGIN, _END)
_TAG = re.compile("|".join(map(re.escape, TAGS)))
_FENCE = re.compile(r"^ {0,3}(`{3,}+|~{3,}+)([^`\n]*+)$", re.MULTILINE)
_QUOTES = {"`": "`", '"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019"}
_LINE_CHARS = 500


class Thought(NamedTuple):
    """The parts of an output, stripped of surrounding blanks.

    Attributes:
        reasoning: None if the output has none.
        answer: "" if there is none.
        is_closed: whether the reasoning was closed.
        is_cut: whether a solution was begun and not ended.
        has_quoted_tag: whether a part contains a tag that counts as plain text.
    """

    reasoning: str | None
    answer: str
    is_closed: bool
    is_cut: bool = False
    has_quoted_tag: bool = False


def split_reasoning(text: str, forced_prefix: str = "") -> Thought:
    """Return the parts of one output, by the rules in this module's docstring.

    Args:
        text: output of a model, with or without the prefix that it was forced to begin with.
        forced_prefix: that prefix, "" if there was none.
    """
    if forced_prefix and not text.lstrip().startswith(forced_prefix):
        text = forced_prefix + text
    found = list(_tags(text))
    if not found:
        return Thought(None, text.strip(), False)
    tags = _real(text, [tag for tag in found if not _is_quoted(text, tag)])
    has_quoted_tag = len(tags) < len(found)
    closing = [at for at, tag in enumerate(tags) if tag[0] in _CLOSE]
    behind = closing[-1] + 1 if closing else 0
    if any(tag[0] in _OPEN for tag in tags[behind:]):
        return Thought(_without(text, tags), "", False, False, has_quoted_tag)
    begin = tags[behind - 1].end() if closing else 0
    answer, is_cut = _solution(text, begin, tags[behind:])
    reasoning = _without(text, tags[:behind], begin) if closing else None
    return Thought(reasoning, answer, bool(closing), is_cut, has_quoted_tag)


def _tags(text: str) -> Iterator[re.Match[str]]:
    """Yield what `_TAG.finditer` would; searching for "<", which begins every tag, is faster."""
    at = text.find("<")
    while at >= 0:
        tag = _TAG.match(text, at)
        if tag:
            yield tag
        at = text.find("<", tag.end() if tag else at + 1)


def _real(text: str, tags: list[re.Match[str]]) -> list[re.Match[str]]:
    """Return the tags outside of fenced code blocks."""
    spans, _ = _fences(text, 0, len(text))
    outside = _outside(tags, spans)
    if any(tag[0] in _CLOSE for tag in outside):
        return outside
    if (end := _first_inside(tags, spans)) and end[0] in _CLOSE:
        before, _ = _fences(text, 0, end.start())
        behind, is_open = _fences(text, end.end(), len(text))
        if not is_open:  # else the block is a quotation, and the reasoning goes on
            return _outside(tags, before + behind)
    return outside


def _first_inside(tags: list[re.Match[str]], spans: list[tuple[int, int]]) -> re.Match[str] | None:
    """Return the first tag inside a span; both are sorted."""
    outside = _outside(tags, spans)
    return next(
        (tag for tag, other in zip(tags, [*outside, None], strict=False) if tag is not other), None
    )


def _fences(text: str, start: int, end: int) -> tuple[list[tuple[int, int]], bool]:
    """Return the fenced code blocks that are closed between two places, and if one stays open."""
    spans: list[tuple[int, int]] = []
    if "`" not in text and "~" not in text:  # faster than a search for three in a row
        return spans, False
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer(text, start, end):
        if opened is not None and not fence[1].startswith(opened[1]):
            continue  # a shorter fence, or one of the other kind, is a line of the code
        if opened is None or fence[2].strip():
            opened = fence
        else:
            spans.append((opened.start(), fence.end()))
            opened = None
    return spans, opened is not None


def _is_quoted(text: str, tag: re.Match[str]) -> bool:
    before, after = text[tag.start() - 1 : tag.start()], text[tag.end() : tag.end() + 1]
    if before not in _QUOTES or _QUOTES[before] != after:
        return False
    return before != after or _opens(text, tag.start() - 1)


def _opens(text: str, at: int) -> bool:
    """Return whether a mark that also closes is the first of a pair in its line.

    In a long line, and of an apostrophe, the character before it tells: none of a word.
    """
    lowest = max(0, at - _LINE_CHARS)
    line = text.rfind("\n", lowest, at) + 1
    if text[at] != "'" and (line or not lowest):
        return text.count(text[at], line, at) % 2 == 0
    return not text[at - 1 : at].isalnum()


def _outside(tags: list[re.Match[str]], spans: list[tuple[int, int]]) -> list[re.Match[str]]:
    """Return the tags outside all spans; both are sorted."""
    kept, at = [], 0
    for tag in tags:
        while at < len(spans) and spans[at][1] <= tag.start():
            at += 1
        if at == len(spans) or tag.start() < spans[at][0]:
            kept.append(tag)
    return kept


def _without(text: str, tags: list[re.Match[str]], length: int | None = None) -> str:
    """Return the text, or its first `length` characters, without some of its tags."""
    ends = [0, *(tag.end() for tag in tags)]
    starts = [*(tag.start() for tag in tags), len(text) if length is None else length]
    pieces = [text[end:start] for end, start in zip(ends, starts, strict=True) if start > end]
    return "".join(pieces).strip()


def _solution(text: str, begin: int, tags: list[re.Match[str]]) -> tuple[str, bool]:
    """Return the answer after `begin`, and whether it was cut; the last solution counts."""
    begins = [tag for tag in tags if tag[0] == _BEGIN]
    if begins:
        begin = begins[-1].end()
    ends = [tag.start() for tag in tags if tag[0] == _END and tag.start() >= begin]
    end = ends[0] if ends else len(text)
    return text[begin:end].strip(), bool(begins) and not ends
