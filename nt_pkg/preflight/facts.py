"""Facts of a cluster and of what a study asks it for, and what a check says of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Level = Literal["ok", "warn", "FAIL"]
PLACEHOLDER = "CHANGE_ME"


@dataclass(frozen=True)
class Finding:
    """One line of the table: what was found, and what to do about it."""

    level: Level
    check: str
    found: str
    todo: str = ""


@dataclass(frozen=True)
class Gpus:
    """GPUs of one model in a node."""

    model: str | None
    count: int


@dataclass(frozen=True)
class Node:
    """A compute node."""

    name: str
    partitions: frozenset[str]
    num_cpus: int
    mem_mb: int
    gpus: tuple[Gpus, ...]
    features: frozenset[str]
    state: str

    @property
    def is_usable(self) -> bool:
        """Return whether jobs can start on it now or when others end."""
        bad = ("down", "drain", "err", "fail", "inval", "maint", "unk", "futur", "no_resp")
        state = self.state.lower()
        # A node that was switched off to save power (idle~, powered_down) starts for a job.
        return not state.startswith(bad) and not state.endswith("*")

    def num_gpus(self, model: str | None = None) -> int:
        """Return its GPUs, of one model if one is named."""
        return sum(each.count for each in self.gpus if model in (None, each.model))


@dataclass(frozen=True)
class Partition:
    """A partition; None means no limit, an empty tuple that everybody is allowed."""

    name: str
    state: str = "UP"
    is_default: bool = False
    max_minutes: float | None = None
    max_nodes: int | None = None
    max_cpus_per_node: int | None = None
    max_mem_per_node: int | None = None
    qos: str | None = None
    allow_accounts: tuple[str, ...] = ()
    deny_accounts: tuple[str, ...] = ()
    allow_qos: tuple[str, ...] = ()
    deny_qos: tuple[str, ...] = ()
    allow_groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Limits:
    """Most that one job may ask for under an account or a QOS; None or absent: no limit."""

    max_minutes: float | None = None
    max_submit: int | None = None
    tres: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Association:
    """What Slurm lets the user charge; an empty partition means all."""

    account: str
    partition: str
    qos: tuple[str, ...]
    default_qos: str
    limits: Limits = Limits()


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    status: int | None  # None: it did not end in time, or is not there
    out: str
    error: str
    seconds: float = 0.0

    @property
    def is_good(self) -> bool:
        """Return whether it ended well."""
        return self.status == 0

    @property
    def why(self) -> str:
        """Return the first telling line of its complaint."""
        lines = [line.strip() for line in f"{self.error}\n{self.out}".splitlines() if line.strip()]
        return lines[0][:200] if lines else f"status {self.status}"


@dataclass(frozen=True)
class Cluster:
    """What Slurm told about itself; None where it did not answer."""

    config: Mapping[str, str] | None
    partitions: Mapping[str, Partition] | None
    nodes: Sequence[Node] | None
    associations: Sequence[Association] | None
    qos: Mapping[str, Limits] | None
    groups: frozenset[str] = frozenset()

    def enforces(self, what: str) -> bool:
        """Return whether AccountingStorageEnforce names associations, limits or qos."""
        words = (self.config or {}).get("AccountingStorageEnforce", "none").lower()
        found = set(words.replace("+", ",").split(","))
        implied = {"associations": {"limits", "qos", "safe", "wckeys"}, "limits": {"safe"}}
        return bool(found & ({what, "all"} | implied.get(what, set())))

    @property
    def has_accounting(self) -> bool:
        """Return whether a database keeps the accounts of jobs."""
        return (self.config or {}).get("AccountingStorageType", "").endswith("slurmdbd")

    @property
    def default_partition(self) -> str | None:
        """Return the partition of jobs that name none."""
        found = (p.name for p in (self.partitions or {}).values() if p.is_default)
        return next(found, None)


@dataclass(frozen=True)
class Request:
    """What jobs of one rule ask Slurm for; None where they ask for nothing."""

    rule: str
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    nodes: int | None = None
    gpus: int = 0
    gpu_model: str | None = None
    gpus_per_node: int | None = None
    gres: str | None = None
    mem_mb: int | None = None
    mem_mb_per_cpu: int | None = None
    cpus_per_task: int = 1
    cpus_per_gpu: int | None = None
    tasks: int | None = None
    tasks_per_node: int | None = None
    tasks_per_gpu: int | None = None
    is_mpi: bool = False
    runtime: int | None = None
    extra: str = ""
    attempt: int = 1
    not_checked: tuple[str, ...] = ()
    num_jobs: int = field(default=1, compare=False)
    # Entries of the configuration that it is for, such as `students.llama`.
    owners: frozenset[str] = field(default=frozenset(), compare=False)
    # Resources that the rule itself gives, as they are written there; empty if that is not known.
    own: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def has_gpu(self) -> bool:
        """Return whether it asks for GPUs."""
        return bool(self.gpus or self.gpus_per_node)

    @property
    def title(self) -> str:
        """Return how the table names it."""
        who = sorted(owner.partition(".")[2] for owner in self.owners)
        names = f" of {', '.join(who[:3])}{' ...' if len(who) > 3 else ''}" if who else ""
        again = f", attempt {self.attempt}" if self.attempt > 1 else ""
        jobs = f"{self.num_jobs} job{'s' if self.num_jobs != 1 else ''}"
        return f"{self.rule} ({jobs}{names}{again})"

    @property
    def node_gpus(self) -> int:
        """Return the GPUs on each node; all of them where the number of nodes is open."""
        if self.gpus_per_node is not None:
            return self.gpus_per_node
        return -(-self.gpus // (self.nodes or 1))

    @property
    def node_cpus(self) -> int:
        """Return the CPUs on each node."""
        if self.cpus_per_gpu and self.node_gpus:
            return self.cpus_per_gpu * self.node_gpus
        if self.tasks_per_node and self.is_mpi:
            tasks = self.tasks_per_node
        elif self.gpus and not self.is_mpi:  # the plugin's --ntasks-per-gpu
            per_gpu = self.tasks_per_gpu if self.tasks_per_gpu is not None else self.tasks
            tasks = max(1, (per_gpu or 0) * self.node_gpus)
        else:
            tasks = -(-(self.tasks or 1) // (self.nodes or 1))
        return tasks * max(1, self.cpus_per_task)

    @property
    def node_mem_mb(self) -> int | None:
        """Return the memory on each node."""
        if self.mem_mb_per_cpu:
            return self.mem_mb_per_cpu * self.node_cpus
        return self.mem_mb
