"""Published speeds of models whose time cannot be reckoned from their shape."""

import re
from dataclasses import dataclass

from nt_pkg.config.engines import Annotator, Teacher
from nt_pkg.config.students import Student


@dataclass(frozen=True)
class Speed:
    """A published speed of writing."""

    model: str  # its name, without the owner and the month of a version
    tokens_per_second: float  # new tokens, for each GPU
    gpu: str
    engine: str
    what: str  # was measured
    source: str


SPEEDS = (
    Speed(
        "DeepSeek-R1",
        2621.05 / 8,
        "h200",
        "vLLM 0.11, tensor parallel over 8",
        "1,000 requests of ShareGPT, start and end of the queue included",
        "github.com/gpustack/gpustack, docs/performance-lab/deepseek-r1/h200.md at a5c9faf",
    ),
    Speed(
        "DeepSeek-R1",
        2200.0,
        "h200",
        "vLLM 0.11 and later, data and expert parallel over several nodes",
        "sustained, with InfiniBand",
        "vLLM's blog: Large Scale Serving: DeepSeek @ 2.2k tok/s/H200 with Wide-EP, December 2025",
    ),
)
BYTES = {"DeepSeek-R1": 685e9}  # in FP8, with the layer that predicts more tokens


def published(name: str) -> list[Speed]:
    """Return the published speeds of a model, by its name on the hub; the slowest first."""
    found = [each for each in SPEEDS if re.sub(r"^.*/|-\d{4}$", "", name) == each.model]
    return sorted(found, key=lambda each: each.tokens_per_second)


def speeds_of(entry: Student | Teacher | Annotator) -> list[Speed]:
    """Return the published speeds of an entry's model; the slowest first."""
    named = getattr(entry, "params", {}).get("model")
    return published(str(named or (entry.source.hub if entry.source else None) or ""))
