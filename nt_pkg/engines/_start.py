"""The engine of a catalogue entry: checked, identified, and started when it is first needed."""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any

from nt_pkg.config.engines import EngineRuntime, Sampling
from nt_pkg.engines._base import Completion, Engine, EngineKind, Model, Request, Running
from nt_pkg.jobs.gpus import has_gpus
from nt_pkg.plugins.registry import fingerprint, plugin


def engine_kind(name: str) -> EngineKind:
    """Return what a module of this room declares.

    Raises:
        ValueError: there is no such engine; the message lists the available ones.
    """
    found: EngineKind = plugin("engines", name)
    return found


def check_engine(name: str, runtime: EngineRuntime, has_source: bool) -> None:
    """Check that an engine gets what it needs, and nothing else.

    Raises:
        ValueError: what is wrong, and what to do.
    """
    kind = engine_kind(name)
    if kind.needs_model != has_source:
        raise ValueError(
            f"engine {name} needs a `source`: the files of its model"
            if kind.needs_model
            else f"engine {name} takes no `source`: remove it"
        )
    if kind.needs_server != (runtime.server is not None):
        raise ValueError(
            f"engine {name} needs `runtime.server` with its base_url"
            if kind.needs_server
            else f"engine {name} does not use a server: remove `runtime.server`"
        )
    if not kind.serves and runtime.is_served:
        raise ValueError(
            f"engine {name} starts no server: remove `runtime.serve`, `data_parallel` and "
            "`expert_parallel`, and leave `runtime.nodes` at 1; engine vllm runs a model that is "
            "too large for one node"
        )


def with_cpus(runtime: EngineRuntime, name: str | None) -> EngineRuntime:
    """Return a runtime that says how many cores a job has; `name` is its engine, if it has one."""
    cpus = runtime.cpus or (engine_kind(name).cpus(runtime) if name else 1)
    return runtime.model_copy(update={"cpus": cpus})


def engine_identity(name: str, params: dict[str, Any], model_digest: str = "") -> dict[str, Any]:
    """Return everything about an engine that can change its text, without starting it.

    Args:
        name: module of this room.
        params: its parameters as they stand in a spec: checked, without defaults.
        model_digest: digest of the model's files; "" if it has none, or not yet.
    """
    version = engine_kind(name).version
    code = {"code": fingerprint("engines", name)} if version is None else {"version": version}
    return {"kind": name, **code, **({"model": model_digest} if model_digest else {}), **params}


def engine_for(
    name: str, params: dict[str, Any], runtime: EngineRuntime, model: Model | None
) -> Engine:
    """Return an engine that starts when it is first asked for a missing text.

    Raises:
        ValueError: the engine cannot run with these settings.
    """
    check_engine(name, runtime, model is not None)
    kind = engine_kind(name)
    checked = kind.params(**params)
    identity = engine_identity(name, params, model.digest if model else "")

    def start() -> Running:
        # Over several nodes the server looks for its GPUs on each of them.
        looks = kind.needs_model and runtime.nodes == 1
        uses_cpus = looks and not has_gpus(runtime.gpu, runtime.or_cpu, f"engine {name}")
        seen = runtime.model_copy(update={"gpu": 0}) if uses_cpus else runtime
        return kind.start(checked, seen, model)

    return _Waiting(identity, start)


class _Waiting:
    """An engine that has not started."""

    def __init__(self, identity: dict[str, Any], start: Callable[[], Running]) -> None:
        self.identity = identity
        self._start = start

    @cached_property
    def _engine(self) -> Running:
        return self._start()

    @property
    def batch_size(self) -> int | None:
        return self._engine.batch_size

    @property
    def versions(self) -> dict[str, str]:
        """Return the versions of the libraries that an engine runs."""
        return getattr(self._engine, "versions", {})

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterable[Completion]:
        return self._engine.generate(requests, sampling)

    def close(self) -> None:
        if "_engine" in self.__dict__ and (close := getattr(self._engine, "close", None)):
            close()
