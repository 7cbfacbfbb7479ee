"""What a student reads and learns of a question and an answer, in each chat template."""

from copy import deepcopy

import pytest

from nt_pkg.dialogue.rendering import render
from nt_pkg.engines._base import Request
from nt_pkg.engines._chat import Chat
from tests.unit.sft.templates import GOLDEN, golden_ids, tokenizer_of

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("family", GOLDEN)
@pytest.mark.parametrize("answer", ["<think> Take May. </think> So", "Option"])
def test_loss_covers_the_answer_with_its_end_and_nothing_else(family: str, answer: str) -> None:
    tokenizer = tokenizer_of(family)
    user = "Where does she end? Think"

    [(ids, num_prompt)] = render(tokenizer, [(user, answer)])

    decoded = [tokenizer.decode(part) for part in (ids[:num_prompt], ids[num_prompt:])]
    expected = [each.format(user=user, answer=answer) for each in GOLDEN[family]]
    if family == "micro":  # its decoder puts a space between tokens
        decoded = [each.replace(" ", "") for each in decoded]
        expected = [each.replace(" ", "") for each in expected]
    else:
        assert ids == golden_ids(tokenizer, "".join(expected))
        assert num_prompt == len(golden_ids(tokenizer, expected[0]))
    assert decoded == expected
    assert ids[-1] == tokenizer.eos_token_id
    assert tokenizer.eos_token_id not in ids[num_prompt:-1]


@pytest.mark.parametrize("family", GOLDEN)
def test_prompt_is_the_one_of_inference(family: str) -> None:
    """The ids a student is asked with are those that it was trained behind."""
    tokenizer = tokenizer_of(family)
    [(ids, num_prompt)] = render(tokenizer, [("Where?", "<think> a </think> b")])
    chat = Chat(tokenizer, {tokenizer.eos_token_id})

    assert chat.prompt_ids(Request("a", "Where?")) == ids[:num_prompt]
    forced = chat.prompt_ids(Request("a", "Where?", "<think>"))
    assert ids[: len(forced)] == forced


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("message.content +", "message.content.split('</think>')[-1] +", "changes the answer"),
        ("'<|im_start|>assistant\n'", "'<|im_start|>assistant\n<think>\n'", "does not begin"),
        ("message.content + '<|im_end|>\n'", "message.content + '\n'", "writes no <|im_end|>"),
        ("message.role +", "strftime_now(message.role) +", "writes the day of the call"),
    ],
)
def test_template_that_would_spoil_the_loss_is_refused(old: str, new: str, message: str) -> None:
    """Templates of reasoning models drop the trace of past turns."""
    tokenizer = deepcopy(tokenizer_of("qwen2.5"))
    assert old in tokenizer.chat_template
    tokenizer.chat_template = tokenizer.chat_template.replace(old, new)

    with pytest.raises(ValueError, match=r"chat template .*") as caught:
        render(tokenizer, [("Where?", "<think> a </think> b")])

    assert message in str(caught.value)


@pytest.mark.parametrize("answer", ["<think> a </think> b", "b"])
def test_template_that_writes_the_reasoning_itself_is_refused_in_both_formats(answer: str) -> None:
    """That of Qwen3 takes the reasoning apart, and puts an empty one before an answer without."""
    tokenizer = deepcopy(tokenizer_of("qwen2.5"))
    tokenizer.chat_template = tokenizer.chat_template.replace(
        "message.content +",
        "('' if message.role == 'user' else '<think>\n' + "
        "(message.content.split('</think>')[0].split('<think>')[-1].strip() "
        "if '</think>' in message.content else '') + '\n</think>\n\n') + "
        "message.content.split('</think>')[-1].lstrip() +",
    )

    with pytest.raises(ValueError, match="changes the answer"):
        render(tokenizer, [("Where?", answer)])
