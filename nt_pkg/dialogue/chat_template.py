"""The text of a dialogue in a student's chat template, the same in training and at inference.

Some templates write today's date into the system turn: those of Llama-3.2 do, and those of 3.1 and
3.3 would with another default. A student would then be trained with one date and evaluated with
others, and no result could be reproduced. So the date is always the one that Llama-3.1 writes.
Qwen2.5's default system turn is kept too, because what a template adds is part of the student.
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
        list(messages),
        chat_template=dated,
        add_generation_prompt=asks,
        tokenize=False,
        date_string=TODAY.strftime("%d %b %Y"),
    )
    return text
