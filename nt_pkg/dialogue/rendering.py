"""A dialogue as a student reads it: rendered with its chat template, with the loss mask."""

from collections.abc import Sequence
from typing import Any

from nt_pkg.dialogue.chat_template import (
    dialogue_text,
    marked,
    place_in_marked,
    token_ids,
    token_starts,
)


def render(tokenizer: Any, pairs: Sequence[tuple[str, str]]) -> list[tuple[list[int], int]]:
    """Return (token ids, number of prompt tokens) of dialogues of a user and an assistant turn.

    The loss covers everything after the prompt: the assistant's turn with its end-of-turn token,
    and nothing of the question. What a template writes after that token, such as a newline, is
    removed.

    Raises:
        ValueError: the template does not write the generation prompt before the answer, changes
            the answer, or writes no end-of-turn token after it.
    """
    texts = [text for pair in pairs for text in _texts(tokenizer, *pair)]
    # Prompt and answer are tokenised separately, because at inference the prompt is alone too.
    encoded = token_ids(tokenizer, texts)
    end = tokenizer.eos_token_id
    rendered = []
    for prompt, answer in zip(encoded[::2], encoded[1::2], strict=True):
        if end not in answer:
            raise ValueError(
                f"the chat template writes no {tokenizer.eos_token} after an answer: use a "
                "template that ends each answer with this token"
            )
        last = len(answer) - 1 - answer[::-1].index(end)
        rendered.append((prompt + answer[: last + 1], len(prompt)))
    return rendered


def _texts(tokenizer: Any, user: str, assistant: str) -> tuple[str, str]:
    """Return the text of the prompt, and the text that a template writes after it."""
    messages = [{"role": "user", "content": user}]
    prompt_text = dialogue_text(tokenizer, messages, asks=True)
    messages.append({"role": "assistant", "content": assistant})
    whole_text = dialogue_text(tokenizer, messages, asks=False)
    if not whole_text.startswith(prompt_text):
        raise ValueError(
            "the chat template does not begin a dialogue with its own generation prompt, so the "
            "loss mask cannot be placed: use the training form of this family's template"
        )
    answer_text = whole_text[len(prompt_text) :]
    if not answer_text.lstrip().startswith(marked(tokenizer, assistant).strip()):
        raise ValueError(
            "the chat template changes the answer, for example by removing its reasoning or by "
            "writing an empty one before an answer without: use the training form of this "
            "family's template"
        )
    return prompt_text, answer_text


def tokens_within(tokenizer: Any, user: str, assistant: str, head: str) -> int:
    """Return how many tokens of a rendered answer begin within `head`, its beginning.

    Args:
        tokenizer: of the student; it has to know where its tokens are in a text.
        user: the user's turn.
        assistant: the assistant's turn.
        head: text that the assistant's turn begins with, without a blank before it.

    Raises:
        ValueError: the tokenizer does not know, or the template cannot be used (see `render`).
    """
    _, text = _texts(tokenizer, user, assistant)
    written = marked(tokenizer, assistant)
    end = text.index(written.strip()) + place_in_marked(written, len(head))
    return sum(start < end for start in token_starts(tokenizer, text))
