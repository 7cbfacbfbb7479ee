"""The stages of the workflow, in the order in which they run."""

from collections.abc import Iterable

STAGES = ("assets", "prompts", "traces", "annotations", "subsets", "sft", "evals", "report")


def sort_stages(names: Iterable[str]) -> list[str]:
    """Return stage names in the order of the pipeline, unknown ones last."""
    return sorted(names, key=lambda n: (STAGES.index(n) if n in STAGES else len(STAGES), n))
