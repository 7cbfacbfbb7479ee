"""Teachers and annotators: how text is generated, drawn and placed."""

from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from nt_pkg.config.base import BEFORE_PLANS, Strict
from nt_pkg.config.sources import Source

Architecture = Annotated[
    dict[str, Any] | None,
    Field(
        description=f"What its model's config.json says of its size, for {BEFORE_PLANS} "
        "it is fetched."
    ),
]


class Sampling(Strict):
    """How an engine draws text."""

    temperature: float = Field(0.0, ge=0, le=2, description="0 means greedy decoding.")
    top_p: float = Field(1.0, gt=0, le=1, description="Nucleus mass; only with temperature > 0.")
    max_tokens: int = Field(16384, ge=1, description="Most new tokens per answer (paper: 16,384).")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.temperature == 0 and self.top_p != 1:
            raise ValueError(
                "top_p has no effect at temperature 0: remove it or raise the temperature"
            )
        return self


class Server(Strict):
    """A server of the OpenAI protocol, and how it is asked. Never part of a result's identity."""

    base_url: str = Field(
        pattern=r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$",
        description="Address up to and with the version, such as http://10.0.0.1:8000/v1.",
    )
    key_env: str | None = Field(
        None,
        pattern="^[A-Za-z_][A-Za-z0-9_]*$",
        description="Name of the environment variable that holds the key; none: no key is sent.",
    )
    timeout_seconds: float = Field(
        3600, gt=0, description="Longest wait for one answer; a long trace takes many minutes."
    )
    retries: int = Field(6, ge=0, le=20, description="Further tries before a row fails.")
    backoff_seconds: float = Field(
        1.0, gt=0, description="Wait before the second try; doubled each time, up to 60 s."
    )
    start_seconds: float = Field(
        0.0, ge=0, description="How long to wait for a server that is still starting."
    )


class EngineRuntime(Strict):
    """What a job of a teacher or an annotator runs on. Never part of a result's identity."""

    nodes: int = Field(1, ge=1, description="Nodes of one job; more than one runs on Slurm only.")
    gpu: int = Field(0, ge=0, description="GPUs of one job, over all its nodes.")
    mem_mb: int = Field(16_000, ge=1, description="Main memory of one job in MB, per node.")
    minutes: int = Field(720, ge=1, description="Time limit of one job.")
    batch: int = Field(
        64,
        ge=1,
        description="Texts generated side by side: the batch of transformers, and what vLLM or a "
        "server works on at a time.",
    )
    pipeline_parallel: int = Field(
        1, ge=1, description="vLLM: groups of GPUs that share the layers among them."
    )
    gpu_memory_percent: int = Field(
        90, ge=1, le=100, description="vLLM: share of a GPU's memory for weights and cache."
    )
    server: Server | None = Field(None, description="The server that the openai engine asks.")

    @property
    def num_tasks(self) -> int:
        """Return the processes that Slurm places: one server per node."""
        return self.nodes

    @property
    def tensor_parallel(self) -> int:
        """Return the GPUs that share every layer; 1 without GPUs."""
        return max(1, self.gpu // self.pipeline_parallel)

    @model_validator(mode="after")
    def _even(self) -> Self:
        if self.gpu % self.pipeline_parallel:
            raise ValueError(
                f"{self.gpu} GPUs cannot be spread evenly over pipeline_parallel "
                f"{self.pipeline_parallel}: make gpu a multiple of it"
            )
        if self.gpu % self.nodes:
            raise ValueError(
                f"gpu counts the GPUs of all nodes, and {self.gpu} cannot be spread evenly over "
                f"{self.nodes} nodes: make gpu a multiple of nodes"
            )
        return self


JobRuntime = Annotated[EngineRuntime, Field(description="How its jobs run; edits rerun nothing.")]


class Teacher(Strict):
    """A model, or a stand-in for one, that writes traces."""

    engine: str = Field(
        description="Module of nt_pkg/engines that makes the text (docs/engines.md)."
    )
    params: dict[str, Any] = Field(default_factory=dict, description="Parameters of the engine.")
    source: Source | None = Field(
        None, description="Files of the model, for the engines vllm and transformers."
    )
    architecture: Architecture = None
    sampling: Sampling = Field(Sampling(), description="How the teacher draws text.")
    seed: int = Field(
        0, ge=0, description="Seed of its draws; every row has a seed of its own below it."
    )
    max_trace_tokens: int = Field(
        16_384,
        ge=1,
        description="Longer traces are marked incomplete and never selected (paper: 16,384); in "
        "the engine's own count.",
    )
    runtime: JobRuntime = EngineRuntime()


class Annotator(Strict):
    """Something that labels every trace. Selectors ask for annotators by their catalogue name."""

    kind: str = Field(description="Module of nt_pkg/annotators.")
    params: dict[str, Any] = Field(
        default_factory=dict,
        description="Parameters of that module; null takes away those of a file under this one.",
    )
    engine: str | None = Field(
        None,
        description="Module of nt_pkg/engines that asks the model, for kinds that ask one "
        "(docs/annotators.md).",
    )
    engine_params: dict[str, Any] = Field(
        default_factory=dict,
        description="Parameters of that engine; one that is null takes away that of a file under "
        "this one.",
    )
    source: Source | None = Field(
        None,
        description="Files of the model, for the engines vllm and transformers, and for kinds that "
        "run a model themselves; null takes away that of a file under this one.",
    )
    architecture: Architecture = None
    # The longest answer that a schema allows, 30 strategies of 80 characters, has some 700 tokens.
    sampling: Sampling = Field(
        Sampling(max_tokens=1024),
        description="How the model answers: greedily, so that it answers alike again, and within "
        "1,024 tokens, which every answer that fits its schema does.",
    )
    runtime: JobRuntime = EngineRuntime()

    @field_validator("params", mode="before")
    @classmethod
    def _null_is_none(cls, value: Any) -> Any:
        return {} if value is None else value

    @field_validator("engine_params")
    @classmethod
    def _null_is_left_out(cls, value: dict[str, Any]) -> dict[str, Any]:
        return {name: each for name, each in value.items() if each is not None}

    @model_validator(mode="after")
    def _engine_is_there(self) -> Self:
        given = sorted({"engine_params", "sampling"} & self.model_fields_set)
        if self.runtime.server is not None:
            given.append("runtime.server")
        if self.engine is None and given:
            raise ValueError(
                f"{', '.join(given)} without `engine`: add the engine that it is meant for, or "
                "remove it"
            )
        return self
