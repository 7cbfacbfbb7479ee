"""A model's own chat template and tokens: what engines that run models themselves share."""

from pathlib import Path
from typing import Any, Self

from pydantic import Field

from nt_pkg.config.base import Strict
from nt_pkg.dialogue.chat_template import dialogue_text
from nt_pkg.engines._base import Completion, Request
from nt_pkg.files.json_files import read_json


class ChatParams(Strict):
    """Parameters of engines that run a model themselves."""

    chat_template: str | None = Field(
        None, description="Jinja text in place of the model's own template."
    )


class Chat:
    """From requests to the tokens of a model, and from its tokens to completions."""

    def __init__(self, tokenizer: Any, ends: set[int], template: str | None = None) -> None:
        """Store a tokenizer, the tokens that end an answer, and a template to replace its own."""
        self.tokenizer, self.ends, self._template = tokenizer, ends, template

    @classmethod
    def load(cls, folder: Path, template: str | None = None) -> Self:
        """Return the chat of a model in a folder.

        Raises:
            ValueError: it names no token that ends an answer, or has no chat template.
        """
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        if template is None and not tokenizer.chat_template:
            raise ValueError(
                f"{folder}: the model has no chat template: give one with `params.chat_template`"
            )
        return cls(tokenizer, _end_tokens(folder), template)

    def prompt_ids(self, request: Request) -> list[int]:
        """Return the tokens of a prompt, with the forced beginning of the answer.

        Some templates write the beginning themselves, as R1-Distill's do with "<think>" and a
        newline. A model has never seen it twice.
        """
        messages = [{"role": "user", "content": request.user}]
        text = dialogue_text(self.tokenizer, messages, asks=True, template=self._template)
        if not text.rstrip().endswith(request.forced_prefix.rstrip()):
            text += request.forced_prefix
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return ids

    def completion(self, request: Request, prompt_tokens: int, ids: list[int]) -> Completion:
        """Return the completion of new tokens, up to the first end token."""
        end = next((at for at, token in enumerate(ids) if token in self.ends), None)
        kept = ids if end is None else ids[:end]
        text = self.tokenizer.decode(kept, skip_special_tokens=True)
        return Completion(
            id=request.id,
            text=f"{request.forced_prefix} {text}".strip(),
            prompt_tokens=prompt_tokens,
            completion_tokens=len(kept) + (end is not None),
            finish_reason="length" if end is None else "stop",
        )


def no_room(request: Request, prompt_tokens: int) -> Completion:
    """Return the completion of a prompt that leaves no room for an answer."""
    error = f"the prompt of {prompt_tokens} tokens fills the context of the model"
    return Completion(request.id, "", prompt_tokens, 0, "error", error)


def _end_tokens(folder: Path) -> set[int]:
    """Return all end tokens of a model; a chat model often has more than its tokenizer."""
    names = [folder / name for name in ("generation_config.json", "config.json")]
    path = next((path for path in names if path.exists()), names[0])
    ends = read_json(path).get("eos_token_id") if path.exists() else None
    if ends is None:
        raise ValueError(f"{folder}: {path.name} names no end token; export it again")
    return {ends} if isinstance(ends, int) else set(ends)
