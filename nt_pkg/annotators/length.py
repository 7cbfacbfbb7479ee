"""Length of a trace: {"num_tokens": 812, "num_steps": 31}.

Tokens are those the teacher's engine counted. How the paper counts steps is not stated; here a
step is a non-empty sentence or line of the reasoning, which needs no model.
"""

import re
from collections.abc import Sequence

from nt_pkg.annotators._base import Annotator, Example, Label
from nt_pkg.config import Strict

_STEP_END = re.compile(r"[.!?]\s+|\n+")


class LengthParams(Strict):
    """No parameters."""


def annotate_length(params: LengthParams, examples: Sequence[Example]) -> list[Label]:
    """Return tokens of the response and steps of its reasoning."""
    return [
        Label({"num_tokens": example.num_tokens, "num_steps": count_steps(example.reasoning)})
        for example in examples
    ]


def count_steps(reasoning: str) -> int:
    """Return the number of sentences or lines of a reasoning that hold a letter or digit."""
    pieces = _STEP_END.split(reasoning)
    return sum(any(char.isalnum() for char in piece) for piece in pieces)


ANNOTATOR = Annotator(params=LengthParams, annotate=annotate_length)
