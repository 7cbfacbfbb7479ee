"""Answers whose right reading people decided, before and now: make cases.

    python -m tests.cases

Each row of tests/golden/cases/*.json has a kind, an input, a gold answer (or the other answer, the
other question, a benchmark's question, the number of options, the annotator), the right value
(null: no label), and what commit 749c5c5 gave when the case was added.
Prints all of them with what the code gives now, counts by kind, and fails if a value is wrong.
"""

import json
import logging
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nt_pkg.annotators import agreement
from nt_pkg.annotators._ask import UnreadableError
from nt_pkg.annotators.agreement import decide
from nt_pkg.benchmarks import math500
from nt_pkg.benchmarks._base import Item
from nt_pkg.benchmarks._choice import extract_letter
from nt_pkg.dialogue.split_reasoning import split_reasoning
from nt_pkg.identity.question_id import question_id
from nt_pkg.plugins.registry import plugin
from nt_pkg.prompts.cleaning.decontamination import Questions
from tests.workflow.sandbox import table

FOLDER = Path(__file__).parent / "golden" / "cases"
_WIDTH = 60
Case = dict[str, Any]


def _math(cases: Sequence[Case]) -> list[Any]:
    items = [Item(str(n), "", case["gold"]) for n, case in enumerate(cases)]
    grades = math500.grade([(i, c["input"]) for i, c in zip(items, cases, strict=True)])
    return [grade.is_correct for grade in grades]


def _choices(cases: Sequence[Case]) -> list[Any]:
    return [extract_letter(case["input"], case["gold"]) for case in cases]


def _agreement(cases: Sequence[Case]) -> list[Any]:
    pairs = [(case["input"], case["gold"]) for case in cases]
    verdicts = decide(pairs)
    return [verdicts[pair] for pair in pairs]


def _decontamination(cases: Sequence[Case]) -> list[Any]:
    found = [(Questions({"m": [Item("q", case["gold"], "")]}, 13), case) for case in cases]
    return [bool(questions.matches([case["input"]])) for questions, case in found]


def _judges(cases: Sequence[Case]) -> list[Any]:
    return [_label(case["gold"], case["input"]) for case in cases]


def _label(annotator: str, text: str) -> Any:
    found = agreement.WITH_ENGINE if annotator == "agreement" else plugin("annotators", annotator)
    try:
        return found.ask.parse(text)
    except UnreadableError:
        return None


def _questions(cases: Sequence[Case]) -> list[Any]:
    return [question_id(case["input"]) == question_id(case["gold"]) for case in cases]


def _reasoning(cases: Sequence[Case]) -> list[Any]:
    found = [split_reasoning(case["input"]) for case in cases]
    return [[each.reasoning, each.answer] for each in found]


READERS: dict[str, Callable[[Sequence[Case]], list[Any]]] = {
    "agreement": _agreement,
    "choices": _choices,
    "decontamination": _decontamination,
    "judges": _judges,
    "math": _math,
    "questions": _questions,
    "reasoning": _reasoning,
}


def read_cases(reader: str) -> list[tuple[Case, Any]]:
    """Return the cases of a file, each with what the code gives now."""
    cases: list[Case] = json.loads((FOLDER / f"{reader}.json").read_text(encoding="utf-8"))
    return list(zip(cases, READERS[reader](cases), strict=True))


def main() -> int:
    """Print the table and the counts."""
    logging.disable(logging.WARNING)
    rows = []
    totals: Counter[tuple[str, str]] = Counter()
    for reader in sorted(READERS):
        for case, now in read_cases(reader):
            kind = f"{reader}: {case['kind']}"
            shown = [case["input"], case["gold"], case["right"], case["at_749c5c5"], now]
            rows.append([kind, *map(_shown, shown)])
            totals[kind, "cases"] += 1
            totals[kind, "before"] += case["at_749c5c5"] != case["right"]
            totals[kind, "now"] += now != case["right"]
    print(table(["kind", "input", "gold", "right", "749c5c5", "now"], rows))
    names = list(dict.fromkeys(kind for kind, _ in totals))
    kinds: list[list[Any]] = [
        [name, *(totals[name, what] for what in ("cases", "before", "now"))] for name in names
    ]
    kinds.append(["all", *(sum(row[at] for row in kinds) for at in (1, 2, 3))])
    print(table(["kind", "cases", "wrong at 749c5c5", "wrong now"], kinds))
    return 1 if kinds[-1][3] else 0


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    text = text.replace("\n", "\\n")
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}..."


if __name__ == "__main__":
    sys.exit(main())
