"""The card of an exported subset: README.md with the front matter that the hub reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

WHOSE = (
    "\u201cPaper\u201d means NaturalThoughts (arXiv 2507.01921), \u201cours\u201d the workflow "
    "that made this."
)
MADE_BY = "## Made by\n\nIn a clone of the workflow's repository, with the files of the study:"
UNKNOWN = "unknown"
OWN = "none of its own"  # nothing of others is in it
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


@dataclass(frozen=True)
class Origin:
    """One thing that the rows were made from.

    Attributes:
        role: pool, teacher or annotator.
        name: its name in the study.
        what: kind or engine, with the model if one is named.
        source: where its files come from, with commit or digest.
        license: as the hub writes it; UNKNOWN if nobody said, OWN where there is none.
    """

    role: str
    name: str
    what: str
    source: str
    license: str = UNKNOWN


@dataclass(frozen=True)
class Card:
    """What a card says.

    Attributes:
        title: name of the subset.
        split: name of the split.
        num_rows: rows of the data set.
        rule: the selector's rule in words.
        params: (name, value, meaning) of every parameter of the selector that has a value.
        names: study, pool, teacher, selector, seed and the like, in the order to show.
        columns: (name, meaning) of the columns.
        pool: counts of the pool: read, kept, and a number per reason for dropping.
        traces: rows by status, and by reason for each status but ok.
        selection: counts of the manifest of the selection.
        decontamination: account of the pool, None if it was not decontaminated.
        origins: what the rows were made from.
        digests: name -> sha256 or digest of a spec.
        commands: what makes the data set again.
        trace: how to find the source of one row, as sentences.
        labels: (name, kind, parameters, meaning) of every annotator.
    """

    title: str
    split: str
    num_rows: int
    rule: str
    params: Sequence[tuple[str, Any, str]]
    names: Mapping[str, Any]
    columns: Sequence[tuple[str, str]]
    pool: Mapping[str, int]
    traces: Mapping[str, Any]
    selection: Mapping[str, Any]
    decontamination: Mapping[str, Any] | None
    origins: Sequence[Origin]
    digests: Mapping[str, str]
    commands: Sequence[str]
    trace: Sequence[str]
    labels: Sequence[tuple[str, str, str, str]] = ()


def render(card: Card) -> str:
    """Return README.md. Of benchmarks it has names and counts, and never a text."""
    parts = [
        f"---\n{yaml.safe_dump(_front(card), sort_keys=False)}---",
        f"# {card.title}",
        f"{card.num_rows:,} reasoning traces that a selector picked from "
        f"{card.selection['num_traces']:,}.",
        make_table(("", ""), card.names.items()),
        f"## How the rows were chosen\n\n{card.rule}",
        make_table(("parameter", "value", "meaning"), card.params) if card.params else "",
        WHOSE,
        f"## Columns\n\n{make_table(('column', 'meaning'), card.columns)}",
        f"## Labels\n\n{make_table(('label', 'kind', 'parameters', 'meaning'), card.labels)}"
        if card.labels
        else "",
        f"## What was left out\n\n{_losses(card)}",
        f"## Text of benchmarks\n\n{_decontamination(card.decontamination)}",
        f"## Sources and licences\n\n{render_origins(card.origins)}",
        "## From a row to its source\n\n" + "\n".join(card.trace),
        f"## Digests\n\n{make_table(('what', 'digest'), card.digests.items())}",
        f"{MADE_BY}\n\n```sh\n" + "\n".join(card.commands) + "\n```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front(card: Card) -> dict[str, Any]:
    known = sorted({each.license for each in card.origins} - {UNKNOWN, OWN})
    size = next((name for below, name in _SIZES if card.num_rows < below), "n>1M")
    files = [{"split": card.split, "path": f"data/{card.split}-*"}]
    return {
        "license": known[0] if len(known) == 1 else known or UNKNOWN,
        "pretty_name": card.title,
        "task_categories": ["text-generation"],
        "tags": ["reasoning", "distillation"],
        "size_categories": [size],
        "configs": [{"config_name": "default", "data_files": files}],
    }


def _losses(card: Card) -> str:
    pool = card.pool
    kept = {"read": "rows read from the source", "kept": "prompts kept"}
    rows: list[tuple[str, int]] = [(words, pool[key]) for key, words in kept.items()]
    asked = {"samples": "times that each is asked", "prompts": "requests to the teacher"}
    known = {**kept, **asked}
    rows += [(f"dropped: {_words(key)}", n) for key, n in pool.items() if key not in known]
    rows += [(words, pool[key]) for key, words in asked.items() if key in pool]
    rows += [(f"traces: {status}", number) for status, number in card.traces["status"].items()]
    for status in ("incomplete", "failed"):
        reasons = card.traces.get(status, {}).items()
        rows += [(f"traces: {status}, since: {reason}", number) for reason, number in reasons]
    selection = card.selection
    rows += _choice(selection.get("one_per_question", {}))
    rows.append(("candidates of the selector", selection["num_candidates"]))
    rows += [(f"no candidate: {reason}", n) for reason, n in selection.get("unusable", {}).items()]
    rows += [(f"candidates: {what}", n) for what, n in selection.get("conditions", {}).items()]
    rows.append(("picked", card.num_rows))
    return make_table(("rows", "number"), ((what, f"{number:,}") for what, number in rows))


def _choice(counts: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Return the counts of choosing one answer per question."""
    words = {
        "answers": "answers to choose from",
        "questions": "their questions",
        "chosen": "answers chosen, one per question",
        "drawn": "of these drawn between equals",
        "without_right": "questions without a right answer",
    }
    by_right = counts.get("questions_by_right", {}).items()
    return [
        *((said, counts[key]) for key, said in words.items() if key in counts),
        *((f"questions, right answers to each: {right}", number) for right, number in by_right),
    ]


def _words(reason: str) -> str:
    return reason.replace("_", " ")


def _decontamination(account: Mapping[str, Any] | None) -> str:
    if account is None:
        return "The pool was not searched for text of benchmarks."
    rows = [
        (name, found["questions"], found["contaminated_rows"])
        for name, found in account["benchmarks"].items()
    ]
    return (
        f"Rows with a piece of {account['ngram']} words of a benchmark's question were dropped "
        f"(rule `{account['rule']}`).\n\n"
        + make_table(("benchmark", "questions", "rows dropped for it"), rows)
    )


def render_origins(origins: Sequence[Origin]) -> str:
    """Return the table of origins, with a warning about licences that nobody stated."""
    rows = [(each.role, each.name, each.what, each.source, each.license) for each in origins]
    table = make_table(("", "name", "what", "source", "licence"), rows)
    if not any(each.license == UNKNOWN for each in origins):
        return table
    return f"{table}\n\n`{UNKNOWN}`: nobody stated it; find it out before you publish the rows."


def make_table(head: Sequence[str], rows: Any) -> str:
    """Return a Markdown table of rows with as many values as the head has."""
    lines = [head, ["---"] * len(head), *([_cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
