"""The engine whose answers are in a column of a data set."""

from collections.abc import Sequence

from pydantic import Field

from nt_pkg.config.base import Strict
from nt_pkg.config.engines import EngineRuntime, Sampling
from nt_pkg.dialogue.formats import THINK_CLOSE, THINK_OPEN
from nt_pkg.engines._base import Completion, EngineKind, Model, Request


class ReplayParams(Strict):
    """Parameters of the replay engine."""

    answer_marker: str | None = Field(
        None,
        description="Text before the final answer; everything before it becomes the reasoning. "
        "If absent, the column already holds traces with `<think>`.",
    )


class ReplayEngine:
    """Returns the text stored with the row. Tokens are counted as blank-separated words."""

    batch_size = 1000

    def __init__(self, params: ReplayParams, runtime: EngineRuntime, model: Model | None) -> None:
        """Keep the parameters."""
        self._params = params

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        """Return the stored texts; a row without one is a failed completion."""
        return [self._one(request) for request in requests]

    def _one(self, request: Request) -> Completion:
        text, marker = request.replay, self._params.answer_marker
        error = None
        if text is None or not text.strip():
            text, error = "", "the row holds no text to replay"
        elif marker is not None:
            reasoning, found, answer = text.rpartition(marker)
            if found:
                text = f"{THINK_OPEN} {reasoning.strip()} {THINK_CLOSE} {answer.strip()}"
            else:
                error = f"the text to replay lacks the marker {marker!r}"
        return Completion(
            id=request.id,
            text=text,
            prompt_tokens=len(request.user.split()),
            completion_tokens=len(text.split()),
            finish_reason="error" if error else "stop",
            error=error,
        )


ENGINE = EngineKind(params=ReplayParams, start=ReplayEngine, version=1, is_model=False)
