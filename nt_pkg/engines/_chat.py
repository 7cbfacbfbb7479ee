"""A model's own chat template and tokens: what engines that run models themselves share."""

from pathlib import Path
from typing import Any, Self

from pydantic import Field

from nt_pkg.config.base import Strict
from nt_pkg.dialogue.chat_template import dialogue_text, token_ids
from nt_pkg.dialogue.split_reasoning import TAGS
from nt_pkg.engines._base import Completion, Request
from nt_pkg.files.json_files import read_json
from nt_pkg.jobs.model_folder import loading

_TAG_TOKENS = 12  # of any tag, also in a tokenizer of letters
_ANSWER = "An answer."


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
            ValueError: nothing names a token that ends an answer, or there is no chat template.
        """
        from transformers import AutoTokenizer

        with loading(folder):
            tokenizer = AutoTokenizer.from_pretrained(
                folder, padding_side="left", trust_remote_code=False
            )
        if template is None and not tokenizer.chat_template:
            raise ValueError(
                f"{folder}: the model has no chat template: give one with `params.chat_template`"
            )
        return cls(tokenizer, _end_tokens(folder, tokenizer, template), template)

    def prompt_ids(self, request: Request) -> list[int]:
        """Return the tokens of a prompt, with the forced beginning of the answer.

        Some templates write the beginning themselves, as R1-Distill's do with "<think>" and a
        newline. A model has never seen it twice.
        """
        messages = [{"role": "user", "content": request.user}]
        text = dialogue_text(self.tokenizer, messages, asks=True, template=self._template)
        if not text.rstrip().endswith(request.forced_prefix.rstrip()):
            text += request.forced_prefix
        return token_ids(self.tokenizer, [text])[0]

    def completion(self, request: Request, prompt_tokens: int, ids: list[int]) -> Completion:
        """Return the completion of new tokens, up to the first end token."""
        end = next((at for at, token in enumerate(ids) if token in self.ends), None)
        kept = ids if end is None else ids[:end]
        text = self._text(kept)
        return Completion(
            id=request.id,
            text=f"{request.forced_prefix} {text}".strip(),
            prompt_tokens=prompt_tokens,
            completion_tokens=len(kept) + (end is not None),
            finish_reason="length" if end is None else "stop",
        )

    def _text(self, ids: list[int]) -> str:
        """Return the text of new tokens without control tokens, but with the tags of reasoning."""
        added = self.tokenizer.added_tokens_decoder
        special = {id_ for id_, each in added.items() if each.special}
        tags = {at for at, id_ in enumerate(ids) if id_ in special and self._is_tag(ids[at:])}
        if not tags:
            return str(self.tokenizer.decode(ids, skip_special_tokens=True))
        kept = [id_ for at, id_ in enumerate(ids) if id_ not in special or at in tags]
        return str(self.tokenizer.decode(kept, skip_special_tokens=False))

    def _is_tag(self, ids: list[int]) -> bool:
        """Return whether tokens begin with a tag: <think>, or <|im_start|> before "think"."""
        first = self.tokenizer.decode(ids[:1], skip_special_tokens=False)
        if not any(tag.startswith(first) for tag in TAGS):
            return False
        text: str = self.tokenizer.decode(ids[:_TAG_TOKENS], skip_special_tokens=False)
        return text.startswith(TAGS)


def no_room(request: Request, prompt_tokens: int) -> Completion:
    """Return the completion of a prompt that leaves no room for an answer."""
    error = f"the prompt of {prompt_tokens} tokens fills the context of the model"
    return Completion(request.id, "", prompt_tokens, 0, "error", error)


def _end_tokens(folder: Path, tokenizer: Any, template: str | None) -> set[int]:
    """Return all end tokens of a model: of its two configs, its tokenizer and its template.

    Any of them may be alone in naming one: a base model's files do not name the end of a turn, and
    a model that never writes its end never stops.
    """
    ends = {tokenizer.eos_token_id, _end_of_turn(tokenizer, template)}
    for path in (folder / "generation_config.json", folder / "config.json"):
        found = read_json(path).get("eos_token_id") if path.exists() else None
        ends |= set(found) if isinstance(found, list) else {found}
    ends.discard(None)
    if not ends:
        raise ValueError(
            f"{folder}: neither generation_config.json nor config.json, tokenizer and chat "
            "template name an end token; export it again"
        )
    return ends


def _end_of_turn(tokenizer: Any, template: str | None) -> int | None:
    """Return the control token that the template writes after an answer, if it does."""
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": _ANSWER}]
    _, found, rest = dialogue_text(tokenizer, turns, asks=False, template=template).rpartition(
        _ANSWER
    )
    first = token_ids(tokenizer, [rest.lstrip()])[0][:1] if found else []
    added = tokenizer.added_tokens_decoder
    return first[0] if first and first[0] in added and added[first[0]].special else None
