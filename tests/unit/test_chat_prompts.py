"""The prompt that a model reads, with the forced beginning of its answer, letter by letter."""

from dataclasses import dataclass
from typing import Any

import pytest

from nt_pkg.engines._base import Request
from nt_pkg.engines._chat import Chat

BEGIN, END = "<s>", "</s>"
# As R1-Distill's: it begins with the first token, cuts reasoning out of earlier answers, and opens
# the next one's.
R1 = (
    "{{ bos_token }}{% for message in messages %}{% if message.role == 'user' %}"
    "<|User|>{{ message.content }}{% else %}"
    "<|Assistant|>{{ message.content.split('</think>')[-1] }}{{ eos_token }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|Assistant|><think>\n{% endif %}"
)
OPENED = "<think>\n"
ASKED = "<s><|User|>Why?<|Assistant|>"


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """Return a tokenizer of bytes that puts its first token before every text."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({letter: at for at, letter in enumerate(letters)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([BEGIN, END])
    made.add_tokens([AddedToken(each, normalized=False) for each in ("<think>", "</think>")])
    first = (BEGIN, made.token_to_id(BEGIN))
    made.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", special_tokens=[first]
    )
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token=BEGIN, eos_token=END)


def chat_of(tokenizer: Any, template: str) -> Chat:
    return Chat(tokenizer, {tokenizer.eos_token_id}, template)


@dataclass(frozen=True)
class Case:
    """What the template ends with, what is asked, and how the prompt has to end."""

    ends: str
    wanted: str
    prefix: str = "<think>"
    user: str = "Why?"


CASES = {
    "opened as by R1-Distill": Case(OPENED, OPENED),
    "opened without a newline": Case("<think>", "<think>"),
    "opened before a blank": Case("<think> ", "<think> "),
    "opened before an empty line": Case("<think>\n\n", "<think>\n\n"),
    "not opened": Case("", "<think>"),
    "opened, nothing forced": Case(OPENED, OPENED, prefix=""),
    "not opened, nothing forced": Case("", "", prefix=""),
    "opened and closed": Case("<think>\n\n</think>\n", "<think>\n\n</think>\n<think>"),
    "opened by another tag": Case("<thinking>\n", "<thinking>\n<think>"),
    "opened, then text": Case("<think>\nOkay,", "<think>\nOkay,<think>"),
    "another beginning is forced": Case(OPENED, f"{OPENED}Answer:", prefix="Answer:"),
    "forced with a newline": Case("<think>", "<think>", prefix=OPENED),
    "the question ends with it": Case("", "<think>", user="Why <think>"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_forced_beginning_is_there_once(tokenizer: Any, case: Case) -> None:
    chat = chat_of(tokenizer, R1.replace(OPENED, case.ends))
    request = Request("x", case.user, case.prefix)

    ids = chat.prompt_ids(request)

    # Written by the template, not by the tokenizer too: the first token is there once.
    assert tokenizer.decode(ids) == f"{ASKED.replace('Why?', case.user)}{case.wanted}"
    assert ids.count(tokenizer.bos_token_id) == 1


@pytest.mark.parametrize("ends", ["", OPENED])
def test_the_text_of_an_answer_has_the_beginning_whoever_wrote_it(
    tokenizer: Any, ends: str
) -> None:
    chat = chat_of(tokenizer, R1.replace(OPENED, ends))
    new = tokenizer.encode("So.\n</think> 7</s>", add_special_tokens=False)

    found = chat.completion(Request("x", "Why?", "<think>"), 9, new)

    assert found.text == "<think> So.\n</think> 7"
    assert (found.finish_reason, found.completion_tokens) == ("stop", len(new))
