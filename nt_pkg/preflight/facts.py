"""Facts of a cluster and of a study's requests, and the findings of checks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from nt_pkg.snakemake_io.dry_run import gpu_type

Level = Literal["ok", "warn", "FAIL"]
PLACEHOLDER = "CHANGE_ME"


@dataclass(frozen=True)
class Finding:
    """One line of the table: the finding, and what to do about it."""

    level: Level
    check: str
    found: str
    todo: str = ""


@dataclass(frozen=True)
class Answer:
    """The answer of a command."""

    status: int | None  # None: it did not end in time, or does not exist
    out: str
    error: str
    seconds: float = 0.0

    @property
    def is_good(self) -> bool:
        """Return whether it succeeded."""
        return self.status == 0

    @property
    def why(self) -> str:
        """Return the first informative line of its error."""
        lines = [line.strip() for line in f"{self.error}\n{self.out}".splitlines() if line.strip()]
        return lines[0][:200] if lines else f"status {self.status}"


@dataclass(frozen=True)
class Nodes:
    """Identical nodes of one partition."""

    partition: str
    count: int
    state: str
    shape: tuple[str, ...]  # CPUs, MB, GRES, features

    @property
    def is_usable(self) -> bool:
        """Return whether jobs can start on them now or when others end."""
        bad = ("down", "drain", "err", "fail", "inval", "maint", "unk", "futur", "no_resp")
        state = self.state.lower()
        # A node that was switched off to save power (idle~, powered_down) starts for a job.
        return not state.startswith(bad) and not state.endswith("*")

    @property
    def text(self) -> str:
        """Return how the table names them."""
        cpus, mem_mb, *others = self.shape
        more = "".join(f", {each}" for each in others if each != "(null)")
        return f"{self.count} {self.state} with {cpus} CPUs, {mem_mb} MB{more}"


@dataclass(frozen=True)
class Limits:
    """The most that one job may request under an account or a QOS; None or absent: no limit."""

    max_minutes: float | None = None
    max_submit: int | None = None
    tres: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Association:
    """An account that the user may charge; an empty partition means all."""

    account: str
    partition: str
    default_qos: str
    limits: Limits = Limits()


@dataclass(frozen=True)
class Cluster:
    """Slurm's facts about itself; None if it did not answer."""

    config: Mapping[str, str] | None
    partitions: Mapping[str, Mapping[str, str]] | None  # each as `scontrol show partition` has it
    nodes: Sequence[Nodes] | None
    associations: Sequence[Association] | None
    qos: Mapping[str, Limits] | None

    def enforces(self, what: str) -> bool:
        """Return whether AccountingStorageEnforce names associations or limits."""
        words = (self.config or {}).get("AccountingStorageEnforce", "none").lower()
        found = set(words.replace("+", ",").split(","))
        implied = {"associations": {"limits", "qos", "safe", "wckeys"}, "limits": {"safe"}}
        return bool(found & ({what, "all"} | implied[what]))

    def partitions_of(self, request: "SlurmRequest") -> list[str]:
        """Return the partitions that a request may run in."""
        if named := request.get("slurm_partition"):
            return named.split(",")
        return [n for n, row in (self.partitions or {}).items() if row.get("Default") == "YES"]


@dataclass(frozen=True)
class SlurmRequest:
    """What jobs of one rule request from Slurm."""

    rule: str
    resources: tuple[tuple[str, str], ...]
    threads: int = 1
    gpus: int = 0  # of all nodes
    attempt: int = 1
    num_jobs: int = field(default=1, compare=False)
    # Entries of the configuration that need it, such as `students.llama`.
    owners: frozenset[str] = field(default=frozenset(), compare=False)
    # Resources set by the rule itself, as written there; empty if unknown.
    own: Mapping[str, str] = field(default_factory=dict, compare=False)

    def get(self, name: str) -> str | None:
        """Return a resource, if it is requested."""
        return dict(self.resources).get(name)

    def number(self, name: str) -> int | None:
        """Return a resource that is a number."""
        value = self.get(name)
        return int(value) if value and value.isdecimal() else None

    @property
    def gpu_model(self) -> str | None:
        """Return the type of its GPUs, if one is requested."""
        return gpu_type(dict(self.resources))

    def without(self, name: str) -> "SlurmRequest":
        """Return the request without one resource."""
        return replace(self, resources=tuple(each for each in self.resources if each[0] != name))

    @property
    def is_ready(self) -> bool:
        """Return whether it has no placeholder left."""
        return not any(PLACEHOLDER in value for _, value in self.resources)

    @property
    def title(self) -> str:
        """Return how the table names it."""
        who = sorted(owner.partition(".")[2] for owner in self.owners)
        names = f" of {', '.join(who[:3])}{' ...' if len(who) > 3 else ''}" if who else ""
        again = f", attempt {self.attempt}" if self.attempt > 1 else ""
        jobs = f"{self.num_jobs} job{'s' if self.num_jobs != 1 else ''}"
        return f"{self.rule} ({jobs}{names}{again})"
