"""Tokenizers with the chat templates of the families, and what they should make of a question."""

import re
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
MICRO = ROOT / "nt_pkg" / "microworld" / "base"

# Chat templates in the shape of the families' own, as far as one question and answer go. Those of
# Llama-3.1 and 3.3 have a fixed date as their default; that of 3.2 asks for the day.
_LLAMA = (
    "{{- bos_token }}"
    "{%- if not date_string is defined %}{%- set date_string = DEFAULT %}{%- endif %}"
    "{%- if messages[0]['role'] == 'system' %}"
    "{%- set system_message = messages[0]['content']|trim %}{%- set messages = messages[1:] %}"
    "{%- else %}{%- set system_message = '' %}{%- endif %}"
    "{{- '<|start_header_id|>system<|end_header_id|>\n\n' }}"
    "{{- 'Cutting Knowledge Date: December 2023\n' }}"
    "{{- 'Today Date: ' + date_string + '\n\n' }}"
    "{{- system_message }}{{- '<|eot_id|>' }}"
    "{%- for message in messages %}"
    "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'"
    " + message['content'] | trim + '<|eot_id|>' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}"
    "{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif %}"
)
QWEN = (
    "{%- if messages[0]['role'] == 'system' %}"
    "{{- '<|im_start|>system\n' + messages[0]['content'] + '<|im_end|>\n' }}"
    "{%- else %}"
    "{{- '<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant."
    "<|im_end|>\n' }}"
    "{%- endif %}"
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)
TEMPLATES = {
    "llama-3.1": _LLAMA.replace("DEFAULT", "'26 Jul 2024'"),
    "llama-3.2": _LLAMA.replace("DEFAULT", "strftime_now('%d %b %Y')"),
    "llama-3.3": _LLAMA.replace("DEFAULT", "'26 Jul 2024'"),
    "qwen2.5": QWEN,
    # One that asks for the day and takes none from outside.
    "dated": _LLAMA.replace("+ date_string +", "+ strftime_now('%d %b %Y') +"),
}
_LLAMA_TOKENS = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
_QWEN_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


@cache
def tokenizer_of(family: str) -> Any:
    """Return a tokenizer of single bytes with the template and special tokens of a family.

    Its first 256 ids are the bytes in the order of the alphabet; special tokens follow.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    if family == "micro":
        return AutoTokenizer.from_pretrained(MICRO)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE({char: at for at, char in enumerate(alphabet)}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    tokens = _QWEN_TOKENS if family == "qwen2.5" else _LLAMA_TOKENS
    core.add_special_tokens([AddedToken(token, special=True) for token in tokens])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token=tokens[0], eos_token=tokens[-1]
    )
    tokenizer.chat_template = TEMPLATES[family]
    return tokenizer


GOLDEN = {
    "micro": ("<s><|user|>{user}<|assistant|>", "{answer}<|end|>"),
    "llama-3.1": (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: "
        "December 2023\nToday Date: 26 Jul 2024\n\n<|eot_id|><|start_header_id|>user"
        "<|end_header_id|>\n\n{user}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        "{answer}<|eot_id|>",
    ),
    "qwen2.5": (
        "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant."
        "<|im_end|>\n<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n",
        "{answer}<|im_end|>",
    ),
}


for other in ("llama-3.2", "llama-3.3", "dated"):  # they differ in their defaults only
    GOLDEN[other] = GOLDEN["llama-3.1"]


def golden_ids(tokenizer: Any, text: str) -> list[int]:
    """Return the ids of a text in a tokenizer of bytes, found by hand."""
    known = tokenizer.get_vocab()
    pieces = re.findall(r"<\|[a-z_]+\|>|.|\n", text)
    return [known[piece.replace(" ", "\u0120").replace("\n", "\u010a")] for piece in pieces]
