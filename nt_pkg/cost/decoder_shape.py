"""The shape of a decoder, from the numbers in a config.json: its parameters and operations.

Operations are the multiplications and additions that a training needs, forward and backward (three
times forward), as in Chowdhery et al. 2022 (PaLM, arXiv 2204.02311, appendix B):

- 6 x tokens x parameters of the layers: one multiplication and one addition per weight;
- 6 x tokens with loss x parameters of the output layer, since only they have logits;
- 6 x layers x width of attention x the sum of squared document lengths: scores and their use, half
  of each square, since attention is causal and stays within a document.

Recomputation by activation checkpointing, padding, norms and softmax are not counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nt_pkg.config.engines import Annotator, Teacher
from nt_pkg.config.students import Student
from nt_pkg.files.json_files import read_json

if TYPE_CHECKING:
    import numpy as np

MODEL_TYPES = ("llama", "mistral", "qwen2", "qwen3")


@dataclass(frozen=True)
class Shape:
    """A decoder of the Llama family, by the names of config.json."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    vocab_size: int
    tie_word_embeddings: bool
    attention_bias: int  # biased projections of attention: 0, 3 (q, k, v) or 4 (and o)
    mlp_bias: bool
    has_head_norms: bool  # of queries and keys

    @property
    def query_width(self) -> int:
        """Return the width of all query heads."""
        return self.num_attention_heads * self.head_dim

    @property
    def key_width(self) -> int:
        """Return the width of all key heads, which is that of all value heads."""
        return self.num_key_value_heads * self.head_dim

    @property
    def num_embedding(self) -> int:
        """Return the parameters of the embedding, or of the output layer."""
        return self.vocab_size * self.hidden_size

    @property
    def num_layer_parameters(self) -> int:
        """Return the parameters of all layers and of the last norm."""
        hidden, wide = self.hidden_size, self.intermediate_size
        layer = hidden * (2 * self.query_width + 2 * self.key_width + 3 * wide) + 2 * hidden
        if self.attention_bias:
            layer += self.query_width + 2 * self.key_width
        if self.attention_bias > 3:
            layer += hidden
        layer += (2 * wide + hidden) if self.mlp_bias else 0
        layer += 2 * self.head_dim if self.has_head_norms else 0
        return self.num_hidden_layers * layer + hidden

    @property
    def num_parameters(self) -> int:
        """Return all parameters; tied ones count once."""
        heads = 1 if self.tie_word_embeddings else 2
        return heads * self.num_embedding + self.num_layer_parameters

    def flops(self, lengths: Sequence[float], loss_tokens: float) -> float:
        """Return the operations of forward and backward pass for documents of these lengths.

        Args:
            lengths: tokens of each document.
            loss_tokens: tokens with loss; only they have logits.
        """
        squares = sum(length**2 for length in lengths)
        return 6.0 * (
            sum(lengths) * self.num_layer_parameters
            + loss_tokens * self.num_embedding
            + self.num_hidden_layers * self.query_width * squares
        )

    def document_flops(self, lengths: "np.ndarray") -> "np.ndarray":
        """Return `flops` of every document by itself, if all of its tokens have loss."""
        linear = self.num_layer_parameters + self.num_embedding
        square = self.num_hidden_layers * self.query_width
        tokens = lengths.astype(float)  # products do not fit into the int32 of a training's lengths
        found: np.ndarray = 6.0 * (linear * tokens + square * tokens**2)
        return found

    def flops_per_token(self, document_tokens: float) -> float:
        """Return the operations for one token of a document in which every token has loss."""
        return self.flops([document_tokens], document_tokens) / document_tokens


def read_shape(config: Mapping[str, Any]) -> Shape:
    """Return the shape in a config.json.

    Raises:
        ValueError: another architecture, or a number is missing.
    """
    kind = config.get("model_type", "llama")
    if kind not in MODEL_TYPES:
        raise ValueError(f"its size is known only for {', '.join(MODEL_TYPES)}, and this is {kind}")
    try:
        hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
        is_biased = bool(config.get("attention_bias", False))
        return Shape(
            hidden_size=hidden,
            intermediate_size=int(config["intermediate_size"]),
            num_hidden_layers=int(config["num_hidden_layers"]),
            num_attention_heads=heads,
            num_key_value_heads=int(config.get("num_key_value_heads") or heads),
            head_dim=int(config.get("head_dim") or hidden // heads),
            vocab_size=int(config["vocab_size"]),
            tie_word_embeddings=bool(config.get("tie_word_embeddings", False)),
            attention_bias=3 if kind == "qwen2" else 4 if is_biased else 0,
            mlp_bias=bool(config.get("mlp_bias", False)),
            has_head_norms=kind == "qwen3",
        )
    except KeyError as error:
        raise ValueError(f"{error.args[0]} is not in the model's config.json") from None


def shape_of(
    entry: Student | Teacher | Annotator, name: str, folder: Path, kind: str = "students"
) -> Shape:
    """Return the shape of a model from its config.json, or otherwise from the configuration.

    Args:
        entry: of the catalogue.
        name: its name there.
        folder: folder of the assets.
        kind: its section of the catalogue.

    Raises:
        ValueError: neither exists, or the memory of its architecture is not known.
    """
    places = [folder / "assets" / kind / name]
    places += [Path(entry.source.path)] if entry.source and entry.source.path else []
    for place in places:
        if (place / "config.json").is_file():
            config = read_json(place / "config.json")
            break
    else:
        config = entry.architecture
    if config is None:
        raise ValueError(
            f"the size of {kind}.{name} is not known: fetch it (stage assets), or give its "
            "`architecture`"
        )
    try:
        return read_shape(config)
    except ValueError as error:
        raise ValueError(f"{kind}.{name}: {error}") from None
