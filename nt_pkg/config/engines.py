"""Teachers and annotators: engines, sampling and where they run."""

from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from nt_pkg.config.base import BEFORE_PLANS, Strict
from nt_pkg.config.sources import Source

Architecture = Annotated[
    dict[str, Any] | None,
    Field(
        description=f"Size of its model, as in its config.json, for {BEFORE_PLANS} it is fetched."
    ),
]
OrCpu = Annotated[
    bool,
    Field(description="Use CPUs if a job sees fewer GPUs than it asked for, instead of failing."),
]


class Sampling(Strict):
    """How an engine samples text."""

    temperature: float = Field(0.0, ge=0, le=2, description="0 means greedy decoding.")
    top_p: float = Field(1.0, gt=0, le=1, description="Nucleus mass; only with temperature > 0.")
    max_tokens: int = Field(
        16384, ge=1, description="Maximum of new tokens per answer (paper: 16,384)."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.temperature == 0 and self.top_p != 1:
            raise ValueError(
                "top_p has no effect at temperature 0: remove it or raise the temperature"
            )
        return self


class Server(Strict):
    """A server with the OpenAI protocol, and its requests. Never part of a result's identity."""

    base_url: str = Field(
        pattern=r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$",
        description="Address, including the version, such as http://10.0.0.1:8000/v1.",
    )
    key_env: str | None = Field(
        None,
        pattern="^[A-Za-z_][A-Za-z0-9_]*$",
        description="Name of the environment variable with the API key; if absent, no key is sent.",
    )
    timeout_seconds: float = Field(
        3600,
        gt=0,
        description="Longest time for one answer, in seconds from its first token on; how long it "
        "waits in the server's queue does not count. A long trace takes many minutes.",
    )
    retries: int = Field(6, ge=0, le=20, description="Retries before a row fails.")
    backoff_seconds: float = Field(
        1.0, gt=0, description="Seconds before the first retry; doubled each time, up to 60 s."
    )
    max_in_flight: int | None = Field(
        None,
        ge=1,
        description="Most requests in flight at a time, over all jobs of a study; absent: no "
        "limit. Each job takes its `batch` of it.",
    )
    start_seconds: float = Field(
        0.0, ge=0, description="Seconds to wait for a server that is still starting."
    )


class EngineRuntime(Strict):
    """The resources of a teacher's or annotator's job. Never part of a result's identity."""

    nodes: int = Field(1, ge=1, description="Nodes of one job; several need Slurm.")
    gpu: int = Field(0, ge=0, description="GPUs of one job, over all its nodes.")
    cpus: int | None = Field(
        None,
        ge=1,
        description="CPU cores of one job per node; absent: what its engine needs, with vllm 2 and "
        "one for each GPU of a node, otherwise 1.",
    )
    or_cpu: OrCpu = False
    mem_mb: int = Field(16_000, ge=1, description="Main memory of one job in MB, per node.")
    minutes: int = Field(
        720,
        ge=1,
        description="Time limit of one job; one that needs longer continues in the next.",
    )
    stop_seconds: int = Field(
        120,
        ge=0,
        description="Seconds before a Slurm job's time limit at which it stops and continues in "
        "the same job, at most a tenth of the limit; 0: never. Texts that are not finished by then "
        "are made again.",
    )
    batch: int = Field(
        64,
        ge=1,
        description="Texts generated at the same time: the batch size of transformers, and the "
        "number of requests that vLLM or a server processes.",
    )
    rows_per_job: int | None = Field(
        None,
        ge=1,
        description="Annotators: most rows of one job, which labels whole shards of its pool, as "
        "many as that allows; absent: one shard. The pool's `expected_rows` say how many it has.",
    )
    pipeline_parallel: int = Field(
        1,
        ge=1,
        description="vLLM: number of groups of GPUs that each hold part of the layers.",
    )
    data_parallel: int = Field(
        1,
        ge=1,
        description="vLLM's server: number of groups of GPUs that each answer a share of the "
        "requests, with attention layers and a cache of their own; for mixtures of experts.",
    )
    expert_parallel: bool = Field(
        False,
        description="vLLM's server: whether each GPU holds whole experts and not a part of each; "
        "for mixtures of experts.",
    )
    serve: bool = Field(
        False,
        description="vLLM: whether the job starts a server on its own node and asks it. With "
        "`nodes`, `data_parallel` or `expert_parallel` it always does.",
    )
    start_minutes: float = Field(
        60, gt=0, description="vLLM's server: longest time until it answers, loading included."
    )
    gpu_memory_percent: int = Field(
        90, ge=1, le=100, description="vLLM: per cent of a GPU's memory for weights and cache."
    )
    server: Server | None = Field(None, description="The server of the openai engine.")

    @property
    def threads(self) -> int:
        """Return the CPU cores of one job, per node, once the study was checked."""
        return self.cpus or 1

    @property
    def num_tasks(self) -> int:
        """Return the processes that Slurm places: one server per node."""
        return self.nodes

    @property
    def tensor_parallel(self) -> int:
        """Return the number of GPUs that share every layer; 1 without GPUs."""
        return max(1, self.gpu // (self.pipeline_parallel * self.data_parallel))

    @property
    def is_served(self) -> bool:
        """Return whether the job starts a server and asks it."""
        is_spread = self.nodes > 1 or self.data_parallel > 1 or self.expert_parallel
        return self.serve or is_spread

    @model_validator(mode="after")
    def _even(self) -> Self:
        if self.gpu % (self.pipeline_parallel * self.data_parallel):
            raise ValueError(
                f"{self.gpu} GPUs cannot be spread evenly over pipeline_parallel "
                f"{self.pipeline_parallel} x data_parallel {self.data_parallel}: make gpu a "
                "multiple of it"
            )
        if not self.gpu and (self.nodes > 1 or self.data_parallel > 1 or self.expert_parallel):
            raise ValueError(
                "nodes, data_parallel and expert_parallel spread a model over GPUs, and `gpu` is 0"
            )
        if self.data_parallel > 1 and self.data_parallel % self.nodes:
            raise ValueError(
                f"data_parallel {self.data_parallel} cannot be spread evenly over {self.nodes} "
                "nodes: make it a multiple of nodes, or 1"
            )
        if self.gpu % self.nodes:
            raise ValueError(
                f"gpu counts the GPUs of all nodes, and {self.gpu} cannot be spread evenly over "
                f"{self.nodes} nodes: make gpu a multiple of nodes"
            )
        return self


JobRuntime = Annotated[EngineRuntime, Field(description="How its jobs run; edits rerun nothing.")]


class Teacher(Strict):
    """A model, or a substitute for one, that writes traces."""

    engine: str = Field(
        description="Module of nt_pkg/engines that generates the text (docs/engines.md)."
    )
    params: dict[str, Any] = Field(
        default_factory=dict,
        description="Parameters of the engine; null for one of them removes that of an earlier "
        "file.",
    )
    source: Source | None = Field(
        None,
        description="Files of the model, for the engines vllm and transformers; null removes that "
        "of an earlier file.",
    )
    architecture: Architecture = None
    sampling: Sampling = Field(Sampling(), description="How the teacher samples text.")
    seed: int = Field(
        0, ge=0, description="Seed of its sampling; the seed of every row is derived from it."
    )
    max_trace_tokens: int = Field(
        16_384,
        ge=1,
        description="Longer traces are marked incomplete and never selected (paper: 16,384); "
        "as counted by the engine.",
    )
    runtime: JobRuntime = EngineRuntime()

    @field_validator("params")
    @classmethod
    def _null_is_left_out(cls, value: dict[str, Any]) -> dict[str, Any]:
        return {name: each for name, each in value.items() if each is not None}


class Annotator(Strict):
    """Labels every trace. Selectors refer to annotators by their catalogue name."""

    kind: str = Field(description="Module of nt_pkg/annotators.")
    params: dict[str, Any] = Field(
        default_factory=dict,
        description="Parameters of that module; null removes those of an earlier file.",
    )
    engine: str | None = Field(
        None,
        description="Module of nt_pkg/engines that asks the model, for kinds that ask one "
        "(docs/annotators.md).",
    )
    engine_params: dict[str, Any] = Field(
        default_factory=dict,
        description="Parameters of that engine; null for one of them removes that of an earlier "
        "file.",
    )
    source: Source | None = Field(
        None,
        description="Files of the model, for the engines vllm and transformers, and for kinds that "
        "run a model themselves; null removes that of an earlier file.",
    )
    architecture: Architecture = None
    student: str | None = Field(
        None,
        description="Catalogue name of the student that it asks, for kinds that ask one "
        "(docs/annotators.md); its labels belong to that student.",
    )
    # The longest answer that a schema allows, 30 strategies of 80 characters, has about 700 tokens.
    sampling: Sampling = Field(
        Sampling(max_tokens=1024),
        description="How the model answers: by default greedily, so that answers repeat, within "
        "1,024 tokens, enough for every answer that fits its schema.",
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
        if self.student is not None and (self.engine is not None or self.source is not None):
            raise ValueError(
                f"student {self.student!r} has its own files and engine: remove `engine` and "
                "`source`"
            )
        of_engine = {"engine_params"} if self.student is not None else {"engine_params", "sampling"}
        given = sorted(of_engine & self.model_fields_set)
        if self.runtime.server is not None:
            given.append("runtime.server")
        if self.engine is None and given:
            raise ValueError(
                f"{', '.join(given)} without `engine`: add the engine that it is for, or remove it"
            )
        return self
