"""At most so many requests in flight to a server that somebody else runs, over all jobs.

Each server is a resource of Snakemake. A job that asks it takes its `batch` of `max_in_flight` from
when it is submitted until it ends, however it ends, so nothing has to be given back after a kill.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from nt_pkg.config.engines import EngineRuntime, Server
from nt_pkg.config.study import Study


def admissions(study: Study) -> dict[str, int]:
    """Return resource -> requests, for every server with a limit.

    Raises:
        ValueError: entries of one server disagree, or a job would take more than there is.
    """
    found: dict[str, int] = {}
    for where, _, server in _asking(study):
        if server.max_in_flight is not None:
            limit = found.setdefault(resource_of(server), server.max_in_flight)
            if limit != server.max_in_flight:
                raise ValueError(
                    f"{where}.runtime.server.max_in_flight: {server.max_in_flight}, and another "
                    f"entry says {limit} for {server.base_url}: give both the same"
                )
    for where, runtime, server in _asking(study):
        limit = found.get(resource_of(server), runtime.batch)
        if runtime.batch > limit:
            raise ValueError(
                f"{where}.runtime.batch: {runtime.batch} requests of one job are more than "
                f"max_in_flight {limit} of {server.base_url}: lower `batch`; jobs that ask at the "
                "same time share `max_in_flight`"
            )
    return found


def admitted(
    study: Study, runtime_of: Callable[[Any], EngineRuntime]
) -> dict[str, Callable[[Any], int | None]]:
    """Return what a job takes of each server, as functions of its wildcards; None: nothing."""

    def taken(name: str) -> Callable[[Any], int | None]:
        def resource(wildcards: Any) -> int | None:
            runtime = runtime_of(wildcards)
            is_asked = runtime.server is not None and resource_of(runtime.server) == name
            return runtime.batch if is_asked else None

        return resource

    return {name: taken(name) for name in admissions(study)}


def resource_of(server: Server) -> str:
    """Return the name of a server's resource."""
    return "requests_" + re.sub(r"\W+", "_", server.base_url.partition("://")[2]).strip("_")


def _asking(study: Study) -> Iterator[tuple[str, EngineRuntime, Server]]:
    for kind, entries in (("teachers", study.teachers), ("annotators", study.annotators)):
        for name, entry in entries.items():
            if entry.runtime.server is not None:
                yield f"{kind}.{name}", entry.runtime, entry.runtime.server
