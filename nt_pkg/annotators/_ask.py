"""How a model is asked about a trace, and how its answer is read.

The paper's prompts are not known; these are ours. Each annotator holds one `Ask`. The JSON
schema is for engines that can enforce it; the parser also accepts what other models
write around or instead of the JSON.
"""

import ast
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from nt_pkg.annotators._base import Example, Label
from nt_pkg.config.base import NoParams, Strict
from nt_pkg.dialogue.split_reasoning import split_reasoning

MAX_ANSWER_CHARS = 20_000  # read from the end of an answer; a normal one has some hundreds
_MAX_TRIES = 50  # places to look for JSON

# Words between two values that make the later one count.
CORRECTION = re.compile(
    r"\b(?:no|not|wait|actually|instead|rather|correct(?:ion|ed)?|sorry|revised|final(?:ly)?)\b",
    re.IGNORECASE,
)
_QUOTES = "\"'\u201c"
_PIECE = re.compile(
    r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|\u201c[^\u201d\n]*\u201d"
    r"|[^\W\d_][\w-]*(?: [\w-]+)*|[-+]?\d[\d.eE+-]*|\s+|.",
    re.DOTALL,
)


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
    """Return the value of a key in the last object that has it; None if there is no such object.

    Objects may be JSON or nearly so: with trailing commas, Python's words and quotation marks, or
    keys without any.

    Raises:
        UnreadableError: all values are null, or two differ and no words between them correct one.
    """
    found = [(place, end, value[key]) for place, end, value in _objects(answer) if key in value]
    values = [each for each in found if each[2] is not None]
    if not values:
        if found:
            raise UnreadableError(f"{key} is null")
        return None
    for (_, end, one), (place, _, other) in pairwise(values):
        if _folded(one) != _folded(other) and not CORRECTION.search(answer, end, place):
            raise UnreadableError(f"the answer contradicts itself: {key}")
    return values[-1][2]


def has_object(answer: str, key: str) -> bool:
    """Return whether an answer begins an object with a key, whether or not it can be read."""
    return bool(re.search(rf"\{{\s{{0,99}}[\"'\u201c]?{key}[\"'\u201d]?\s{{0,99}}:", answer))


def _folded(value: Any) -> str:
    return json.dumps(value, sort_keys=True).casefold()


def _objects(answer: str) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Yield (start, end, value) of the last objects in an answer, also of those inside others."""
    for place in _openings(answer):
        try:
            value, end = json.JSONDecoder().raw_decode(answer, place)
        except (ValueError, RecursionError):
            value, end = _nearly_json(answer, place)
        if isinstance(value, dict):
            yield place, end, value


def _nearly_json(answer: str, place: int) -> tuple[Any, int]:
    """Return the value of an object that is nearly JSON, and its end; None without one."""
    parts, depth = [], 0
    for part in _PIECE.finditer(answer, place):
        text = part[0]
        depth += (text in "{[") - (text in "}]")
        parts.append(_as_python(text))
        if depth == 0:
            try:
                value = ast.literal_eval("".join(parts))
                json.dumps(value)  # refuses what only Python has, such as sets
                return value, part.end()
            except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
                return None, part.end()
    return None, place


def _as_python(piece: str) -> str:
    """Return a string, a word or a mark of an object as Python writes it."""
    if piece[0] in _QUOTES:
        inner = piece[1:-1]
        try:
            return repr(json.loads(f'"{inner}"')) if piece[0] == '"' else repr(inner)
        except ValueError:
            return repr(inner)
    if piece[0].isalpha():
        words = {"true": "True", "false": "False", "null": "None", "none": "None"}
        return words.get(piece.casefold(), repr(piece))
    return piece


def _openings(answer: str) -> Iterator[int]:
    """Yield the last places where an object may begin: bounded, whatever the answer holds."""
    places = [match.start() for match in re.finditer(r"\{", answer)]
    yield from places[-_MAX_TRIES:]
