"""What a benchmark is: items, a prompt, and a grader that never sees the reasoning."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from nt_pkg.config.base import Strict
from nt_pkg.files.json_files import storable


@dataclass(frozen=True)
class Item:
    """One question of a benchmark; `options` is empty unless it is multiple choice.

    `levels` are further groups with scores of their own, such as ("field", "Science/Physics").
    """

    id: str
    question: str
    gold: str
    options: tuple[str, ...] = ()
    category: str = ""
    levels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Grade:
    """The verdict on one answer; `extracted` is None if no answer was found in the text."""

    is_correct: bool
    extracted: str | None


@dataclass(frozen=True)
class BenchmarkKind:
    """The plugin object of a benchmark module.

    Attributes:
        params: frozen pydantic model of the benchmark's parameters.
        load: (params, folder of the asset files or None) -> items.
        prompt: item -> user message, without the control string of the inference mode.
        grade: (item, answer part of the output) pairs -> one grade each, in the same order.
        alternatives: other authors' graders by name. They get the whole output, reasoning included,
            as the authors' scripts do. Their scores are reported next to ours.
        is_confidential: whether its text must not become public: no text of its questions or
            answers goes into logs, grades, scores or reports.
    """

    params: type[Strict]
    load: Callable[[Any, Path | None], list[Item]]
    prompt: Callable[[Item], str]
    grade: Callable[[Sequence[tuple[Item, str]]], list[Grade]]
    alternatives: Mapping[str, Callable[[Sequence[tuple[Item, str]]], list[Grade]]] = field(
        default_factory=dict
    )
    is_confidential: bool = False


def take_items(items: Iterable[Item], num_questions: int | None) -> list[Item]:
    """Return the first `num_questions` items (None: all) in the order of their ids' digests.

    The order does not depend on the order of the rows, and a larger number only adds questions.
    Half an emoji in a text is repaired.

    Raises:
        ValueError: an id occurs twice, or there are too few items.
    """
    whole = [Item(**storable(vars(item))) for item in items]
    ordered = sorted(whole, key=lambda item: hashlib.sha256(item.id.encode()).digest())
    for before, after in pairwise(ordered):
        if before.id == after.id:
            raise ValueError(f"question id {after.id!r} occurs twice; remove one of the two rows")
    if num_questions is not None and num_questions > len(ordered):
        raise ValueError(
            f"num_questions is {num_questions}, but there are {len(ordered)} questions; "
            "lower it or leave it out to take all"
        )
    return ordered[:num_questions]
