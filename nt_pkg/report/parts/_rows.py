"""How rows look on the pages of rows, and the words that mark their strategies."""

from collections.abc import Iterable

from nt_pkg.dialogue.strategy_names import SYNONYMS, normalise_strategy
from nt_pkg.report.browser import Block, Words
from nt_pkg.report.material import Material
from nt_pkg.report.records import Trace
from nt_pkg.report.wording import show_count

STRATEGIES = "strategies"
HIDDEN = "not shown: it is confidential"


def shown(text: str | None) -> str:
    """Return a text, or the words that stand for one that must not be shown."""
    return HIDDEN if text is None else text


def head_of(row_id: str, text: str | None) -> str:
    """Return one line by which a reader knows a row."""
    line = " ".join((text or "").split())
    return f"{line[:160]}\u2026" if len(line) > 160 else line or row_id


def trace_blocks(trace: Trace, side: int | None = None) -> list[Block]:
    """Return the texts of a trace; of a confidential one, that there are none to show."""
    if trace.reasoning is None:
        return [Block("Texts", HIDDEN, side)]
    blocks = [Block("Reasoning", trace.reasoning, side, marked=True)]
    blocks.append(Block("Answer", shown(trace.answer), side))
    if trace.reference_answer:
        blocks.append(Block("Reference answer", trace.reference_answer, side))
    return blocks


def list_strategies(trace: Trace) -> list[str]:
    """Return the strategies of a trace, each under one name."""
    found = trace.labels.get(STRATEGIES)
    if not isinstance(found, list):
        return []
    return sorted({normalise_strategy(str(each)) for each in found})


def label_blocks(trace: Trace, side: int | None = None) -> list[Block]:
    """Return the labels of a trace in one line, and why others are missing."""
    said = {name: show_label(value) for name, value in trace.labels.items()}
    said |= {name: f"none ({reason})" for name, reason in trace.unlabelled.items()}
    lines = "; ".join(f"{name_label(name)}: {said[name]}" for name in sorted(said))
    return [Block("Labels", lines, side)] if said else []


def name_label(name: str) -> str:
    """Return the name of an annotator as words."""
    return name.replace("_", " ")


def show_label(value: object) -> str:
    """Return a label as text."""
    if isinstance(value, dict):
        return ", ".join(
            f"{name_label(key)} {show_label(own)}" for key, own in sorted(value.items())
        )
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def find_words(material: Material, traces: Iterable[Trace]) -> list[Words]:
    """Return the words of every strategy: those the study searched for, or names and synonyms."""
    names = sorted({name for trace in traces for name in list_strategies(trace)})
    stated: dict[str, list[str]] = {}
    for label, words in material.study.words.items():
        stated.setdefault(normalise_strategy(label), []).extend(words)
    return [
        Words(name, stated[name], ignore_case=False)
        if name in stated
        else Words(name, [name, *SYNONYMS.get(name, ())])
        for name in names
    ]


def describe_trace(trace: Trace) -> str:
    """Return id, length and state of a trace."""
    state = "" if trace.status == "ok" else f", {trace.status}"
    return f"{trace.id}, {trace.teacher}, {show_count(trace.num_tokens)} tokens{state}"
