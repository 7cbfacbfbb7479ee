"""The text of a dialogue in a student's chat template, the same in training and at inference.

Some templates write the day of the call into the system turn: Llama-3.2's do, and those of 3.1 and
3.3 would with another default. A student would then be trained under one date and asked under
others, and no result could be made again, so the date is always the one that Llama-3.1 writes.
Qwen2.5's default system turn is kept as well: what a template writes unasked is part of the
student.
"""

import re
from collections.abc import Sequence
from datetime import date
from typing import Any

TODAY = date(2024, 7, 26)
_ASKS_FOR_THE_DAY = re.compile(r"""strftime_now\(\s*(["'])(.*?)\1\s*\)""")


def dialogue_text(
    tokenizer: Any,
    messages: Sequence[dict[str, str]],
    *,
    asks: bool,
    template: str | None = None,
) -> str:
    """Return the text of some messages.

    Args:
        tokenizer: of the student.
        messages: maps with `role` and `content`.
        asks: end with what precedes an answer.
        template: in place of the tokenizer's own.

    Raises:
        ValueError: the template writes the day of the call in a way that cannot be fixed.
    """
    dated = _ASKS_FOR_THE_DAY.sub(
        lambda found: repr(TODAY.strftime(found[2])), tokenizer.get_chat_template(template)
    )
    if "strftime_now(" in dated:
        raise ValueError(
            "the chat template writes the day of the call, by `strftime_now` of something other "
            "than a literal: give a template with a fixed date"
        )
    text: str = tokenizer.apply_chat_template(
        list(messages),
        chat_template=dated,
        add_generation_prompt=asks,
        tokenize=False,
        date_string=TODAY.strftime("%d %b %Y"),
    )
    return text
