"""The result that an answer states: "4", "thursday". Needs no model.

It is the last box, else what follows "the answer is", else the whole answer if it is short.
Answers that are the same text or the same number have the same label, as for `agreement`; different
spellings of one expression may not.
"""

from collections.abc import Sequence

from nt_pkg.annotators._base import Example, Label, TraceAnnotator
from nt_pkg.annotators.agreement import stated_result
from nt_pkg.config.base import NoParams


def annotate_stated(params: NoParams, examples: Sequence[Example]) -> list[Label]:
    """Return the result of each answer; a long one that states none fails."""
    return [_label(stated_result(example.answer)) for example in examples]


def _label(result: str | None) -> Label:
    return Label(None, "the answer states no result") if result is None else Label(result)


ANNOTATOR = TraceAnnotator(params=NoParams, annotate=annotate_stated)
