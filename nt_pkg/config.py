"""The configuration of a study, checked before any job starts.

Catalogue entries (pools, teachers, annotators, subsets, formats, students, benchmarks) are maps,
so an overlay can add to them. The plan (`runs`) and the report's comparisons are lists, so an
overlay replaces them.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from nt_pkg import plugins

NAME = r"[a-z0-9][a-z0-9._-]*"
UNTRAINED = "none"  # subset and format of the student as it came
AGREEMENT = "agreement"  # annotator that difficulty mixes need
Mode = Literal["think", "no_think", "adaptive"]
EngineKind = Literal["micro", "replay", "openai", "vllm", "transformers"]
ModelEngine = Literal["openai", "vllm", "transformers"]  # those that can be asked anything
_PLANS = "the GPU-hours of plans (docs/performance.md) that are made before"


class Strict(BaseModel):
    """A frozen model that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Architecture = Annotated[
    dict[str, Any] | None,
    Field(
        description=f"What its model's config.json says of its size, for {_PLANS} it is fetched."
    ),
]


class Source(Strict):
    """Where the files of a pool, a benchmark or a student come from: exactly one of three."""

    path: str | None = Field(None, description="File or folder on this machine.")
    hub: str | None = Field(None, description="Repository id on the Hugging Face hub.")
    revision: str | None = Field(
        None,
        pattern="^([0-9a-f]{7,12}|[0-9a-f]{40})$",
        description="Commit of the hub repository, in full or its first 7 to 12 digits; required "
        "with hub.",
    )
    hub_type: Literal["model", "dataset"] = Field("dataset", description="Kind of hub repository.")
    hub_files: tuple[str, ...] = Field(
        (), description="Glob patterns of files to fetch; empty: all."
    )
    builtin: Literal["micro-base"] | None = Field(
        None, description="A model that ships with this package."
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [name for name in ("path", "hub", "builtin") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"a source needs exactly one of path, hub, builtin; it has {given or 'none'}"
            )
        if self.hub is not None and self.revision is None:
            raise ValueError(
                f"source hub={self.hub!r} needs `revision`: the 40-digit commit, so that the study "
                "can be reproduced"
            )
        return self


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


class Decontaminate(Strict):
    """Which benchmarks a pool must not hold text of."""

    against: tuple[str, ...] = Field(min_length=1, description="Names of benchmarks.")
    ngram: int = Field(
        13, ge=2, description="Words in a row that no prompt may share (NaturalReasoning: 13)."
    )
    fuzzy: float | None = Field(
        None,
        ge=95,
        le=100,
        description="Drop prompts as well that are nearly a question as a whole: the lowest ratio "
        "of equal letters (open-thoughts: 95); none: this is not looked for.",
    )


class NearDuplicates(Strict):
    """Which questions of a pool count as repetitions of another one."""

    threshold: float = Field(
        0.55,
        ge=0.5,
        le=0.95,
        description="Lowest share of n-grams that two questions have in common, of all that either "
        "has (Jaccard similarity; NaturalReasoning: 0.55).",
    )
    ngram: int = Field(
        3, ge=2, description="Words per n-gram (our choice, see near-duplicates.md)."
    )


class Pool(Strict):
    """A set of prompts."""

    kind: str = Field(description="Module of nt_pkg/pools that reads the rows.")
    params: dict[str, Any] = Field(default_factory=dict, description="Parameters of that module.")
    source: Source | None = Field(None, description="Files it reads; none for generated pools.")
    num_shards: int = Field(1, ge=1, le=4096, description="Shards that prompts and traces come in.")
    expected_rows: int | None = Field(
        None, ge=1, description=f"Rows, for {_PLANS} its files are ingested."
    )
    decontaminate: Decontaminate | None = Field(
        None, description="Drop prompts that hold text of benchmarks; by default none is."
    )
    near_duplicates: NearDuplicates | None = Field(
        None, description="Drop prompts that nearly repeat an earlier one; by default none is."
    )


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

    engine: EngineKind = Field(description="How the text is made (docs/engines.md).")
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

    @model_validator(mode="after")
    def _draws(self) -> Self:
        if self.seed and self.engine in ("micro", "replay"):
            raise ValueError(f"engine {self.engine} draws nothing: remove `seed`")
        return self


class Annotator(Strict):
    """Something that labels every trace. Selectors ask for annotators by their catalogue name."""

    kind: str = Field(description="Module of nt_pkg/annotators.")
    params: dict[str, Any] = Field(
        default_factory=dict,
        description="Parameters of that module; null takes away those of a file under this one.",
    )
    engine: ModelEngine | None = Field(
        None, description="How the model is asked, for kinds that ask one (docs/annotators.md)."
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


class Subset(Strict):
    """A selector at a size; each seed of a run draws its own."""

    pool: str = Field(description="Catalogue name of the pool.")
    teacher: str = Field(description="Catalogue name of the teacher.")
    selector: str = Field(description="Module of nt_pkg/selectors.")
    size: int = Field(ge=1, description="Number of examples.")
    params: dict[str, Any] = Field(default_factory=dict, description="Parameters of that module.")
    near: str | None = Field(
        None,
        description="Catalogue name of the pool whose questions the selector looks for neighbours "
        "of, for those that do.",
    )


class Format(Strict):
    """What a student is trained to write (paper, section 3.3)."""

    kind: Literal["system2", "system1", "random_mix", "difficulty_mix"] = Field(
        description="system2: full trace; system1: answer only; random_mix: system2 with "
        "probability p; difficulty_mix: system2 where the models disagree."
    )
    p: float | None = Field(None, gt=0, lt=1, description="Share of System-2 in random_mix.")
    think_words: Annotated[int, Field(ge=1)] | Literal["per_trace"] = Field(
        3500,
        description="K of the think instruction (paper: 3500, its mean trace in words), or "
        "per_trace: the words of each trace, to two digits.",
    )

    @model_validator(mode="after")
    def _p_belongs(self) -> Self:
        if (self.kind == "random_mix") != (self.p is not None):
            raise ValueError(
                "`p` belongs to kind random_mix, and random_mix needs it (paper: 0.2-0.6)"
            )
        return self


class Training(Strict):
    """The science of supervised fine-tuning; defaults are section 4 of the paper."""

    learning_rate: float = Field(2e-5, gt=0, description="Constant (paper: 2e-5).")
    weight_decay: float = Field(0.1, ge=0, description="AdamW (paper: 0.1).")
    betas: tuple[float, float] = Field(
        (0.9, 0.95), description="AdamW; the paper is silent, this is the usual choice for LLMs."
    )
    warmup_steps: int = Field(0, ge=0, description="Linear warm-up; the paper is silent: none.")
    max_grad_norm: float = Field(1.0, gt=0, description="Clipping; the paper is silent: 1.")
    tokens_per_step: int = Field(
        400_000,
        ge=1,
        description="Tokens of one optimiser step over all ranks (paper: about 400k).",
    )
    row_tokens: int = Field(
        32_768, ge=8, description="Tokens of one packed row; no example may be longer."
    )
    max_response_tokens: int = Field(
        16_384, ge=1, description="Longer responses are left out, never cut (paper: 16,384)."
    )
    epochs: dict[int, int] = Field(
        {0: 10, 10_000: 6, 100_000: 8},
        description="Passes over the data from this many examples on (paper: 10 at 1k, 6 at 10k, 8 "
        "at 100k and 500k).",
    )
    dtype: Literal["float32", "bfloat16"] = Field("bfloat16", description="The paper is silent.")

    @field_validator("epochs")
    @classmethod
    def _from_zero(cls, value: dict[int, int]) -> dict[int, int]:
        if 0 not in value or min(value.values()) < 1:
            raise ValueError("epochs needs an entry for 0 examples on, and every number at least 1")
        return value

    def num_epochs(self, num_examples: int) -> int:
        """Return the passes over `num_examples` examples."""
        return self.epochs[max(start for start in self.epochs if start <= num_examples)]


class Runtime(Strict):
    """How a run is spread over machines. Never part of a result's identity."""

    nodes: int = Field(1, ge=1, description="Nodes of one training; more than one needs Slurm.")
    num_ranks: int = Field(1, ge=1, description="Processes of one training, over all its nodes.")
    threads_per_rank: int = Field(1, ge=1, description="CPU cores of each of these processes.")
    zero_stage: Literal[1, 2, 3] = Field(2, description="DeepSpeed ZeRO stage.")
    rows_per_micro_batch: int = Field(
        1, ge=1, description="Packed rows in one forward pass of a rank."
    )
    attention: Literal["auto", "documents", "varlen", "sdpa"] = Field(
        "auto",
        description="How packed documents attend: documents, one after the other; varlen, by one "
        "kernel on a GPU; sdpa, by a mask over the whole row. auto takes the quickest that the "
        "machine and the student allow.",
    )
    activation_checkpointing: bool = Field(
        False, description="Compute each layer again in the backward pass, to save its memory."
    )
    offload: Literal["none", "optimizer", "all"] = Field(
        "none",
        description="What is kept in main memory: the optimiser's state and its step, or the "
        "weights too (ZeRO-3 only).",
    )
    checkpoint_steps: int = Field(100, ge=1, description="Optimiser steps between checkpoints.")
    checkpoint_minutes: float = Field(
        30, gt=0, description="Most minutes between checkpoints, whatever the steps take."
    )
    async_checkpoints: bool = Field(
        True,
        description="Write checkpoints in the background, from a copy of each rank's state in main "
        "memory.",
    )
    minutes: int = Field(
        1440, ge=1, description="Time limit of a training; one that needs more is started again."
    )
    stop_seconds: int = Field(
        300,
        ge=0,
        description="Seconds before the end of a Slurm job's time at which a training stops with a "
        "checkpoint, at most a tenth of that time; 0: never.",
    )
    generation_batch: int = Field(64, ge=1, description="Answers generated side by side.")
    gpu: int = Field(
        0, ge=0, description="GPUs of a training, over all its nodes: one per rank, or none."
    )
    generation_gpu: int = Field(0, ge=0, description="GPUs of one evaluation job, on one node.")
    generation_minutes: int = Field(720, ge=1, description="Time limit of an evaluation job.")
    generation_mem_mb: int | None = Field(
        None, ge=1, description="Main memory of an evaluation job in MB; by default mem_mb."
    )
    mem_mb: int = Field(8_000, ge=1, description="Main memory of a training in MB, per node.")

    @property
    def generation(self) -> EngineRuntime:
        """Return what an evaluation job runs on."""
        return EngineRuntime(
            gpu=self.generation_gpu,
            mem_mb=self.generation_mem_mb or self.mem_mb,
            minutes=self.generation_minutes,
            batch=self.generation_batch,
        )

    @property
    def num_tasks(self) -> int:
        """Return the processes that Slurm places: the ranks."""
        return self.num_ranks

    @property
    def ranks_per_node(self) -> int:
        """Return the ranks of a training on each of its nodes."""
        return self.num_ranks // self.nodes

    @property
    def job_threads(self) -> int:
        """Return the cores that a training asks for: in all, or per rank where Slurm places them.

        Over several nodes every rank is a task, and the cores of a job are counted per task.
        """
        return self.threads_per_rank * (self.num_ranks if self.nodes == 1 else 1)

    @model_validator(mode="after")
    def _even(self) -> Self:
        if self.num_ranks % self.nodes:
            raise ValueError(
                f"{self.num_ranks} ranks cannot be spread evenly over {self.nodes} nodes: make "
                "num_ranks a multiple of nodes"
            )
        if self.offload == "all" and self.zero_stage != 3:
            raise ValueError(
                f"offload 'all' shards the weights, which ZeRO-{self.zero_stage} does not: set "
                "zero_stage to 3, or offload to 'optimizer'"
            )
        if self.gpu not in (0, self.num_ranks):
            raise ValueError(
                f"a training has one GPU per rank, or none, over all its nodes; gpu is {self.gpu} "
                f"and num_ranks {self.num_ranks}: set gpu to {self.num_ranks} or to 0"
            )
        return self


class Student(Strict):
    """A model to be trained."""

    source: Source = Field(description="Where the untrained model comes from.")
    architecture: Architecture = None
    training: Training = Field(Training(), description="How it is trained.")
    engine: Literal["transformers", "vllm"] = Field(
        "transformers", description="How its answers to benchmarks are made (docs/engines.md)."
    )
    engine_params: dict[str, Any] = Field(
        default_factory=dict, description="Parameters of that engine."
    )
    sampling: Sampling = Field(
        Sampling(),
        description="How it answers benchmarks (paper: 0.6 / 0.95 Llama, 0.7 / 1.0 Qwen).",
    )
    runtime: Runtime = Field(Runtime(), description="How its jobs run; edits rerun nothing.")


class Benchmark(Strict):
    """A test with graded answers."""

    kind: str = Field(description="Module of nt_pkg/benchmarks.")
    params: dict[str, Any] = Field(default_factory=dict, description="Parameters of that module.")
    source: Source | None = Field(None, description="Files it reads; none for generated tests.")
    expected_questions: int | None = Field(
        None, ge=1, description=f"Questions, for {_PLANS} one of its jobs has run."
    )
    repeats: int = Field(1, ge=1, description="Answers per question (paper: 24, 16, 1, 1).")
    chance: float | None = Field(
        None, ge=0, lt=1, description="Share right by a uniform guess, for the report."
    )
    think_words: int = Field(3500, ge=1, description="K of the think instruction (paper: 3500).")


class Runs(Strict):
    """A block of the plan: every combination of its lists is one run."""

    students: list[str] = Field(min_length=1, description="Catalogue names.")
    subsets: list[str] = Field(min_length=1, description='Catalogue names, or "none": untrained.')
    formats: list[str] = Field(min_length=1, description='Catalogue names, or "none": untrained.')
    seeds: list[Annotated[int, Field(ge=0)]] = Field(
        min_length=1, description="Seed of the subset, the order and the engine."
    )
    benchmarks: list[str] = Field(min_length=1, description="Catalogue names.")
    modes: list[Mode] = Field(min_length=1, description="Inference modes.")

    @model_validator(mode="after")
    def _untrained_alone(self) -> Self:
        if (UNTRAINED in self.subsets) != (UNTRAINED in self.formats) or (
            UNTRAINED in self.subsets and (len(self.subsets) > 1 or len(self.formats) > 1)
        ):
            raise ValueError(
                "an untrained student is `subsets: [none]` with `formats: [none]` alone"
            )
        return self


class Comparison(Strict):
    """A question that the report answers with a test: over seeds, or over questions."""

    name: str = Field(description="Name in summary.json.")
    kind: Literal["difference", "scaling", "modes"] = Field(
        description="difference: a minus b; scaling: groups in order of size; modes: one student, "
        "a minus b in accuracy and tokens."
    )
    a: dict[str, Any] = Field(default_factory=dict, description="Filter on scores.")
    b: dict[str, Any] = Field(default_factory=dict, description="Filter on scores.")
    groups: list[dict[str, Any]] = Field(
        default_factory=list, description="Filters, small to large."
    )
    claim: str | None = Field(None, description="What is expected; none: nothing is claimed.")
    within: float | None = Field(
        None,
        gt=0,
        description="The claim is that the difference is smaller than this, in points, either way.",
    )
    tokens: Literal["longer", "fewer", "alike"] | None = Field(
        None,
        description="The claim is about lengths: the answers of a have at least twice the tokens "
        "of those of b, or fewer than these, or neither has twice those of the other.",
    )

    @model_validator(mode="after")
    def _claims_one_thing(self) -> Self:
        if self.within is not None and self.tokens:
            raise ValueError(f"comparison {self.name}: give `within` or `tokens`, not both")
        if (self.within is not None or self.tokens) and self.claim is None:
            raise ValueError(
                f"comparison {self.name}: `within` and `tokens` say what is claimed: add a `claim`"
            )
        return self


class Claim(Strict):
    """A sentence that several comparisons decide together."""

    name: str = Field(description="Short name, such as C1.")
    text: str = Field(description="The sentence.")
    comparisons: tuple[str, ...] = Field(
        min_length=1, description="Names of the comparisons that have to be supported, all of them."
    )


RunField = Literal["student", "subset", "format", "mode"]


class Published(Strict):
    """A row of a paper's table, shown beside the run of ours that repeats it."""

    table: str = Field(pattern=f"^{NAME}$", description="Number of the table.")
    row: str = Field(description="Its name there.")
    accuracy: dict[str, float] = Field(
        default_factory=dict, description="Per cent, by benchmark; what is not known is left out."
    )
    tokens: dict[str, float] = Field(
        default_factory=dict, description="Mean tokens of an answer, by benchmark."
    )
    marks: dict[str, str] = Field(
        default_factory=dict, description="How sure each number is, by benchmark."
    )
    filter: dict[RunField, str] = Field(
        default_factory=dict, description="The run of ours that repeats it; none: there is none."
    )
    note: str = Field("", description="What differs between it and ours.")

    @model_validator(mode="after")
    def _has_numbers(self) -> Self:
        if not self.accuracy and not self.tokens:
            raise ValueError("a published row needs a number: give `accuracy` or `tokens`")
        if unknown := set(self.marks) - set(self.accuracy) - set(self.tokens):
            raise ValueError(f"marks without a number: {', '.join(sorted(unknown))}")
        return self


class Report(Strict):
    """What the report shows beyond the runs themselves."""

    title: str = Field(description="Headline of the page.")
    notes: str = Field("", description="A paragraph under it.")
    is_micro: bool = Field(
        False, description="Micro-world numbers say nothing of the paper's models."
    )
    comparisons: list[Comparison] = Field(default_factory=list)
    annotators: tuple[str, ...] = Field((), description="Annotations it shows beside those in use.")
    claims: list[Claim] = Field(
        default_factory=list, description="Claims that comparisons decide together."
    )
    published: list[Published] = Field(
        default_factory=list, description="Numbers of a paper, shown beside ours."
    )
    earlier: str | None = Field(
        None,
        description="Folder of an earlier report of this study, such as a copy of "
        "results/report/{study}: the page says what changed since.",
    )

    @model_validator(mode="after")
    def _parts_exist(self) -> Self:
        known = {each.name: each for each in self.comparisons}
        for claim in self.claims:
            for name in claim.comparisons:
                if name not in known or known[name].claim is None:
                    raise ValueError(
                        f"claims.{claim.name}: there is no comparison {name!r} with a `claim`; "
                        f"comparisons are {', '.join(sorted(known)) or 'none'}"
                    )
        return self


class Study(Strict):
    """Everything a study needs: the catalogue, the plan and the report."""

    study: str = Field(pattern=f"^{NAME}$", description="Name: results/report/{study}.")
    pools: dict[str, Pool] = Field(description="Sets of prompts, by name.")
    teachers: dict[str, Teacher] = Field(description="Who writes traces, by name.")
    annotators: dict[str, Annotator] = Field(description="What labels traces, by name.")
    subsets: dict[str, Subset] = Field(description="Selectors at a size, by name.")
    formats: dict[str, Format] = Field(description="Distillation formats, by name.")
    students: dict[str, Student] = Field(description="Models to train, by name.")
    benchmarks: dict[str, Benchmark] = Field(description="Tests, by name.")
    runs: list[Runs] = Field(min_length=1, description="The plan: blocks of runs.")
    report: Report = Field(description="What the report shows.")

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        catalogue = (
            "pools",
            "teachers",
            "annotators",
            "subsets",
            "formats",
            "students",
            "benchmarks",
        )
        for section in catalogue:
            for name in getattr(self, section):
                if not re.fullmatch(NAME, name):
                    raise ValueError(
                        f"{section}.{name}: use lower-case letters, digits, dot, dash, underscore"
                    )
        for section in ("subsets", "formats"):
            if UNTRAINED in getattr(self, section):
                raise ValueError(
                    f"{section}.{UNTRAINED}: this name means the untrained student; take another"
                )
        for name, subset in self.subsets.items():
            self._known("pools", subset.pool, f"subsets.{name}.pool")
            self._known("teachers", subset.teacher, f"subsets.{name}.teacher")
        for position, block in enumerate(self.runs):
            for section in ("students", "subsets", "formats", "benchmarks"):
                for name in getattr(block, section):
                    if name != UNTRAINED:
                        self._known(section, name, f"runs[{position}].{section}")
        for name in self.report.annotators:
            self._known("annotators", name, "report.annotators")
        for name, pool in self.pools.items():
            for benchmark in pool.decontaminate.against if pool.decontaminate else ():
                self._known("benchmarks", benchmark, f"pools.{name}.decontaminate.against")
        return self

    def _known(self, section: str, name: str, where: str) -> None:
        entries = getattr(self, section)
        if name not in entries:
            raise ValueError(
                f"{where}: unknown name {name!r}; {section} has {', '.join(sorted(entries))}"
            )

    @model_validator(mode="after")
    def _plugins_fit(self) -> Self:
        for package in ("pools", "benchmarks"):
            for name, entry in getattr(self, package).items():
                plugin_params(package, entry.kind, entry.params, f"{package}.{name}")
        for name, annotator in self.annotators.items():
            _check_annotator(f"annotators.{name}", annotator)
        for name, teacher in self.teachers.items():
            has_source = teacher.source is not None
            _check_engine(
                f"teachers.{name}",
                teacher.engine,
                "params",
                teacher.params,
                teacher.runtime,
                has_source,
            )
        for name, student in self.students.items():
            _check_engine(
                f"students.{name}",
                student.engine,
                "engine_params",
                student.engine_params,
                student.runtime.generation,
                True,
            )
        for name, subset in self.subsets.items():
            where = f"subsets.{name}"
            plugin_params("selectors", subset.selector, subset.params, where)
            for needed in plugins.plugin("selectors", subset.selector).requires:
                self._known("annotators", needed, f"{where}: selector {subset.selector} needs it")
            self._has_near(where, subset)
            self._fits_pool(where, subset)
        for name, form in self.formats.items():
            if form.kind == "difficulty_mix":
                self._known("annotators", AGREEMENT, f"formats.{name}: difficulty_mix needs it")
        for name, pool in self.pools.items():
            needs = plugins.plugin("pools", pool.kind).needs_source
            if needs != (pool.source is not None):
                raise ValueError(
                    f"pools.{name}: kind {pool.kind} {'needs a' if needs else 'takes no'} source"
                )
        return self

    def _has_near(self, where: str, subset: Subset) -> None:
        from nt_pkg.annotation import is_of_questions

        selector = plugins.plugin("selectors", subset.selector)
        if selector.needs_near != (subset.near is not None):
            raise ValueError(
                f"{where}: selector {subset.selector} needs `near`, the pool whose questions it "
                "looks for neighbours of"
                if selector.needs_near
                else f"{where}.near: selector {subset.selector} looks for no neighbours: remove it"
            )
        if subset.near is None:
            return
        self._known("pools", subset.near, f"{where}.near")
        for needed in selector.requires:
            kind = self.annotators[needed].kind
            if not is_of_questions(kind):
                raise ValueError(
                    f"{where}: annotator {needed} is of kind {kind}, which labels traces, and pool "
                    f"{subset.near} need not have any: give it a kind that labels questions, such "
                    "as hidden_states"
                )

    def _fits_pool(self, where: str, subset: Subset) -> None:
        pool = self.pools[subset.pool]
        params = plugin_params("pools", pool.kind, pool.params, f"pools.{subset.pool}")
        most = getattr(params, "num_rows", None) or getattr(params, "max_rows", None)
        if most is not None and subset.size > most:
            raise ValueError(
                f"{where}.size: {subset.size} examples were asked for, pool {subset.pool!r} has at "
                f"most {most} rows: lower the size or enlarge the pool"
            )


def plugin_params(package: str, name: str, params: dict[str, Any], where: str) -> Any:
    """Return the checked parameters of a plugin.

    Raises:
        ValueError: the plugin is unknown or its parameters do not fit; `where` is named.
    """
    try:
        model = plugins.plugin(package, name).params
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    return checked_params(model, params, where)


def checked_params(model: type[Strict], params: dict[str, Any], where: str) -> Any:
    """Return parameters that fit their model.

    Raises:
        ValueError: they do not; `where` is named.
    """
    try:
        return model(**params)
    except ValidationError as error:
        known = sorted(model.model_fields)
        raise ValueError(f"{where}.params: {explain(error, known)}") from error


def _check_annotator(where: str, entry: Annotator) -> None:
    from nt_pkg.annotation import labeller

    try:
        found, _ = labeller(entry.kind, entry.engine is not None)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    checked_params(found.params, entry.params, where)
    has_source = entry.source is not None
    if entry.engine is None and has_source != getattr(found, "needs_model", False):
        raise ValueError(
            f"{where}: source without `engine`: add the engine that it is meant for, or remove it"
            if has_source
            else f"{where}: kind {entry.kind} needs a `source`, the files of the model that it runs"
        )
    if entry.engine is not None:
        _check_engine(
            where, entry.engine, "engine_params", entry.engine_params, entry.runtime, has_source
        )


def _check_engine(
    where: str, kind: str, key: str, params: dict[str, Any], runtime: EngineRuntime, source: bool
) -> None:
    from nt_pkg.engines.catalogue import check_engine

    try:
        check_engine(kind, params, runtime, source)
    except ValidationError as error:
        raise ValueError(f"{where}.{key}: {explain(error)}") from error
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def load_study(config: dict[str, Any]) -> Study:
    """Return the checked study.

    Raises:
        ValueError: one line per defect, each saying where it stands and what is wrong.
    """
    try:
        return Study(**config)
    except ValidationError as error:
        raise ValueError(f"the configuration has defects:\n{explain(error)}") from error


def explain(error: ValidationError, known: Sequence[str] | None = None) -> str:
    """Return one line per defect: place, problem, and for a misspelt key the nearest known one.

    Args:
        error: what pydantic found.
        known: keys there are; by default those of all models of this package.
    """
    import difflib

    lines = []
    for defect in error.errors():
        place = ".".join(str(part) for part in defect["loc"])
        text = defect["msg"].removeprefix("Value error, ")
        if defect["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(defect["loc"][-1]), known or _all_keys(), n=1)
            text = "unknown key" + (f"; did you mean {near[0]!r}?" if near else "")
        lines.append(f"  {place}: {text}" if place else f"  {text}")
    return "\n".join(lines)


def _all_keys() -> list[str]:
    keys: set[str] = set()
    waiting: list[type[Strict]] = [Strict]
    while waiting:
        model = waiting.pop()
        keys.update(model.model_fields)
        waiting.extend(model.__subclasses__())
    return sorted(keys)


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a study for editors."""
    return Study.model_json_schema()


def read_yaml(paths: list[Path]) -> dict[str, Any]:
    """Return YAML files merged as Snakemake does: maps merge, lists and values replace.

    Raises:
        ValueError: a file is not a YAML map.
    """
    import yaml

    merged: dict[str, Any] = {}
    for path in paths:
        try:
            found = yaml.safe_load(path.read_text()) or {}
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is not valid YAML: {error}") from error
        if not isinstance(found, dict):
            raise ValueError(f"{path} must hold `key: value` pairs, not a {type(found).__name__}")
        _merge(merged, found)
    return merged


def _merge(base: dict[str, Any], overlay: dict[str, Any]) -> None:
    for key, value in overlay.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = value
