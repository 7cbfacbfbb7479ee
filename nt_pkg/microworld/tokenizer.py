"""The micro-world's tokenizer: one token per word of the world, characters for other ASCII text."""

import string
from typing import TYPE_CHECKING

from nt_pkg.microworld import facts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, UNKNOWN, BEGIN, END = "<pad>", "<unk>", "<s>", "<|end|>"
USER, ASSISTANT = "<|user|>", "<|assistant|>"
SPECIAL = (PAD, UNKNOWN, BEGIN, END, USER, ASSISTANT)
THINK_TAGS = ("<think>", "</think>")  # ordinary tokens, so that decoding keeps them
LENGTHS = tuple(str(num) for num in range(10, 130, 10))  # K of the control string, in words

_TEXT = """
starts at with and Where does end drifts from land came to did start stands must reach Which herb
is missing she he Goal find the Take Sum Case light dark Undo Gap no Check Wait So Option
Think carefully before answering Use about words Answer directly without thinking
"""
# Ordinary tokens (`<think>`, `+2`), words, and single marks; spaces only separate them.
_PIECES = r"\n|</?think>|[+-][0-9]+|\w+|[^\w\s]"
_TIGHT = ".,?!:;)%"  # marks written without a space before them
CHAT_TEMPLATE = (
    "{{ '<s>' }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}"
    "{{ '<|assistant|>' }}{% generation %}{{ message['content'] + '<|end|>' }}{% endgeneration %}"
    "{% else %}{{ '<|user|>' + message['content'] }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def vocabulary() -> list[str]:
    """Return all tokens in the order of their ids."""
    words = set(_TEXT.split()) | set(facts.NAMES) | set(LENGTHS)
    for place in facts.DOMAIN_OF:
        words.add(place)
    for kind_of in (facts.CHARM_KIND, facts.SPIRIT_KIND):
        words |= {*kind_of, *kind_of.values()}
    words |= {facts.signed(move) for move in range(-facts.MAX_TOTAL, facts.MAX_TOTAL + 1)}
    marks = set(string.digits + string.ascii_letters + string.punctuation + "\n")
    inner = {f"##{char}" for char in string.digits + string.ascii_letters + "_"}
    return [*SPECIAL, *THINK_TAGS, *sorted(words | marks), *sorted(inner)]


def build_tokenizer() -> "PreTrainedTokenizerFast":
    """Return the tokenizer with its chat template, ready to save.

    Decoding restores every question and trace of the world exactly. Other ASCII text keeps its
    characters but not its spacing. Other characters become `<unk>`.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocab = {token: index for index, token in enumerate(vocabulary())}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token=UNKNOWN, max_input_chars_per_word=1000))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"[^\S\n]+"), "removed"),
            pre_tokenizers.Split(Regex(_PIECES), "isolated"),
        ]
    )
    tight = [decoders.Replace(f" {mark}", mark) for mark in _TIGHT]
    lines = [decoders.Fuse(), decoders.Replace(" \n", "\n"), decoders.Replace("\n ", "\n")]
    tokenizer.decoder = decoders.Sequence(
        [decoders.WordPiece(prefix="##", cleanup=False), *tight, *lines]
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        bos_token=BEGIN,
        eos_token=END,
        additional_special_tokens=[USER, ASSISTANT],
        model_max_length=1024,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast
