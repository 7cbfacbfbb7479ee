"""Which rule reads the files of which, from the jobs of a start."""

from collections import defaultdict
from pathlib import Path
from typing import Any

from nt_pkg.files.json_files import write_json

NAME = "rule_graph.json"  # next to the timings; the job that draws it knows no other job


def rule_graph(dag: Any) -> dict[str, list[str]]:
    """Return rule -> the rules whose files it reads, sorted, of Snakemake's jobs."""
    found: dict[str, set[str]] = defaultdict(set)
    for job in dag.jobs:
        found[job.rule.name].update(other.rule.name for other in dag.dependencies[job])
    return {rule: sorted(reads) for rule, reads in sorted(found.items())}


def keep_rule_graph(dag: Any, timings: Path) -> None:
    """Write the graph of a start; a start that builds a report includes all that it reads."""
    timings.mkdir(exist_ok=True)
    write_json(timings / NAME, rule_graph(dag))
