"""What a student makes of traces: one forward pass gives the probability of each of their tokens.

A trace is the System-2 target of training (`nt_pkg.dialogue.formats`), behind the same prompt and
rendered the same way, so that the tokens are those of a training's loss: the reasoning with its
tags, the answer, and the token that ends the turn.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nt_pkg.annotators._base import Example, Label, StudentParams
from nt_pkg.dialogue.formats import THINK_CLOSE, THINK_OPEN, training_pair
from nt_pkg.dialogue.rendering import render, tokens_within
from nt_pkg.engines._output_layer import has_plain_head
from nt_pkg.jobs.model_folder import check_whole

if TYPE_CHECKING:  # a start of Snakemake imports the annotators of its study
    import numpy as np
    import torch

_MAX_LOGITS = 2**27  # in memory at a time: 512 MB of float32
_DIGITS = 6  # behind the point of a label; what a batch changes is below that


@dataclass(frozen=True)
class Scored:
    """The tokens of a trace, in their order.

    Attributes:
        nlls: negative log-likelihood of each in nats, given what is before it, shape (n,).
        ranks: how many tokens are as likely or likelier, itself included, shape (n,).
        num_reasoning: how many of them belong to the reasoning, its tags included.
    """

    nlls: "np.ndarray"
    ranks: "np.ndarray"
    num_reasoning: int


@dataclass(frozen=True)
class _Rendered:
    ids: list[int]
    num_prompt: int
    num_reasoning: int


class StudentReader:
    """A student on the first GPU in the number format of its files, or on the CPU in float32."""

    def __init__(self, folder: Path) -> None:
        """Load it.

        Args:
            folder: its files.
        """
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        has_gpu = torch.cuda.is_available()
        self._device = torch.device("cuda" if has_gpu else "cpu")
        self._tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        dtype = "auto" if has_gpu else torch.float32
        model, info = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, trust_remote_code=False, output_loading_info=True
        )
        check_whole(folder, info)
        self._model = model.to(self._device).eval()
        config = self._model.config.get_text_config()
        self._context: int | None = getattr(config, "max_position_embeddings", None)

    def read(
        self, params: StudentParams, examples: Sequence[Example], shows_question: bool = True
    ) -> list[Scored | Label]:
        """Return the tokens of each trace, or why it cannot be read.

        Args:
            params: how the student is asked.
            examples: questions with their traces, read together.
            shows_question: False: the prompt is the same without the text of the question.
        """
        rendered = [self._render(params, each, shows_question) for each in examples]
        fit = [not self._context or len(each.ids) <= self._context for each in rendered]
        found = self._score([each for each, fits in zip(rendered, fit, strict=True) if fits])
        return [
            _checked(next(found))
            if fits
            else Label(
                None,
                f"question and trace have {len(each.ids)} tokens, and the student reads "
                f"{self._context}",
            )
            for each, fits in zip(rendered, fit, strict=True)
        ]

    def _render(self, params: StudentParams, example: Example, shows_question: bool) -> _Rendered:
        question = example.question if shows_question else ""
        pair = training_pair(
            question, example.reasoning, example.answer, "system2", params.think_words
        )
        [(ids, num_prompt)] = render(self._tokenizer, [pair])
        thought = f"{THINK_OPEN} {example.reasoning} {THINK_CLOSE}"
        return _Rendered(ids, num_prompt, tokens_within(self._tokenizer, *pair, thought))

    def _score(self, rendered: Sequence[_Rendered]) -> "Iterator[Scored]":
        """Yield the tokens of rendered traces, read in one batch."""
        import torch

        if not rendered:
            return
        shape = len(rendered), max(len(each.ids) for each in rendered)
        ids = torch.zeros(shape, dtype=torch.long)  # any token may be padding, behind the text
        is_read = torch.zeros(shape, dtype=torch.long)
        at = []
        for row, each in enumerate(rendered):
            ids[row, : len(each.ids)] = torch.tensor(each.ids)
            is_read[row, : len(each.ids)] = 1
            at += [(row, place) for place in range(each.num_prompt, len(each.ids))]
        rows, places = (torch.tensor(part) for part in zip(*at, strict=True))
        targets = ids[rows, places].to(self._device)
        with torch.inference_mode():
            nlls, ranks = self._tokens(
                {"input_ids": ids.to(self._device), "attention_mask": is_read.to(self._device)},
                (rows.to(self._device), (places - 1).to(self._device)),
                targets,
            )
        start = 0
        for each in rendered:
            end = start + len(each.ids) - each.num_prompt
            yield Scored(nlls[start:end], ranks[start:end], each.num_reasoning)
            start = end

    def _tokens(
        self,
        inputs: dict[str, "torch.Tensor"],
        at: tuple["torch.Tensor", "torch.Tensor"],
        targets: "torch.Tensor",
    ) -> "tuple[np.ndarray, np.ndarray]":
        """Return the negative log-likelihood and the rank of tokens, with few logits in memory.

        Args:
            inputs: of the model.
            at: (row, place) of each token before a target.
            targets: the tokens.
        """
        import torch

        if has_plain_head(self._model):
            head = self._model.get_output_embeddings()
            states = self._model.base_model(**inputs, use_cache=False).last_hidden_state[at]
        else:
            head = torch.nn.Identity()
            states = self._model(**inputs, use_cache=False).logits[at]
        chunk = max(1, _MAX_LOGITS // self._model.get_output_embeddings().weight.shape[0])
        nlls, ranks = [], []
        for start in range(0, len(targets), chunk):
            part = slice(start, start + chunk)
            logits = head(states[part]).float()
            picked = logits.gather(1, targets[part, None])
            nlls.append((logits.logsumexp(1, keepdim=True) - picked).squeeze(1).double().cpu())
            ranks.append(1 + (logits > picked).sum(1).cpu())
        return torch.cat(nlls).numpy(), torch.cat(ranks).numpy()


def _checked(scored: Scored) -> Scored | Label:
    import numpy as np

    if np.all(np.isfinite(scored.nlls)):
        return scored
    return Label(None, "the student's logits are not finite")


def mean(numbers: "np.ndarray") -> float:
    """Return the mean as labels have it."""
    return rounded(float(numbers.mean()))


def rounded(number: float) -> float:
    """Return a number as labels have it."""
    return round(number, _DIGITS)


def start_reading(
    label: Callable[[Any, Scored], Label],
) -> Callable[[Any, Path], Callable[[Sequence[Example]], list[Label]]]:
    """Return the `start` of an annotator whose label is made of the tokens of a trace.

    Args:
        label: (parameters, tokens) -> label.
    """

    def start(params: StudentParams, folder: Path) -> Callable[[Sequence[Example]], list[Label]]:
        reader = StudentReader(folder)

        def read(examples: Sequence[Example]) -> list[Label]:
            found = reader.read(params, examples)
            return [each if isinstance(each, Label) else label(params, each) for each in found]

        return read

    return start
