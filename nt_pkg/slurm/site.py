"""The facts of a cluster in its profile; rules pass them on unread."""

import os
from collections.abc import Callable, Mapping
from typing import Any

from nt_pkg.slurm.jobs import Machines, growing, spread


class Site:
    """The facts of a cluster, and the resources that follow from them.

    Attributes:
        facts: `default-resources` of the profile as texts, with variables of the shell filled in.
    """

    def __init__(self, default_resources: Mapping[str, Any] | None) -> None:
        """Read Snakemake's `default-resources`."""
        self.facts = {
            name: os.path.expandvars(str(resource.raw).strip("'\""))
            for name, resource in (default_resources or {}).items()
        }

    def placed(
        self, machines_of: Callable[[Any], Machines]
    ) -> dict[str, Callable[[Any], int | str | None]]:
        """Return the resources that place the jobs of a rule on nodes, with GPUs if they ask."""
        return spread(machines_of, self.facts)

    def memory(self, first: int | Callable[[Any], int]) -> Callable[[Any, int], int]:
        """Return a job's memory in MB, a number or a function of wildcards; retries get more."""
        return growing(first, self.facts.get("most_mem_mb"))

    def minutes(self, first: int | Callable[[Any], int]) -> Callable[[Any, int], int]:
        """Return a job's minutes, a number or a function of wildcards; retries get more."""
        return growing(first, self.facts.get("most_minutes"))
