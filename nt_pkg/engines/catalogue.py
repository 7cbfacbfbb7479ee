"""The engines by name: their parameters, their identity, and how one is started."""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, partial
from typing import Any

from nt_pkg.config.base import Strict
from nt_pkg.config.engines import EngineRuntime, Sampling
from nt_pkg.engines._base import Completion, Engine, Request
from nt_pkg.engines.micro import MicroEngine, MicroParams
from nt_pkg.engines.params import Model, OpenAIParams, TransformersParams, VllmParams, identity
from nt_pkg.engines.replay import ReplayEngine, ReplayParams

PARAMS: dict[str, type[Strict]] = {
    "micro": MicroParams,
    "replay": ReplayParams,
    "openai": OpenAIParams,
    "vllm": VllmParams,
    "transformers": TransformersParams,
}
# Engines whose texts stand alone, and cost so much that they are kept when a job has ended.
KEPT = ("openai", "vllm")
_OF_MODELS = ("vllm", "transformers")  # run a model whose files they read themselves


def engine_params(kind: str, params: dict[str, Any]) -> Any:
    """Return the checked parameters of an engine.

    Raises:
        ValidationError: they do not fit.
    """
    return PARAMS[kind](**params)


def check_engine(
    kind: str, params: dict[str, Any], runtime: EngineRuntime, has_source: bool
) -> None:
    """Check everything that can be known of an engine before a job starts.

    Raises:
        ValueError: what is wrong, and what to do.
    """
    engine_params(kind, params)
    if (kind in _OF_MODELS) != has_source:
        raise ValueError(
            f"engine {kind} needs a `source`: the files of its model"
            if kind in _OF_MODELS
            else f"engine {kind} takes no `source`: remove it"
        )
    if (kind == "openai") != (runtime.server is not None):
        raise ValueError(
            "engine openai needs `runtime.server` with its base_url"
            if kind == "openai"
            else f"engine {kind} asks no server: remove `runtime.server`"
        )
    if kind in _OF_MODELS and runtime.nodes > 1:
        raise ValueError(
            f"engine {kind} runs on one node, and `runtime.nodes` is {runtime.nodes}: serve the "
            "model over several nodes (docs/cluster.md) and ask it with engine openai"
        )


def engine_identity(kind: str, params: dict[str, Any], model_digest: str = "") -> dict[str, Any]:
    """Return what identifies the text of an engine, without starting it.

    Args:
        kind: name of the engine.
        params: its parameters in the catalogue.
        model_digest: digest of the model's files; "" while they are not there yet.
    """
    checked = engine_params(kind, params)
    if kind == "micro":
        return MicroEngine(checked).identity
    if kind == "replay":
        return ReplayEngine(checked).identity
    return identity(kind, checked, model_digest)


def start_engine(
    kind: str, params: dict[str, Any], runtime: EngineRuntime, model: Model | None
) -> Engine:
    """Return an engine that is ready to generate; loads the model where there is one.

    Raises:
        ValueError: the engine cannot run as it is asked to.
    """
    checked = engine_params(kind, params)
    check_engine(kind, params, runtime, model is not None)
    if kind == "micro":
        return MicroEngine(checked)
    if kind == "replay":
        return ReplayEngine(checked)
    if kind == "vllm":
        from nt_pkg.engines.vllm import VllmEngine

        assert model is not None
        return VllmEngine(checked, runtime, model)
    if kind == "transformers":
        from nt_pkg.engines.transformers import TransformersEngine

        assert model is not None
        return TransformersEngine(model.folder, model.digest, runtime.batch, checked)
    from nt_pkg.engines.openai import OpenAIEngine

    assert runtime.server is not None
    return OpenAIEngine(checked, runtime.server, runtime.batch)


def engine_for(
    kind: str, params: dict[str, Any], runtime: EngineRuntime, model: Model | None
) -> Engine:
    """Return an engine that starts when it is first asked for a text that is not there yet.

    Raises:
        ValueError: the engine cannot run as it is asked to.
    """
    check_engine(kind, params, runtime, model is not None)
    identity = engine_identity(kind, params, model.digest if model else "")
    return _Waiting(identity, partial(start_engine, kind, params, runtime, model))


class _Waiting:
    """An engine that has not started."""

    def __init__(self, identity: dict[str, Any], start: Callable[[], Engine]) -> None:
        self.identity = identity
        self._start = start

    @cached_property
    def _engine(self) -> Engine:
        return self._start()

    @property
    def batch_size(self) -> int | None:
        return self._engine.batch_size

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterable[Completion]:
        return self._engine.generate(requests, sampling)
