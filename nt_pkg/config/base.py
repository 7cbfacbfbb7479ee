"""What all parts of the configuration share: strict models, names, and readable errors."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

NAME = r"[a-z0-9][a-z0-9._-]*"
UNTRAINED = "none"  # subset and format of the untrained student
IMPORTED = "imported"  # subset of answers from elsewhere; their format is UNTRAINED
AGREEMENT = "agreement"  # annotator that difficulty mixes need
Mode = Literal["think", "no_think", "adaptive"]
BEFORE_PLANS = "the GPU-hours of plans (docs/performance.md) that are made before"


class Strict(BaseModel):
    """A frozen model that rejects unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NoParams(Strict):
    """The parameters of plug-ins without any."""


def checked_params(
    model: type[Strict], params: dict[str, Any], where: str, key: str = "params"
) -> Any:
    """Return parameters, checked by their model.

    Raises:
        ValueError: they do not fit; the message has `where` and their key.
    """
    try:
        return model(**params)
    except ValidationError as error:
        known = sorted(model.model_fields)
        raise ValueError(f"{where}.{key}: {explain(error, known)}") from error


def explain(error: ValidationError, known: Sequence[str] | None = None) -> str:
    """Return one line per error: place, problem, and for a misspelt key the nearest known one.

    Args:
        error: what pydantic found.
        known: valid keys; by default those of all models in this package.
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
