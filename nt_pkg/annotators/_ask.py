"""How a model is asked about a trace, and how its answer is read.

The paper's prompts are not known; these are ours. Each annotator holds one `Ask`. The JSON
schema is for engines that can enforce it; the parser also accepts what other models
write around or instead of the JSON.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nt_pkg.annotators._base import Example, Label
from nt_pkg.config.base import NoParams, Strict
from nt_pkg.dialogue.split_reasoning import split_reasoning

MAX_ANSWER_CHARS = 20_000  # read from the end of an answer; a normal one has some hundreds
_MAX_TRIES = 50  # places to look for JSON


class UnreadableError(ValueError):
    """An answer without a valid label; its text is the reason."""


@dataclass(frozen=True)
class Ask:
    """A question about a trace.

    Attributes:
        prompt: (prompt with its trace) -> the user's turn.
        schema: JSON schema of the answer.
        parse: (answer of the model) -> label; raises `UnreadableError`.
    """

    prompt: Callable[[Example], str]
    schema: dict[str, Any]
    parse: Callable[[str], Any]


def ask_about_all(params: Strict, examples: Sequence[Example]) -> list[Label | Example]:
    """Return the examples: no rule labels any of them."""
    return list(examples)


@dataclass(frozen=True)
class Asker:
    """Labels examples by asking a model; the label of one example depends on no other.

    Attributes:
        ask: what the model is asked.
        params: model of the parameters.
        triage: (params, examples) -> for each its label, where a rule can give it, or the example
            that the model is shown.
    """

    ask: Ask
    params: type[Strict] = NoParams
    triage: Callable[[Any, Sequence[Example]], list[Label | Example]] = ask_about_all


def object_schema(**properties: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an object with exactly these keys."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def enclosed(name: str, text: str) -> str:
    """Return a text between tags that it cannot close itself."""
    return f"<{name}>\n{text.replace(f'</{name}>', f'< /{name}>')}\n</{name}>"


def said(text: str) -> str:
    """Return the end of a model's answer, without its reasoning.

    Raises:
        UnreadableError: nothing.
    """
    answer = split_reasoning(text).answer[-MAX_ANSWER_CHARS:].strip()
    if not answer:
        raise UnreadableError("the answer is empty")
    return answer


def last_value(answer: str, key: str) -> Any:
    """Return the value of a key in the last JSON object that has it; None if there is none."""
    found = None
    for place in _openings(answer):
        try:
            value, _ = json.JSONDecoder().raw_decode(answer, place)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and value.get(key) is not None:
            found = value[key]
    return found


def _openings(answer: str) -> Iterator[int]:
    """Yield the last places where an object may begin: bounded, whatever the answer holds."""
    places = [match.start() for match in re.finditer(r"\{", answer)]
    yield from places[-_MAX_TRIES:]
