"""The labeller of an entry of the catalogue: rules, or a model."""

from collections.abc import Mapping, Sequence
from typing import Any

from nt_pkg.annotators._ask import Asker
from nt_pkg.annotators._base import (
    AnswersAnnotator,
    QuestionAnnotator,
    StudentAnnotator,
    TraceAnnotator,
)
from nt_pkg.plugins import registry as plugins

# Second constant of kinds that label by rules, and better with a model.
WITH_ENGINE = "WITH_ENGINE"


Labeller = TraceAnnotator | Asker | QuestionAnnotator | StudentAnnotator | AnswersAnnotator


def labeller(kind: str, has_engine: bool) -> tuple[Labeller, str]:
    """Return what labels for a catalogue entry, and the name of that constant in its module.

    Raises:
        ValueError: there is no such kind, or it needs an engine, or takes none.
    """
    constant, found = plugins.CONSTANTS["annotators"], plugins.plugin("annotators", kind)
    if has_engine and not isinstance(found, Asker):
        constant, found = WITH_ENGINE, plugins.second("annotators", kind, WITH_ENGINE)
        if found is None:
            raise ValueError(f"kind {kind} does not use a model: remove `engine` and its settings")
    if not has_engine and isinstance(found, Asker):
        raise ValueError(
            f"kind {kind} asks a model: add `engine` (openai, vllm or transformers), and what that "
            "needs"
        )
    return found, constant


def columns_of(kind: str, params: Mapping[str, Any]) -> Sequence[str]:
    """Return the further columns of the pool that a kind reads with some parameters."""
    found = plugins.plugin("annotators", kind)
    if not isinstance(found, TraceAnnotator) or found.columns is None:
        return ()
    return found.columns(found.params(**params))


def check_columns(kind: str, params: Mapping[str, Any], pool: Mapping[str, Any]) -> None:
    """Return if a pool has the columns that a kind reads, or does not say which it has.

    Args:
        kind: module of this room.
        params: its parameters.
        pool: what `pool.json` says.

    Raises:
        ValueError: no row of the pool has such a column; the message lists those that are there.
    """
    there = pool.get("columns")
    if there is None:
        return
    for name in columns_of(kind, params):
        if name not in there:
            raise ValueError(
                f"no row of pool {pool['pool']} has the column {name!r}; "
                + (
                    f"there are {', '.join(there)}"
                    if there
                    else "it keeps none: use a pool of kind `table`"
                )
            )


def is_of_questions(kind: str) -> bool:
    """Return whether a kind labels questions, so that its labels belong to no teacher."""
    return isinstance(plugins.plugin("annotators", kind), QuestionAnnotator | AnswersAnnotator)


def asks_student(kind: str) -> bool:
    """Return whether a kind asks a student, which its entry names."""
    return isinstance(plugins.plugin("annotators", kind), StudentAnnotator | AnswersAnnotator)


def samples_student(kind: str) -> bool:
    """Return whether a kind lets its student write answers, so that its entry says how."""
    return isinstance(plugins.plugin("annotators", kind), AnswersAnnotator)
