"""Words of the reference answer: 2. Needs no model."""

from collections.abc import Sequence

from nt_pkg.annotators._base import Example, Label, TraceAnnotator
from nt_pkg.config.base import NoParams


def annotate_reference_words(params: NoParams, examples: Sequence[Example]) -> list[Label]:
    """Return how many words each reference answer has; a row without one fails."""
    return [_label((example.reference_answer or "").split()) for example in examples]


def _label(words: list[str]) -> Label:
    return Label(len(words)) if words else Label(None, "the row has no reference_answer")


ANNOTATOR = TraceAnnotator(params=NoParams, annotate=annotate_reference_words)
