"""Answers that a model wrote elsewhere, as the samples that a run of ours would have.

A file either fits the questions of the benchmark or is refused with what to do. What a row lacks
is never guessed: an answer without a text is a failed one, and tokens that are not known stay
unknown.
"""

import logging
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from nt_pkg.benchmarks._base import Item
from nt_pkg.config.answers import Column
from nt_pkg.dialogue.formats import THINK_CLOSE, THINK_OPEN
from nt_pkg.dialogue.split_reasoning import split_reasoning
from nt_pkg.files.json_files import storable
from nt_pkg.files.json_rows import Unreadable
from nt_pkg.files.schemas import Row
from nt_pkg.identity.question_id import normalise_question

logger = logging.getLogger("nt")

NO_TEXT = "the file has no text for it"
_COLUMNS: tuple[str, ...] = get_args(Column)
_CUT = {"length", "max_tokens", "max_length", "model_length"}
_SHOWN = 10


@dataclass(frozen=True)
class _Answer:
    """One row of the file; `number` counts from 1, `question` is the id of the benchmark's."""

    number: int
    question: str
    text: str | None
    repeat: int | None
    tokens: int | None
    finish_reason: str


def import_answers(
    spec: Mapping[str, Any],
    items: Sequence[Item],
    prompt: Callable[[Item], str],
    rows: Iterable[Any],
) -> tuple[list[Row], dict[str, Any]]:
    """Return one sample per question and repeat, as `sample_answers` does, and their manifest.

    Args:
        spec: mode, repeats, sha256, and the options of the entry that are not the default.
        items: questions of the benchmark.
        prompt: item -> user message; a row may name its question by it.
        rows: the file's rows in their order, maps of column -> value.

    Raises:
        ValueError: a row cannot be read or contradicts another, a question is unknown or has too
            few or too many answers, or a text under think has no tags. Texts are never quoted.
    """
    counts: Counter[str] = Counter()
    found = _resolved(spec, _maps(rows), _Questions(items, prompt), counts)
    found = _numbered(found, spec["repeats"], counts)
    if spec["mode"] == "think":
        found = _tagged(found, spec.get("untagged", "refuse"), counts)
    by_key = {(each.question, each.repeat): each for each in found}
    wanted = [(item.id, repeat) for item in items for repeat in range(spec["repeats"])]
    _check_missing([key for key in wanted if key not in by_key], len(wanted), found, spec, counts)
    samples = [_sample(*key, by_key.get(key)) for key in wanted]
    samples.sort(key=lambda row: (row["question_id"], row["repeat"]))
    counts["failed"] = sum(row["status"] == "failed" for row in samples)
    counts["tokens not known"] = sum(row["completion_tokens"] is None for row in samples)
    logger.info("%d answers to %d questions", len(samples), len(items))
    for what, number in sorted(counts.items()):
        if number:
            logger.info("%s: %d", what, number)
    return samples, {
        "sampling": {},
        "prompt_digest": None,
        "repeats": spec["repeats"],
        "mode": spec["mode"],
        "engine": {"kind": "imported", "answers": spec["sha256"]},
        "versions": {},
        "imported": {what: number for what, number in counts.items() if number},
    }


class _Questions:
    """The questions of a benchmark by id, by text and by prompt."""

    def __init__(self, items: Sequence[Item], prompt: Callable[[Item], str]) -> None:
        self.ids = {item.id for item in items}
        self._by_text: dict[str, set[str]] = defaultdict(set)
        for item in items:
            for text in {item.question, prompt(item)}:
                self._by_text[normalise_question(storable(text))].add(item.id)

    def find(self, number: int, own_id: str | None, text: str | None) -> str | None:
        """Return the id of a row's question; None if the benchmark does not have it.

        Raises:
            ValueError: id and text belong to different questions, or a text to several.
        """
        named = self._by_text.get(normalise_question(text), set()) if text is not None else None
        if own_id is not None:
            if own_id in self.ids and named is not None and own_id not in named:
                raise ValueError(
                    f"row {number}: the question with the id {own_id} has another text in this "
                    "benchmark: give the benchmark's ids, or leave the ids out"
                )
            return own_id if own_id in self.ids else None
        if named and len(named) > 1:
            raise ValueError(
                f"row {number}: {len(named)} questions of the benchmark have this text: give "
                f"`question_id`, one of {', '.join(sorted(named)[:_SHOWN])}"
            )
        return next(iter(named)) if named else None


