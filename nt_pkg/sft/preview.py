"""A readable page of what a student sees and learns, decoded from the tokens of its training."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nt_pkg.files.schemas import Row
from nt_pkg.identity.seeds import rng
from nt_pkg.packing.steps import Step

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_NUM_EXAMPLES = 5
_HEAD, _TAIL = 1500, 500  # characters shown of a long text
_LEGEND = """\
Decoded from the tokens of this training. Text in [[ ]] has loss; the rest is only read.
Check that the question is outside, the whole answer inside, and that its end token is there.
"""


def preview(
    tokenizer: "PreTrainedTokenizerBase", examples: Sequence[Row], first: Step, seed: int
) -> str:
    """Return some examples and the beginning of the first step as text with the loss marked.

    Args:
        tokenizer: tokenizer of the student.
        examples: examples of the training.
        first: the first step.
        seed: seed of the run; it also draws the examples.
    """
    draw = rng("preview", seed)
    chosen: list[Row] = []
    for target in ("system2", "system1"):  # some of each kind if the format has both
        same = [row for row in examples if row["target"] == target]
        chosen += draw.sample(same, min(len(same), _NUM_EXAMPLES))
    parts = [_LEGEND]
    parts += [f"== {_title(row)}\n{_marked(tokenizer, row)}\n" for row in chosen]
    shown = [examples[number] for number in first.examples[:_NUM_EXAMPLES]]
    parts.append(
        f"== first step: {len(first.examples)} documents, {first.num_tokens} tokens; each attends "
        f"only to itself, and its positions begin at 0; the first {len(shown)}:\n"
    )
    parts += [f"-- {_title(row)}\n{_marked(tokenizer, row)}\n" for row in shown]
    return "\n".join(parts)


def _title(row: Row) -> str:
    cut = row["num_prompt_tokens"]
    bearing = len(row["input_ids"]) - cut
    return f"{row['id']}, {row['target']}, {cut} tokens read, {bearing} with loss"


def _marked(tokenizer: "PreTrainedTokenizerBase", row: Row) -> str:
    cut = row["num_prompt_tokens"]
    parts = (row["input_ids"][:cut], row["input_ids"][cut:])
    read, learnt = (_short(str(tokenizer.decode(ids))) for ids in parts)
    return f"{read}[[{learnt}]]"


def _short(text: str) -> str:
    left_out = len(text) - _HEAD - _TAIL
    if left_out <= 0:
        return text
    return f"{text[:_HEAD]}\n... {left_out} characters left out ...\n{text[-_TAIL:]}"
