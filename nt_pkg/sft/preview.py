"""A readable page of what a student sees and learns, decoded from the tokens of its training."""

from typing import TYPE_CHECKING

from nt_pkg.identity.seeds import rng
from nt_pkg.packing.steps import Step
from nt_pkg.sft.examples import Examples

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_NUM_EXAMPLES = 5
_HEAD, _TAIL = 1500, 500  # characters shown of a long text
_LEGEND = """\
Decoded from the tokens of this training. Text in [[ ]] has loss; the rest is only read.
Check that the question is outside, the whole answer inside, and that its end token is there.
"""


def preview(
    tokenizer: "PreTrainedTokenizerBase", examples: Examples, first: Step, seed: int
) -> str:
    """Return some examples and the beginning of the first step as text with the loss marked.

    Args:
        tokenizer: tokenizer of the student.
        examples: examples of the training.
        first: the first step.
        seed: seed of the run; it also draws the examples.
    """
    draw = rng("preview", seed)
    chosen: list[int] = []
    for target in ("system2", "system1"):  # some of each kind if the format has both
        same = examples.numbers_of(target)
        chosen += draw.sample(same, min(len(same), _NUM_EXAMPLES))
    parts = [_LEGEND]
    parts += [f"== {_title(examples, n)}\n{_marked(tokenizer, examples, n)}\n" for n in chosen]
    shown = first.examples[:_NUM_EXAMPLES].tolist()
    parts.append(
        f"== first step: {len(first.examples)} documents, {first.num_tokens} tokens; each attends "
        f"only to itself, and its positions begin at 0; the first {len(shown)}:\n"
    )
    parts += [f"-- {_title(examples, n)}\n{_marked(tokenizer, examples, n)}\n" for n in shown]
    return "\n".join(parts)


def _title(examples: Examples, number: int) -> str:
    read, learnt = examples.num_prompt_tokens[number], examples.loss_lengths[number]
    name, target = examples.name(number), examples.target(number)
    return f"{name}, {target}, {read} tokens read, {learnt} with loss"


def _marked(tokenizer: "PreTrainedTokenizerBase", examples: Examples, number: int) -> str:
    ids, cut = examples.ids(number), examples.num_prompt_tokens[number]
    parts = (ids[:cut], ids[cut:])
    read, learnt = (_short(str(tokenizer.decode(ids))) for ids in parts)
    return f"{read}[[{learnt}]]"


def _short(text: str) -> str:
    left_out = len(text) - _HEAD - _TAIL
    if left_out <= 0:
        return text
    return f"{text[:_HEAD]}\n... {left_out} characters left out ...\n{text[-_TAIL:]}"
