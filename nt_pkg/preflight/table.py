"""Findings as a table."""

import textwrap
from collections.abc import Sequence

from nt_pkg.preflight.facts import Finding

_ARROW = "-> "


def findings_table(findings: Sequence[Finding], width: int | None = None) -> str:
    """Return one finding per line, with what to do after an arrow, and a last line with the sum.

    Args:
        findings: the findings, in the order of the table.
        width: columns of a terminal, to wrap lines; None: do not wrap.
    """
    column = max((len(each.check) for each in findings), default=0)
    lines = []
    for each in findings:
        head = f"{each.level:4}  {each.check:{column}}  "
        found, todo = (" ".join(text.split()) for text in (each.found, each.todo))
        todo = f"{_ARROW}{todo}" if todo else ""
        if width is None or width < len(head) + 40:
            lines.append(f"{head}{' '.join(filter(None, (found, todo)))}")
            continue
        for number, text in enumerate(filter(None, (found, todo))):
            lines += textwrap.wrap(
                text,
                width,
                initial_indent=" " * len(head) if number else head,
                subsequent_indent=" " * (len(head) + (len(_ARROW) if number else 0)),
                break_long_words=False,
                break_on_hyphens=False,
            )
    failed = sum(each.level == "FAIL" for each in findings)
    warned = sum(each.level == "warn" for each in findings)
    verdict = "ready to start" if not failed else "fix every FAIL before you start"
    return "\n".join([*lines, "", f"{failed} FAIL, {warned} warn: {verdict}", ""])
