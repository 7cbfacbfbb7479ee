"""Parameters of the engines that run models, and what identifies their text.

Apart from the engines themselves, because every start of Snakemake reads them.
"""

from typing import Any

from pydantic import Field, field_validator

from nt_pkg.config import Strict

# Raise a number when an engine makes another text from the same request.
_VERSIONS = {"openai": 1}
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
