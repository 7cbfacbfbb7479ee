"""Parameters of the engines that run models, and what identifies their text.

Apart from the engines themselves, because every start of Snakemake reads them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator

from nt_pkg.config.base import Strict
from nt_pkg.files.json_files import digest, read_json

# Raise a number when an engine makes another text from the same request.
_VERSIONS = {"openai": 1, "vllm": 1, "transformers": 1}
_OURS = {"model", "messages", "temperature", "top_p", "max_tokens", "seed", "n", "stream"}


class OpenAIParams(Strict):
    """Parameters of the openai engine."""

    model: str = Field(min_length=1, description="Name by which the server knows the model.")
    served_as: str | None = Field(
        None,
        description="Name that the server puts into its answers, where it is another one, such as "
        "one with a date.",
    )
    extra_body: dict[str, Any] = Field(
        default_factory=dict,
        description="Further fields of every request, such as top_k or chat_template_kwargs.",
    )

    @field_validator("extra_body")
    @classmethod
    def _not_ours(cls, value: dict[str, Any]) -> dict[str, Any]:
        if taken := sorted(_OURS & value.keys()):
            raise ValueError(
                f"{', '.join(taken)}: remove it; the engine sets it from `model`, `sampling` and "
                "the prompt, or cannot use it"
            )
        return value


class TransformersParams(Strict):
    """Parameters of the transformers engine."""

    chat_template: str | None = Field(
        None, description="Jinja text in place of the model's own template."
    )


class VllmParams(TransformersParams):
    """Parameters of the vllm engine."""

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="What the model computes in; auto: what its files say."
    )
    max_model_len: int | None = Field(
        None,
        ge=1,
        description="Most tokens of prompt and answer together; none: what the model can do. A "
        "smaller number leaves more memory for requests side by side.",
    )
    quantization: str | None = Field(
        None, description="vLLM's name of a quantisation; none: what the model's files say."
    )


@dataclass(frozen=True)
class Model:
    """The files of a model: their folder, and a digest of their content."""

    folder: Path
    digest: str

    @classmethod
    def beside(cls, manifest: Path) -> Self:
        """Return the model that a manifest stands in or beside."""
        known = read_json(manifest)
        return cls(manifest.parent / known.get("folder", "."), digest(known["files"]))


def identity(kind: str, params: Strict, model_digest: str = "") -> dict[str, Any]:
    """Return everything about an engine that can change its text; defaults are left out.

    Args:
        kind: name of the engine.
        params: its parameters.
        model_digest: digest of the files of its model; "" if it has none, or not yet.
    """
    files = {"model": model_digest} if model_digest else {}
    return {
        "kind": kind,
        "version": _VERSIONS[kind],
        **files,
        **params.model_dump(exclude_defaults=True),
    }
