"""The text of a dialogue in a student's chat template, the same in training and at inference.

Some templates write today's date into the system turn: those of Llama-3.2 do, and those of 3.1 and
3.3 would with another default. A student would then be trained with one date and evaluated with
others, and no result could be reproduced. So the date is always the one that Llama-3.1 writes.
Qwen2.5's default system turn is kept too, because what a template adds is part of the student.

Text of a question or an answer stays text, also where it spells a control token such as <|im_end|>:
the tokenizer would otherwise read a forged turn, or an end inside the loss. Such a string is marked
behind its first character, and the text is tokenised in the parts between marks, so it becomes
"<" and "|im_end|>". All other texts are tokenised whole, as they would be without this. The tags
<think> and </think> are ours to write and stay tokens where a tokenizer has them.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import date
from functools import lru_cache
from typing import Any

from nt_pkg.dialogue.formats import THINK_CLOSE, THINK_OPEN

TODAY = date(2024, 7, 26)
_ASKS_FOR_THE_DAY = re.compile(r"""strftime_now\(\s*(["'])(.*?)\1\s*\)""")

_MARK = "\ufdd0\ufdd1\ufdd0"  # characters that Unicode keeps out of texts
# Control tokens of the families, for servers whose tokenizer is not known.
_IN_BARS = r"<([|\uff5c])[^<>|\uff5c\s]{1,60}\1>"
_ANY_CONTROL = re.compile(
    rf"{_IN_BARS}|</?s>|<(?:bos|eos|pad|unk)>|<(?:start|end)_of_turn>|\[/?INST\]|<</?SYS>>"
)


def spelled_control(text: str) -> str | None:
    """Return the first string of a text that some tokenizer takes for a control token, or None."""
    found = _ANY_CONTROL.search(text)
    return found and found[0]


def marked(tokenizer: Any, text: str) -> str:
    """Return a text with a mark in every string that is a control token, or looks like one."""
    control = _control(tokenizer)
    while control.search(text):  # what is left of one may spell another
        text = control.sub(lambda found: found[0][0] + _MARK + found[0][1:], text)
    return text


def token_ids(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Return the ids of texts of `dialogue_text`, or of parts of such, tokenised together."""
    parts = [[part for part in text.split(_MARK) if part] for text in texts]
    together = [part for of_text in parts for part in of_text]
    encoded: Iterator[list[int]] = iter(
        tokenizer(
            together,
            add_special_tokens=False,
            return_attention_mask=False,
            return_token_type_ids=False,
        )["input_ids"]
        if together
        else ()
    )
    return [[id_ for _ in of_text for id_ in next(encoded)] for of_text in parts]


def token_starts(tokenizer: Any, text: str) -> list[int]:
    """Return where each token of `token_ids` begins, as a place in the text with its marks.

    Raises:
        ValueError: the tokenizer does not know.
    """
    if not tokenizer.is_fast:
        raise ValueError(
            f"the tokenizer ({type(tokenizer).__name__}) does not say where its tokens are in a "
            "text: save the model with a fast tokenizer (tokenizer.json)"
        )
    found, start = [], 0
    for part in text.split(_MARK):
        if part:
            encoded = tokenizer(part, add_special_tokens=False, return_offsets_mapping=True)
            found += [start + begin for begin, _ in encoded["offset_mapping"]]
        start += len(part) + len(_MARK)
    return found


def place_in_marked(text: str, num_chars: int) -> int:
    """Return where the first `num_chars` characters of a marked text end, marks not counted."""
    end = 0
    for number, part in enumerate(text.split(_MARK)):
        end += len(_MARK) * (number > 0)
        if num_chars <= len(part):
            break
        end, num_chars = end + len(part), num_chars - len(part)
    return end + num_chars


def plain_ids(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Return the ids of texts that stand alone, without the tokens of `ids_around`."""
    return token_ids(tokenizer, [marked(tokenizer, text) for text in texts])


def ids_around(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Return the ids that a tokenizer puts before and behind every text that stands alone."""
    text = "a"
    inside = tokenizer(text, add_special_tokens=False)["input_ids"]
    whole = tokenizer(text)["input_ids"]
    begin = next(at for at in range(len(whole)) if whole[at : at + len(inside)] == inside)
    return whole[:begin], whole[begin + len(inside) :]


@lru_cache(maxsize=8)
def _control(tokenizer: Any) -> re.Pattern[str]:
    """Return what finds the strings that are control tokens, or look like one, in any text."""
    special = (each for each in tokenizer.added_tokens_decoder.values() if each.special)
    strings = {each.content for each in special} | set(tokenizer.all_special_tokens)
    strings = {each for each in strings if len(each) > 1}  # one character cannot be cut
    longest_first = sorted(strings - {THINK_OPEN, THINK_CLOSE}, key=lambda s: (-len(s), s))
    # Some templates mark turns by such strings although they are no tokens.
    return re.compile("|".join([*map(re.escape, longest_first), _IN_BARS]))


def dialogue_text(
    tokenizer: Any,
    messages: Sequence[dict[str, str]],
    *,
    asks: bool,
    template: str | None = None,
) -> str:
    """Return the text of some messages, for `token_ids`; their control strings are marked.

    Args:
        tokenizer: tokenizer of the student.
        messages: maps with `role` and `content`.
        asks: whether to end with the generation prompt.
        template: replaces the tokenizer's own template.

    Raises:
        ValueError: the template writes today's date in a way that cannot be made constant.
    """
    dated = _ASKS_FOR_THE_DAY.sub(
        lambda found: repr(TODAY.strftime(found[2])), tokenizer.get_chat_template(template)
    )
    if "strftime_now(" in dated:
        raise ValueError(
            "the chat template writes the day of the call, by `strftime_now` of something other "
            "than a literal: use a template with a fixed date"
        )
    text: str = tokenizer.apply_chat_template(
        [{**each, "content": marked(tokenizer, each["content"])} for each in messages],
        chat_template=dated,
        add_generation_prompt=asks,
        tokenize=False,
        date_string=TODAY.strftime("%d %b %Y"),
    )
    return text