def _maps(rows: Iterable[Any]) -> list[Mapping[str, Any]]:
    found = []
    for number, row in enumerate(rows, 1):
        if isinstance(row, Unreadable) or not isinstance(row, Mapping):
            defect = row.defect if isinstance(row, Unreadable) else "no map of column and value"
            raise ValueError(f"row {number} cannot be read ({defect}): correct it")
        found.append(row)
    if not found:
        raise ValueError("the file has no rows")
    return found


def _resolved(
    spec: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    questions: _Questions,
    counts: Counter[str],
) -> list[_Answer]:
    """Return the rows whose question the benchmark has."""
    present = {name for row in rows for name in row}
    names = {name: spec.get("columns", {}).get(name, name) for name in _COLUMNS}
    lacking = [
        name for name in (*spec.get("columns", {}).values(), names["text"]) if name not in present
    ]
    if not present & {names["question_id"], names["question"]}:
        lacking.append(f"{names['question_id']} or {names['question']}")
    if lacking:
        raise ValueError(
            f"no row has the column {lacking[0]}; the columns are {', '.join(sorted(present))}: "
            f"say under `columns` which is which, such as `columns: {{text: {min(present)}}}`"
        )
    counts["rows"] = len(rows)
    found, unknown = [], []
    for number, row in enumerate(rows, 1):
        values = {name: row.get(column) for name, column in names.items()}
        own_id = values["question_id"]
        own_id = None if own_id is None else str(_whole(own_id, number, "question_id", str))
        question = questions.find(number, own_id, _text(values["question"], number, "question"))
        if question is None:
            unknown.append(f"row {number}" + (f" ({own_id})" if own_id else ""))
            continue
        found.append(_answer(number, question, values))
    counts["not in the benchmark"] = len(unknown)
    if unknown and (spec.get("unknown") != "skip" or not found):
        raise ValueError(
            f"{len(unknown)} of {len(rows)} rows belong to no question of the benchmark: "
            f"{_some(unknown)}; its ids look like {', '.join(sorted(questions.ids)[:3])}. Is it "
            "another version or split of it? `unknown: skip` leaves such rows out"
        )
    return found


def _answer(number: int, question: str, values: Mapping[str, Any]) -> _Answer:
    text, reasoning = (_text(values[name], number, name) for name in ("text", "reasoning"))
    if reasoning is not None and (text is None or split_reasoning(text).reasoning is None):
        # Without an answer it was cut.
        text = f"{THINK_OPEN}{reasoning}" + ("" if text is None else f"{THINK_CLOSE}\n\n{text}")
    tokens = _whole(values["completion_tokens"], number, "completion_tokens")
    finish = _text(values["finish_reason"], number, "finish_reason") or "unknown"
    return _Answer(
        number=number,
        question=question,
        text=text,
        repeat=_whole(values["repeat"], number, "repeat"),
        tokens=tokens,
        finish_reason="length" if finish.casefold() in _CUT else finish,
    )


