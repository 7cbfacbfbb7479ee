"""A vector of a question: the mean of a model's hidden states over the tokens.

The paper clusters questions by embeddings of Llama-3.1-8B-Instruct (section 3.2). Which layer, and
how tokens are pooled, is not known; ours are the last layer, after its normalisation, and the mean
over the tokens of the question. Special tokens are read and left out of the mean: the state of a
token that every text begins with says nothing of the text. A question that spells one is text. It
stands alone, without a chat template, which would be the same words around every question.

4,096 numbers for each of a million questions do not fit into a job that selects, so they are
projected onto fewer by random signs (Achlioptas 2003, "Database-friendly random projections"):
distances stay what they were but for about one over the root of `dimensions`, and nothing is
fitted, so the vector of one question depends on no other.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from nt_pkg.annotators._base import Label, QuestionAnnotator
from nt_pkg.config.base import Strict
from nt_pkg.dialogue.chat_template import ids_around, plain_ids
from nt_pkg.files.vectors import MAX_DIMENSIONS, encode
from nt_pkg.identity.seeds import generator
from nt_pkg.jobs.model_folder import check_whole

if TYPE_CHECKING:  # a start of Snakemake imports the annotators of its study
    import numpy as np
    from numpy.typing import NDArray


class HiddenStatesParams(Strict):
    """Settings of the states and of their projection."""

    dimensions: int = Field(
        384,
        ge=8,
        le=MAX_DIMENSIONS,
        description="Numbers of a vector (ours); a model with fewer keeps its own.",
    )
    layer: int = Field(
        -1,
        description="0 is the input of the first layer, -1 the output of the last (ours; the paper "
        "is silent).",
    )
    max_tokens: int = Field(
        1024, ge=1, description="Tokens of a question that are read (ours); the rest is ignored."
    )
    seed: int = Field(0, ge=0, description="Seed of the projection.")


class _Reader:
    """A model, on the first GPU in the number format of its files, or on the CPU in float32."""

    def __init__(self, params: HiddenStatesParams, folder: Path) -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer

        has_gpu = torch.cuda.is_available()
        self._params = params
        self._device = torch.device("cuda" if has_gpu else "cpu")
        self._tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        self._before, self._behind = ids_around(self._tokenizer)
        dtype = "auto" if has_gpu else torch.float32
        model, info = AutoModel.from_pretrained(
            folder, dtype=dtype, trust_remote_code=False, output_loading_info=True
        )
        check_whole(folder, info, unused="pooler.")  # behind the last state
        self._model = model.to(self._device).eval()
        num_layers = self._model.config.num_hidden_layers
        if not -num_layers - 1 <= params.layer <= num_layers:
            raise ValueError(
                f"params.layer is {params.layer}, and the model has {num_layers} layers: give a "
                f"number from 0 to {num_layers}, or one counted from the end, such as -1"
            )
        context = getattr(self._model.config, "max_position_embeddings", params.max_tokens)
        self._max_tokens = min(params.max_tokens, context)

    def vectors(self, questions: Sequence[str]) -> "NDArray[np.float64]":
        """Return the mean state of each question, shape (n, d); zeros if it has no token."""
        import numpy as np
        import torch

        before, behind = self._before, self._behind
        room = max(0, self._max_tokens - len(before) - len(behind))
        inside = [ids[:room] for ids in plain_ids(self._tokenizer, questions)]
        width = len(before) + max(map(len, inside)) + len(behind)
        if not width:
            return np.zeros((len(questions), self._model.config.hidden_size))
        ids = torch.zeros((len(inside), width), dtype=torch.long)  # any token may be padding
        is_read, counts = torch.zeros_like(ids), torch.zeros_like(ids, dtype=torch.bool)
        for at, own in enumerate(inside):
            whole = [*before, *own, *behind]
            ids[at, : len(whole)] = torch.tensor(whole, dtype=torch.long)
            is_read[at, : len(whole)] = 1
            counts[at, len(before) : len(before) + len(own)] = True
        ids, is_read, counts = (each.to(self._device) for each in (ids, is_read, counts))
        is_last = self._params.layer == -1
        with torch.inference_mode():
            found = self._model(
                input_ids=ids,
                attention_mask=is_read,
                output_hidden_states=not is_last,
                use_cache=False,
            )
            states = found.last_hidden_state if is_last else found.hidden_states[self._params.layer]
            # Not a product: padding may hold numbers that are not finite.
            sums = states.float().masked_fill(~counts[:, :, None], 0).sum(dim=1)
            means = sums / counts.sum(dim=1, keepdim=True).clamp(min=1)
        return np.asarray(means.cpu().numpy(), np.float64)


def start_hidden_states(
    params: HiddenStatesParams, model: Path | None
) -> Callable[[Sequence[str]], list[Label]]:
    """Return what gives questions their vectors; one without a token fails."""
    assert model is not None
    reader = _Reader(params, model)

    def label(questions: Sequence[str]) -> list[Label]:
        import numpy as np

        vectors = projected(reader.vectors(questions), params.dimensions, params.seed)
        is_finite: NDArray[np.bool_] = np.all(np.isfinite(vectors), axis=1)
        texts = encode(np.where(is_finite[:, None], vectors, 0))
        return [
            Label(text) if text else Label(None, _reason(finite))
            for text, finite in zip(texts, is_finite.tolist(), strict=True)
        ]

    return label


def _reason(is_finite: bool) -> str:
    return "the question has no tokens" if is_finite else "the model's states are not finite"


def projected(vectors: "NDArray[np.float64]", dimensions: int, seed: int) -> "NDArray[np.float64]":
    """Return vectors projected by random signs, shape (n, dimensions); shorter ones as they are."""
    width = vectors.shape[1]
    if width <= dimensions:
        return vectors
    signs = generator("hidden_states", width, dimensions, seed).integers(
        0, 2, (width, dimensions), dtype="int8"
    )
    return vectors @ (2.0 * signs - 1.0)


ANNOTATOR = QuestionAnnotator(
    params=HiddenStatesParams, start=start_hidden_states, needs_model=True
)
