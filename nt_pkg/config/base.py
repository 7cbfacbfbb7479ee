"""What all parts of the configuration share: strict models, names, and readable errors."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)

NAME = r"[a-z0-9][a-z0-9._-]*"
# Characters of a name: with what is put around it, such as the name of a machine, it has to be that
# of a file, for which file systems have room for 255 bytes, and some for 143.
MOST_NAME = 100
UNTRAINED = "none"  # subset and format of the untrained student
IMPORTED = "imported"  # subset of answers from elsewhere; their format is UNTRAINED
AGREEMENT = "agreement"  # annotator that difficulty mixes need
Mode = Literal["think", "no_think", "adaptive"]
_BOOLEANS = "true and false are no numbers, and numbers are neither"
BEFORE_PLANS = "the GPU-hours of plans (docs/performance.md) that are made before"


class Strict(BaseModel):
    """A frozen model that rejects unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="wrap")
    @classmethod
    def _means_what_it_says(
        cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> Any:
        """Refuse a truth value for a number, a number for a truth value, and an empty text."""
        found = handler(value)
        if _swaps_booleans(value, found):
            raise ValueError(f"{value!r} stands for another kind of value: {_BOOLEANS}")
        if "" in (found if isinstance(found, tuple | list) else (found,)):
            assert info.field_name is not None
            if cls.model_fields[info.field_name].default != "":
                raise ValueError("an empty text: write one, or leave the key out")
        return found


def _swaps_booleans(given: Any, found: Any) -> bool:
    """Return whether pydantic has read true as 1, or 1 as true, somewhere in a value."""
    if isinstance(given, list | tuple) and isinstance(found, list | tuple):
        return any(map(_swaps_booleans, given, found))
    if isinstance(given, dict) and isinstance(found, Mapping):
        return any(_swaps_booleans(each, found.get(key)) for key, each in given.items())
    return isinstance(given, bool) != isinstance(found, bool) and not isinstance(found, BaseModel)


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
    lines = []
    found = error.errors()
    for defect in found:
        place_of = defect["loc"]
        if defect["type"] == "too_short" and any(
            each["loc"][: len(place_of)] == place_of and each is not defect for each in found
        ):
            continue  # pydantic leaves out the items that have errors of their own
        place = ".".join(str(part) for part in defect["loc"])
        text = defect["msg"].removeprefix("Value error, ")
        if defect["type"] == "extra_forbidden":
            text = "unknown key" + did_you_mean(str(defect["loc"][-1]), known or _all_keys())
        if defect["type"] == "too_short":
            text = f"give at least {defect['ctx']['min_length']}"
        lines.append(f"  {place}: {text}" if place else f"  {text}")
    return "\n".join(lines)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" with the nearest known name, or "" if none is near."""
    import difflib

    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _all_keys() -> list[str]:
    keys: set[str] = set()
    waiting: list[type[Strict]] = [Strict]
    while waiting:
        model = waiting.pop()
        keys.update(model.model_fields)
        waiting.extend(model.__subclasses__())
    return sorted(keys)