def _text(value: Any, number: int, column: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ValueError(f"row {number}: `{column}` must be a text, not {type(value).__name__}")
    return None if value is None else str(storable(value))


def _whole(value: Any, number: int, column: str, other: type | None = None) -> Any:
    """Return a whole number, also of 3.0 and "3"; None for nothing; a value of `other` as it is."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if other is not None and isinstance(value, other):
        return storable(value)
    try:
        found = int(value)
        if isinstance(value, bool) or found != float(value) or found < 0:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise ValueError(
            f"row {number}: `{column}` must be a whole number, not {value!r:.40}"
        ) from None
    return found


def _numbered(answers: Sequence[_Answer], repeats: int, counts: Counter[str]) -> list[_Answer]:
    """Return the answers with repeats from 0, without rows that say the same twice."""
    given = {each.repeat for each in answers}
    if given != {None}:
        if None in given:
            row = next(each.number for each in answers if each.repeat is None)
            raise ValueError(f"row {row} has no `repeat`, and others have: give it to all or none")
        first = 1 if min(given) == 1 and max(given) == repeats else 0  # type: ignore[type-var]
        answers = [replace(each, repeat=(each.repeat or 0) - first) for each in answers]
        if wrong := [each for each in answers if (each.repeat or 0) >= repeats]:
            raise ValueError(
                f"row {wrong[0].number} has repeat {wrong[0].repeat}, and {repeats} answers per "
                f"question are expected, numbered from 0 or 1: set `repeats` to how many there are"
            )
    kept: dict[tuple[str, int], _Answer] = {}
    num: Counter[str] = Counter()
    for each in answers:
        repeat = each.repeat
        if repeat is None:
            repeat = 0 if repeats == 1 else num[each.question]
            num[each.question] += 1
        before = kept.setdefault((each.question, repeat), replace(each, repeat=repeat))
        if before.number == each.number:
            continue
        if before.text != each.text:
            raise ValueError(
                f"rows {before.number} and {each.number} are two answers to question "
                f"{each.question}{f', repeat {repeat}' if repeats > 1 else ''}: keep one, or set "
                "`repeats` to how many there are to each question"
            )
        counts["the same row twice"] += 1
    if many := [each for each in kept.values() if (each.repeat or 0) >= repeats]:
        raise ValueError(
            f"row {many[0].number} is answer {(many[0].repeat or 0) + 1} to question "
            f"{many[0].question}, and {repeats} are expected: set `repeats` to how many there are"
        )
    return list(kept.values())


def _tagged(answers: Sequence[_Answer], untagged: str, counts: Counter[str]) -> list[_Answer]:
    """Return answers of think whose texts have tags, or are cut reasoning."""
    found, asked = [], []
    for each in answers:
        if each.text and split_reasoning(each.text).reasoning is None:
            if each.finish_reason == "length" or untagged == "reasoning":
                counts["cut reasoning without a tag"] += 1
            else:
                asked.append(f"row {each.number}")
                each = replace(each, text=f"{THINK_OPEN}\n\n{THINK_CLOSE}\n\n{each.text}")
        found.append(each)
    if asked and untagged == "refuse":
        raise ValueError(
            f"{len(asked)} of {len(answers)} texts have no {THINK_OPEN} or {THINK_CLOSE}, so they "
            f"would count as reasoning without an answer: {_some(asked)}. Set `mode: no_think` if "
            "the model does not reason; `untagged: answer` if these texts are answers without "
            "reasoning, or `untagged: reasoning` if they were cut; or give reasoning that stands "
            f"elsewhere in a column `reasoning`, or write other tags as {THINK_OPEN}"
        )
    counts["answers without a tag"] = len(asked)
    return found


def _check_missing(
    missing: Sequence[tuple[str, int]],
    num_wanted: int,
    found: Sequence[_Answer],
    spec: Mapping[str, Any],
    counts: Counter[str],
) -> None:
    counts["not in the file"] = len(missing)
    if not missing or spec.get("missing") == "wrong":
        return
    have = set(Counter(each.question for each in found).values())
    alike = (
        f"the questions have {min(have)} each: set `repeats: {min(have)}`, "
        if (len(have) == 1 and min(have) < spec["repeats"])
        else ""
    )
    listed = [f"{question}#{repeat}" for question, repeat in missing]
    raise ValueError(
        f"{len(missing)} of {num_wanted} answers are missing (question#repeat): {_some(listed)}; "
        f"{alike}add them, or set `missing: wrong` to count them as failed and wrong"
    )


def _sample(question: str, repeat: int, answer: _Answer | None) -> Row:
    is_ok = answer is not None and answer.text is not None
    return {
        "question_id": question,
        "repeat": repeat,
        "text": (answer.text if answer else None) or "",
        "completion_tokens": answer.tokens if answer else None,
        "finish_reason": answer.finish_reason if answer and is_ok else "error",
        "status": "ok" if is_ok else "failed",
        "error": None if is_ok else NO_TEXT if answer else "the file has no answer to it",
    }


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
