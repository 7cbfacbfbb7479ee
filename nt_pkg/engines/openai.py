"""The engine that asks a server of the OpenAI chat protocol: vLLM, SGLang, a provider."""

from typing import Any

from pydantic import Field, field_validator

from nt_pkg.config.base import Strict
from nt_pkg.config.engines import EngineRuntime
from nt_pkg.engines._base import EngineKind, Model, Running

_OURS = {
    *("model", "messages", "n", "stream", "stream_options"),
    *("temperature", "top_p", "max_tokens", "seed"),
}


class OpenAIParams(Strict):
    """The settings of a server that can change a text; its address, key and timeouts cannot."""

    model: str = Field(min_length=1, description="Name by which the server knows the model.")
    served_as: str | None = Field(
        None,
        description="Name that the server puts into its answers, if it differs, such as "
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


def start_openai(params: OpenAIParams, runtime: EngineRuntime, model: Model | None) -> Running:
    """Return what asks the server; nothing is sent yet."""
    from nt_pkg.engines._server import AskedServer

    assert runtime.server is not None
    return AskedServer(
        runtime.server, runtime.batch, params.model, params.served_as, params.extra_body
    )


ENGINE = EngineKind(
    params=OpenAIParams, start=start_openai, version=1, needs_server=True, keeps_texts=True
)
